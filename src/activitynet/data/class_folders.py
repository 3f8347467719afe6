"""List labelled photos in one folder per class."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from activitynet.data.dataset import PhotoData, split_named
from activitynet.data.files import is_folder, is_photo, left_out_note, visible_entries, walk_files
from activitynet.data.listing import Entry, listed_photos
from activitynet.errors import DataError
from activitynet.serialization.paths import user_path

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
    """List the photos of a folder with one folder per class, optionally below ``train``, ``val``, ``test``.

    Photos may lie at any depth below their class's folder; hidden files are ignored. Splits may have
    other usual names (`split_named`). Folders without photos and training runs are not classes. Without
    ``val``, a share of each class's photos is held out; a class with a single photo keeps it for training.

    Args:
        path: The folder.
        classes: Class names in the order of the labels. Folders are matched to them by name or else by
            `slug`; a class without photos keeps its place. By default they are the names of the
            folders in natural order, or `ACTIVITIES` where every folder is one of those and at least
            half of them are there.
        val_fraction: Share of each class's photos to hold out, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: The folder is missing, empty or has another layout; a folder is not a known class; the
            training photos have only one class; or folders look like splits with unknown names and are
            not in ``classes``.
    """
    root = user_path(path)
    if not is_folder(root):
        fault = "is not a folder" if os.path.lexists(root) else "cannot be found"
        raise DataError(f"data folder {str(root)!r} {fault}. {_LAYOUT}")
    ignored: list[Path] = []
    entries: list[Entry] = []
    splits = _folders_by_split(root, ignored)
    if classes is None and [folder.parent for folder in splits.get("train", ())][:1] == [root]:
        _check_no_splits(splits["train"])
    for split, folders in splits.items():
        found = [entry for folder in folders for entry in _entries(folder, split, ignored)]
        if not found:
            where = f"{str(root)!r}" if len(splits) == 1 else f"the {split!r} folder of {str(root)!r}"
            others = f" ({left_out_note(ignored).rstrip('.')})" if ignored else ""
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
    """Find the class folders of each split. Without splits, all are for training."""
    folders = _subfolders(root, ignored)
    splits: dict[str, Path] = {}
    classes = []
    for folder in folders:
        split = split_named(folder.name)
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
    ignored += [folder for folder in classes if not _holds_photos(folder)]
    if classes := [folder for folder in classes if folder not in ignored]:
        raise DataError(
            f"{str(root)!r} mixes the split {next(iter(splits.values())).name!r} with other folders such as "
            f"{classes[0].name!r}. {_LAYOUT}"
        )
    return {split: _subfolders(folder, ignored) for split, folder in splits.items()}


def _subfolders(folder: Path, ignored: list[Path]) -> list[Path]:
    folders = []
    for entry in visible_entries(folder, ignored):
        if is_folder(entry):
            folders.append(entry)
        elif is_photo(entry):
            raise DataError(f"photo {str(entry)!r} is in no class's folder. {_LAYOUT}")
        else:
            ignored.append(entry)
    return folders


def _entries(folder: Path, split: str, ignored: list[Path]) -> list[Entry]:
    """List the photos below a class's folder, in natural order."""
    # Normalised, so that the name is the same on every system and fits into JSON.
    label = unicodedata.normalize("NFC", os.fsencode(folder.name).decode("utf-8", errors="replace"))
    entries = []
    for file in walk_files(folder, ignored):
        if is_photo(file):
            entries.append(Entry(file, label, split, where=f"folder {str(folder)!r}"))
        else:
            ignored.append(file)
    if not entries and folder not in ignored:
        ignored.append(folder)
    return entries


def _holds_photos(folder: Path) -> bool:
    return any(map(is_photo, walk_files(folder)))


def _check_no_splits(folders: list[Path]) -> None:
    """Refuse folders that hold the same folders and no photos: they look like splits."""
    holders: dict[str, Path] = {}
    shared: dict[tuple[Path, Path], list[str]] = {}
    for folder in folders:
        entries = visible_entries(folder)
        if any(is_photo(entry) for entry in entries if not is_folder(entry)):
            continue
        for name in [entry.name.lower() for entry in entries if is_folder(entry)]:
            first = holders.setdefault(name, folder)
            if first != folder:
                shared.setdefault((first, folder), []).append(name)
    for (first, second), names in shared.items():
        if len(names) > 1:
            raise DataError(
                f"{str(first)!r} and {str(second)!r} hold the same folders, such as {names[0]!r} and "
                f"{names[1]!r}. If they are splits, call them train, val and test; if they are classes, "
                f"list the classes (--classes)."
            )
