"""Labelled photos in folders, one a class."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from activitynet.data.dataset import (
    SPLIT_NAMES,
    ClassIndex,
    Photo,
    PhotoData,
    checked_classes,
    inferred_classes,
)
from activitynet.data.files import is_folder, is_photo, visible_entries, walk_files
from activitynet.data.splits import check_val_fraction, train_val_split
from activitynet.errors import DataError

_LAYOUT = (
    "Put the photos of each class in a folder with its name: data/dancing/1.jpg, "
    "or data/train/dancing/1.jpg and data/val/dancing/2.jpg."
)


def open_folder(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the photos of a folder that holds one folder a class, perhaps below ``train``, ``val``, ``test``.

    Photos may lie at any depth below their class's folder; hidden files are passed over. ``valid`` and
    ``validation`` also mean ``val``. Where there is ``train`` (or no split at all) but no ``val``, a
    share of each class's photos is held out; a class with a single photo keeps it for training.

    Args:
        path: The folder.
        classes: Class names in the order of the labels. Folders are matched to them by name or else by
            `slug`; a class without photos keeps its place. By default they are the names of the
            folders in natural order, or `ACTIVITIES` where every folder is one of those and at least
            half of them are there.
        val_fraction: Share of each class's photos to hold out, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: The folder is missing, empty or laid out in another way, a folder is no known class,
            or there are photos to train on of one class only.
    """
    root = Path(path)
    if not is_folder(root):
        fault = "is not a folder" if os.path.lexists(root) else "cannot be found"
        raise DataError(f"data folder {str(root)!r} {fault}. {_LAYOUT}")
    check_val_fraction(val_fraction, seed)

    ignored: list[Path] = []
    folders = _folders_by_split(root, ignored)
    names = _inferred_classes(root, folders) if classes is None else checked_classes(classes)
    photos = {split: _labelled(group, names, ignored) for split, group in folders.items()}
    for split, found in photos.items():
        if not found:
            where = f"{str(root)!r}" if len(photos) == 1 else f"the {split!r} folder of {str(root)!r}"
            others = f" ({len(ignored)} files of other kinds, such as {ignored[0].name!r})" if ignored else ""
            raise DataError(f"{where} holds no photos{others}. {_LAYOUT}")
    train, val = photos.get("train", ()), photos.get("val", ())
    labels = {photo.label for photo in train}
    if len(labels) == 1:
        only = names[labels.pop()]
        raise DataError(f"{str(root)!r} holds photos of one class only, {only!r}: add a second. {_LAYOUT}")
    if train and "val" not in photos:
        train, val = train_val_split(train, val_fraction, seed)
    return PhotoData(names, train, val, photos.get("test", ()), tuple(ignored))


def _folders_by_split(root: Path, ignored: list[Path]) -> dict[str, list[Path]]:
    """Find the class folders of each split; without splits, all are for training."""
    folders = _subfolders(root, ignored)
    splits: dict[str, Path] = {}
    classes = []
    for folder in folders:
        split = SPLIT_NAMES.get(folder.name.lower())
        if split is None:
            classes.append(folder)
        elif split in splits:
            raise DataError(
                f"{str(root)!r} holds {splits[split].name!r} and {folder.name!r}, which both mean {split!r}. "
                f"Merge them."
            )
        else:
            splits[split] = folder
    if not splits:
        return {"train": classes}
    if classes:
        raise DataError(
            f"{str(root)!r} mixes the split {next(iter(splits.values())).name!r} with other folders such as "
            f"{classes[0].name!r}. {_LAYOUT}"
        )
    return {split: _subfolders(folder, ignored) for split, folder in splits.items()}


def _subfolders(folder: Path, ignored: list[Path]) -> list[Path]:
    folders = []
    for entry in visible_entries(folder):
        if is_folder(entry):
            folders.append(entry)
        elif is_photo(entry):
            raise DataError(f"photo {str(entry)!r} is in no class's folder. {_LAYOUT}")
        else:
            ignored.append(entry)
    return folders


def _class_name(folder: Path) -> str:
    """Return a folder's name as text that is the same on every system and fits into JSON."""
    readable = os.fsencode(folder.name).decode("utf-8", errors="replace")
    return unicodedata.normalize("NFC", readable)


def _inferred_classes(root: Path, folders: dict[str, list[Path]]) -> tuple[str, ...]:
    every = [_class_name(folder) for group in folders.values() for folder in group]
    # A folder that only val or test has is no class: nothing would be learned of it.
    learned = [_class_name(folder) for folder in folders.get("train", ())]
    try:
        return inferred_classes(learned or every)
    except DataError as error:
        raise DataError(f"data folder {str(root)!r}: {error}") from error


def _labelled(folders: list[Path], classes: tuple[str, ...], ignored: list[Path]) -> tuple[Photo, ...]:
    """List the photos below class folders, by label and then in natural order."""
    index = ClassIndex(classes)
    folder_of: dict[int, Path] = {}
    for folder in folders:
        label = _label(folder, index)
        if label in folder_of:
            both = f"{str(folder_of[label])!r} and {str(folder)!r}"
            raise DataError(f"{both} are one class, {classes[label]!r}. Merge them.")
        folder_of[label] = folder
    photos = []
    for label, folder in sorted(folder_of.items()):
        for file in walk_files(folder):
            if is_photo(file):
                photos.append(Photo(file, label))
            else:
                ignored.append(file)
    return tuple(photos)


def _label(folder: Path, index: ClassIndex) -> int:
    try:
        return index.find(_class_name(folder))
    except DataError as error:
        raise DataError(f"folder {str(folder)!r}: {error}") from error
