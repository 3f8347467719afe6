"""Sizes, file formats and sources that give the class away, so that a network may learn them instead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from activitynet.data.findings import Finding, Kind
from activitynet.data.photos import Photo
from activitynet.data.splits import can_be_folded, folds, group_numbers

TELLING = 0.1
"""How much nearer to always right than chance a guess may come, as a share of the way."""

_NAMED = 3  # classes
_DEVIATIONS = 3.0  # of what chance alone brings about


def telling_facts(
    photos: Sequence[Photo],
    sizes: Sequence[tuple[int, int]],
    formats: Sequence[str],
    classes: Sequence[str],
) -> list[Finding]:
    """Find what gives the class of a photo away, though it is not what the photo shows.

    A decision tree guesses the class by one fact alone, for photos it has not learned from. Its balanced
    accuracy (the mean over the classes of how many of their photos it guesses) is compared with guessing
    blindly. Photos of which the fact is not known are left out, and so are classes that are too rare to
    cross-validate.

    Args:
        photos: The photos, of all splits.
        sizes: Width and height of each; (0, 0) where they are not known. Their ratio counts, too.
        formats: The file format of each; empty where it is not known.
        classes: Class names.
    """
    width, height = np.array(sizes, dtype=np.float64).reshape(-1, 2).T
    shape = np.stack([width, height, width / np.maximum(height, 1)], axis=1)
    facts: tuple[tuple[Kind, str, np.ndarray, np.ndarray], ...] = (
        ("telling_size", "the size in pixels", shape, width > 0),
        ("telling_format", "the file format", *_codes(formats)),
        ("telling_source", "the source", *_codes([photo.source for photo in photos])),
    )
    labels = np.array([photo.label for photo in photos], dtype=np.int64)
    groups = group_numbers(photos)
    findings = []
    for kind, what, values, known in facts:
        use = known.copy()
        use[known] = can_be_folded(labels[known], groups[known])
        message = _message(what, values[use], labels[use], groups[use], classes)
        if message:
            findings.append(Finding(kind, message))
    return findings


def _codes(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for each name, (N, 1), and which names are known, (N,)."""
    distinct, codes = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    # In no order, for that two names are alike tells nothing.
    shuffled = np.random.default_rng(0).permutation(len(distinct))
    return shuffled[codes.ravel()][:, None], np.array([bool(name) for name in names], dtype=bool)


def _message(
    what: str, values: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: Sequence[str]
) -> str:
    """Say how well the values tell the labels, or nothing where they do not."""
    present, truth, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(present) < 2 or len(np.unique(values, axis=0)) < 2:
        return ""
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415 - slow to import, seldom needed

    tree = DecisionTreeClassifier(class_weight="balanced", random_state=0)
    right = np.zeros(len(truth), dtype=bool)
    for learned, held in folds(truth, groups):
        right[held] = tree.fit(values[learned], truth[learned]).predict(values[held]) == truth[held]
    recalls = np.bincount(truth, weights=right) / sizes
    accuracy, chance = recalls.mean(), 1 / len(present)
    noise = np.sqrt((chance * (1 - chance) / sizes).sum()) / len(present)
    if accuracy - chance <= max(TELLING * (1 - chance), _DEVIATIONS * noise):
        return ""
    worst = np.argsort(-recalls, kind="stable")[:_NAMED]
    told = ", ".join(f"{classes[present[index]]!r} ({recalls[index]:.0%})" for index in worst)
    return (
        f"{what} alone tells the class with a balanced accuracy of {accuracy:.0%} (chance: {chance:.0%}), "
        f"most of all {told}. A network may learn it instead of what people do."
    )
