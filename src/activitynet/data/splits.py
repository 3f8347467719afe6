"""Split photos by class, without splitting groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from activitynet.data.dataset import group_numbers
from activitynet.errors import DataError

if TYPE_CHECKING:
    from activitynet.data.dataset import Photo


def check_val_fraction(fraction: float, seed: int) -> None:
    """Check the share to hold out, and the seed.

    Raises:
        DataError: One of them is out of range.
    """
    if not 0 <= fraction < 1:
        raise DataError(f"val_fraction must lie in [0, 1), got {fraction!r}.")
    if not 0 <= seed < 2**32:
        raise DataError(f"seed must lie in [0, 2**32), got {seed!r}.")


def train_val_split(
    photos: tuple[Photo, ...], fraction: float, seed: int
) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Hold out a share of each class's photos, without splitting groups.

    Without groups, each class is split separately. With groups, they are visited in random order, and a
    group is held out if that brings the classes closer to their shares. Each class keeps at least one group
    (or photo) for training. A class with more gives at least one, unless that would take the last one of
    another class.

    Args:
        photos: The photos, in any order; both parts keep it.
        fraction: Share to hold out, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Returns:
        The training photos, and those held out.
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
    """Split each class separately, so that every class keeps its share and a training photo."""
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
    """Choose groups one by one while that brings the classes closer to their shares."""
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
        # Errors are relative to a class's share, or only large classes would matter.
        gain = ((missing / wanted) ** 2).sum() - (((missing - counts[index]) / wanted) ** 2).sum()
        if gain > 0 and not robs(index):
            take(index)
    for label in np.flatnonzero(missing == wanted):  # a class whose groups are all larger than its share
        members = [index for index in order if counts[index, label] and not robs(index)]
        if missing[label] == wanted[label] and members:
            take(min(members, key=lambda index: counts[index].sum()))
    return held


FOLDS = 5
"""Number of folds of cross-validation."""


def can_be_folded(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return which photos are of a class with at least `FOLDS` groups: bool (N,).

    Args:
        labels: Class indices, (N,).
        groups: Numbers of the groups, (N,).
    """
    pairs = np.unique(np.stack([labels, groups], axis=1), axis=0)
    return np.isin(labels, np.flatnonzero(np.bincount(pairs[:, 0]) >= FOLDS))


def folds(labels: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split photos into `FOLDS` stratified folds, without splitting groups.

    Args:
        labels: Class indices, each in at least `FOLDS` groups (`can_be_folded`); (N,).
        groups: Numbers of the groups, (N,).
        seed: Fixes the folds.

    Returns:
        For each fold, the indices of the photos outside and inside of it.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # noqa: PLC0415 - slow to import

    if len(np.unique(groups)) == len(groups):  # the grouped kind takes seconds for ten thousand photos
        return list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels))
    return list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels, groups))
