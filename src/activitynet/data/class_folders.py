"""Labelled photos in folders, one a class."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from activitynet.data.dataset import SPLIT_NAMES, PhotoData
from activitynet.data.files import is_folder, is_photo, visible_entries, walk_files
from activitynet.data.listing import Entry, listed_photos
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
    ignored: list[Path] = []
    entries: list[Entry] = []
    splits = _folders_by_split(root, ignored)
    for split, folders in splits.items():
        found = [entry for folder in folders for entry in _entries(folder, split, ignored)]
        if not found:
            where = f"{str(root)!r}" if len(splits) == 1 else f"the {split!r} folder of {str(root)!r}"
            others = f" ({len(ignored)} files of other kinds, such as {ignored[0].name!r})" if ignored else ""
            raise DataError(f"{where} holds no photos{others}. {_LAYOUT}")
        entries += found
    return listed_photos(
        entries,
        f"data folder {str(root)!r}",
        classes=classes,
        val_fraction=val_fraction,
        seed=seed,
        ignored=ignored,
    )


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


def _entries(folder: Path, split: str, ignored: list[Path]) -> list[Entry]:
    """List the photos below a class's folder, in natural order."""
    # A name is text that is the same on every system and fits into JSON.
    label = unicodedata.normalize("NFC", os.fsencode(folder.name).decode("utf-8", errors="replace"))
    entries = []
    for file in walk_files(folder):
        if is_photo(file):
            entries.append(Entry(file, label, split, where=f"folder {str(folder)!r}"))
        else:
            ignored.append(file)
    return entries
