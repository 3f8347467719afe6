"""Splits that keep together what belongs together, and the file that one is written down in."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from activitynet.atomic import write_bytes
from activitynet.data.folders import absolute
from activitynet.errors import DataError

if TYPE_CHECKING:
    from activitynet.data.photos import Photo, PhotoData


def check_hold_out(fraction: float, seed: int) -> None:
    """Refuse a share to hold out, or a seed for it, that is out of range.

    Raises:
        DataError: Naming it and its range.
    """
    if not 0 <= fraction < 1:
        raise DataError(f"val_fraction must lie in [0, 1), got {fraction!r}.")
    if not 0 <= seed < 2**32:
        raise DataError(f"seed must lie in [0, 2**32), got {seed!r}.")


def hold_out(
    photos: tuple[Photo, ...], fraction: float, seed: int
) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Hold out a share of each class's photos, and never a part of a group.

    Where no photo has a group, each class is split by itself. Where some have one, groups are drawn in a
    random order, and one is held out if that brings the classes nearer to their shares. A class keeps at
    least one group (or photo) to train on; one that has more gives at least one, unless that would take
    another class's last.

    Args:
        photos: The photos, in any order; both parts keep it.
        fraction: Share to hold out, in [0, 1).
        seed: Fixes which, in [0, 2**32).

    Returns:
        The photos to train on, and those held out.
    """
    if not fraction or not photos:
        return photos, ()
    if any(photo.group for photo in photos):
        held = _held_groups(photos, fraction, seed)
    else:
        held = _held_photos(photos, fraction, seed)
    train = tuple(photo for index, photo in enumerate(photos) if index not in held)
    return train, tuple(photo for index, photo in enumerate(photos) if index in held)


def _held_photos(photos: Sequence[Photo], fraction: float, seed: int) -> set[int]:
    """Split class by class, so that no class lends its share to another or loses all of its photos."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - slow to import, seldom needed

    same_class: dict[int, list[int]] = defaultdict(list)
    for index, photo in enumerate(photos):
        same_class[photo.label].append(index)
    held: set[int] = set()
    for indices in same_class.values():
        count = min(max(round(fraction * len(indices)), 1), len(indices) - 1)
        if count:
            held.update(train_test_split(indices, test_size=count, random_state=seed)[1])
    return held


def _held_groups(photos: Sequence[Photo], fraction: float, seed: int) -> set[int]:
    labels = np.unique([photo.label for photo in photos], return_inverse=True)[1]
    groups = group_numbers(photos)
    counts = np.zeros((groups.max() + 1, labels.max() + 1))  # photos of (group, class)
    np.add.at(counts, (groups, labels), 1)
    held = _chosen_groups(counts, fraction, seed)
    return set(np.flatnonzero(held[groups]).tolist())


def _chosen_groups(counts: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose groups one by one while that brings the classes' shares nearer to what they should be."""
    sizes = counts.sum(axis=0)
    wanted = np.clip(np.round(fraction * sizes), 1, np.maximum(sizes - 1, 1))
    missing, left = wanted.copy(), sizes.copy()
    held = np.zeros(len(counts), dtype=bool)

    def take(index: int) -> None:
        held[index] = True
        missing[:] -= counts[index]
        left[:] -= counts[index]

    def robs(index: int) -> bool:
        return bool(np.any((counts[index] > 0) & (left <= counts[index])))

    order = np.random.default_rng(seed).permutation(len(counts))
    for index in order:
        # A class's miss counts as a share of what it should have, or large classes alone would matter.
        gain = ((missing / wanted) ** 2).sum() - (((missing - counts[index]) / wanted) ** 2).sum()
        if gain > 0 and not robs(index):
            take(index)
    for label in np.flatnonzero(missing == wanted):  # a class whose groups are all larger than its share
        members = [index for index in order if counts[index, label] and not robs(index)]
        if missing[label] == wanted[label] and members:
            take(min(members, key=lambda index: counts[index].sum()))
    return held


def group_numbers(photos: Sequence[Photo]) -> np.ndarray:
    """Number the groups of photos from 0, a photo without one being a group of its own: int64 (N,)."""
    numbers: dict[tuple[str, int], int] = {}
    keys = [(photo.group, -1) if photo.group else ("", index) for index, photo in enumerate(photos)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


FOLDS = 5
"""Parts of which each in turn is predicted by what has learned from the others."""


def can_be_folded(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Tell which photos are of a class that occurs in `FOLDS` groups or more: bool (N,).

    Args:
        labels: Class indices, (N,).
        groups: Numbers of the groups, (N,).
    """
    pairs = np.unique(np.stack([labels, groups], axis=1), axis=0)
    return np.isin(labels, np.flatnonzero(np.bincount(pairs[:, 0]) >= FOLDS))


def folds(labels: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut photos into `FOLDS` parts with each class's share in each, and never a part of a group.

    Args:
        labels: Class indices, each in at least `FOLDS` groups (`can_be_folded`); (N,).
        groups: Numbers of the groups, (N,).
        seed: Fixes the parts.

    Returns:
        For each part, the indices of the photos outside and inside of it.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # noqa: PLC0415 - slow to import

    if len(np.unique(groups)) == len(groups):  # the grouped kind takes seconds for ten thousand photos
        return list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels))
    return list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels, groups))


def write_split(
    path: str | os.PathLike[str], data: PhotoData, *, suspects: Mapping[str, str] | None = None
) -> None:
    """Write a split down as a CSV table with the columns ``path``, ``label``, ``split`` and ``group``.

    A photo below the table's folder is written relative to it, another one in full. `open_data` reads it.

    Args:
        path: The table.
        data: The data set.
        suspects: Labels that are more probable than photos' own, by their paths, for a column
            ``suggested_label``, which is for people and which no reader minds. `None` writes none.

    Raises:
        DataError: A name is no valid text.
        StorageError: The file cannot be written.
    """
    place = absolute(Path(path))
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    more = [] if suspects is None else ["suggested_label"]
    writer.writerow(["path", "label", "split", "group", *more])
    for split, photos in by_split(data):
        for photo in photos:
            file = absolute(photo.path)
            inside = file.is_relative_to(place.parent)
            written = file.relative_to(place.parent).as_posix() if inside else str(file)
            more = [] if suspects is None else [suspects.get(str(photo.path), "")]
            writer.writerow([written, data.classes[photo.label], split, photo.group, *more])
    try:
        content = table.getvalue().encode("utf-8")
    except UnicodeEncodeError as error:
        text = error.object[error.start : error.end]
        raise DataError(
            f"cannot write {str(place)!r}: a name with {text!r} is no valid text. Rename it."
        ) from error
    write_bytes(place, content)


def read_split(path: str | os.PathLike[str], data: PhotoData) -> PhotoData:
    """Split a data set as `write_split` wrote it down.

    Args:
        path: The table.
        data: The data set, split in whatever way.

    Returns:
        The same photos with the table's splits and groups.

    Raises:
        DataError: The table cannot be read, or is of other photos or classes.
    """
    from activitynet.data.tables import open_table  # noqa: PLC0415 - tables import this module

    listed = open_table(path, classes=data.classes, val_fraction=0)
    known = {absolute(photo.path): photo for _, photos in by_split(data) for photo in photos}
    written = {absolute(photo.path): photo for _, photos in by_split(listed) for photo in photos}
    faults = {
        "not in it": [file for file in known if file not in written],
        "only in it": [file for file in written if file not in known],
        "of another class": [
            file for file, photo in written.items() if file in known and known[file].label != photo.label
        ],
    }
    told = [f"{len(files)} {what} (such as {str(files[0])!r})" for what, files in faults.items() if files]
    if told:
        raise DataError(
            f"split {os.fspath(path)!r} has other photos: {', '.join(told)}. Restore them, or write it anew."
        )
    parts = {
        split: tuple(dataclasses.replace(known[absolute(photo.path)], group=photo.group) for photo in photos)
        for split, photos in by_split(listed)
    }
    return dataclasses.replace(data, train=parts["train"], val=parts["val"], test=parts["test"])


def by_split(data: PhotoData) -> tuple[tuple[str, tuple[Photo, ...]], ...]:
    """Return the photos of a data set by the names of its splits."""
    return ("train", data.train), ("val", data.val), ("test", data.test)
