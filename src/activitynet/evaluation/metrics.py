"""Scores of a classifier: accuracy, F1 and confusion, each saying what it was measured over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from activitynet.data.checking import count_skipped, skip_note
from activitynet.data.photos import SkippedPhoto
from activitynet.errors import DataError

MIN_SUPPORT = 30
"""A class with fewer photos than this moves a macro average by chance more than by skill."""


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Attributes:
        name: The class.
        precision: Share of the photos called this that are this, in [0, 1].
        recall: Share of the photos that are this that are called this, in [0, 1].
        f1: Harmonic mean of the two, in [0, 1].
        support: Photos of this class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """What a classifier scored on labelled photos.

    Attributes:
        photos: How many photos were scored.
        accuracy: Share of photos whose most probable class is the right one, in [0, 1].
        macro_f1: Mean F1 of the classes named in `scored`: the score that picks a run's best epoch.
        macro_f1_present: Mean F1 of all classes that have photos.
        scored: The classes that `macro_f1` averages over: those with at least 30 photos, or all that
            have photos when fewer than two do.
        classes: One entry a class, in the classifier's order, photos or not.
        confusion: Counts; row = true class, column = predicted class.
        skipped: Photos that were not scored, since they cannot be read.
    """

    photos: int
    accuracy: float
    macro_f1: float
    macro_f1_present: float
    scored: tuple[str, ...]
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    skipped: tuple[SkippedPhoto, ...] = ()

    def summary(self) -> str:
        """Return the scores as one line that says what they average over."""
        present = sum(entry.support > 0 for entry in self.classes)
        line = (
            f"macro-F1 {self.macro_f1:.3f} over {len(self.scored)} classes, accuracy {self.accuracy:.3f} "
            f"on {self.photos} photos"
        )
        if present != len(self.scored):
            line += f" (macro-F1 {self.macro_f1_present:.3f} over all {present} classes with photos)"
        if self.skipped:
            line += f"; {skip_note(count_skipped(self.skipped))}"
        return line

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as plain JSON values."""
        return {
            "photos": self.photos,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "macro_f1_present": self.macro_f1_present,
            "scored": list(self.scored),
            "classes": [vars(entry) for entry in self.classes],
            "confusion": [list(row) for row in self.confusion],
            "skipped": [photo.to_dict([entry.name for entry in self.classes]) for photo in self.skipped],
        }


def scored_classes(support: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which classes macro-F1 averages over: see `Scores`.

    Args:
        support: Photos of each class, (classes,).
    """
    enough: NDArray[np.bool_] = support >= MIN_SUPPORT
    return enough if enough.sum() >= 2 else support > 0


def score(
    labels: ArrayLike,
    predicted: ArrayLike,
    classes: Sequence[str],
    *,
    skipped: tuple[SkippedPhoto, ...] = (),
) -> Scores:
    """Score predicted classes against the true ones.

    Args:
        labels: True class indices, shape (N,).
        predicted: Predicted class indices, shape (N,).
        classes: Class names in index order.
        skipped: Photos that could not be scored.

    Returns:
        The scores. A class that is neither there nor predicted has precision, recall and F1 of 0.

    Raises:
        DataError: There are no photos to score.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support  # noqa: PLC0415 - slow to import

    truth, guess = np.asarray(labels), np.asarray(predicted)
    if truth.size == 0:
        raise DataError("there are no labelled photos to score; check that this split has photos.")
    indices = np.arange(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, guess, labels=indices, zero_division=0.0
    )
    present: NDArray[np.bool_] = support > 0
    scored = scored_classes(support)
    return Scores(
        photos=int(truth.size),
        accuracy=float((truth == guess).mean()),
        macro_f1=float(f1[scored].mean()),
        macro_f1_present=float(f1[present].mean()),
        scored=tuple(name for name, chosen in zip(classes, scored, strict=True) if chosen),
        classes=tuple(
            ClassScore(name, float(p), float(r), float(f), int(s))
            for name, p, r, f, s in zip(classes, precision, recall, f1, support, strict=True)
        ),
        confusion=tuple(
            tuple(int(count) for count in row) for row in confusion_matrix(truth, guess, labels=indices)
        ),
        skipped=skipped,
    )
