"""Metrics of predictions against labels, plain and weighted by photo for the bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from activitynet.data.dataset import SkippedPhoto
from activitynet.data.scan import count_skipped, skipped_message
from activitynet.errors import DataError
from activitynet.evaluation.stats import (
    CONFIDENCE,
    RESAMPLES,
    Estimate,
    Floats,
    Ints,
    bootstrap_intervals,
    confidence_bins,
)

TOP = (2, 3, 5)
"""The k of top-k accuracy, where there are more classes than k."""

PER_CLASS = ("precision", "recall", "f1", "average_precision")
"""Metrics that have one value a class."""

BIASED_UP = frozenset({"ece", "adaptive_ece", "average_precision", "mean_average_precision"})
"""Metrics that resampling makes larger, by chance or because photos are drawn twice."""

_TINY = 1e-15


class WeightedMetrics:
    """All metrics of a classifier on labelled photos, as a function of the photos' weights.

    A bootstrap is then one product of matrices. scikit-learn, against which the tests check each metric,
    would take minutes for a thousand resamples.

    Args:
        log_probabilities: Natural logarithms of probabilities, (N, classes).
        labels: True class indices, (N,).
    """

    def __init__(self, log_probabilities: Floats, labels: Ints) -> None:
        count, classes = log_probabilities.shape
        rows = np.arange(count)
        self._classes = classes
        self._scored = scored_classes(np.bincount(labels, minlength=classes))
        self._top = [k for k in TOP if k < classes]
        predicted = log_probabilities.argmax(axis=1)
        correct = predicted == labels
        probabilities = np.exp(log_probabilities)
        own = log_probabilities[rows, labels]
        # Rank of the label among the classes; ties go to the lower index.
        rank = (log_probabilities > own[:, None]).sum(axis=1)
        rank += ((log_probabilities == own[:, None]) & (np.arange(classes) < labels[:, None])).sum(axis=1)
        target = np.zeros_like(probabilities)
        target[rows, labels] = 1
        plain = [
            np.ones(count),
            correct.astype(np.float64),
            -np.log(np.maximum(np.exp(own), _TINY)),
            ((probabilities - target) ** 2).sum(axis=1),
            *((rank < k).astype(np.float64) for k in self._top),
        ]
        confidence = probabilities.max(axis=1)
        self._bins = [confidence_bins(confidence, adaptive=adaptive) for adaptive in (False, True)]
        columns = [
            (labels, np.ones(count)),
            (predicted, np.ones(count)),
            (labels, correct.astype(np.float64)),
            *((bins, correct - confidence) for bins in self._bins),
        ]
        self._widths = [classes, classes, classes, *(int(bins.max()) + 1 for bins in self._bins)]
        offsets = np.cumsum([0, *self._widths])
        indices = np.stack([at + offset for (at, _), offset in zip(columns, offsets, strict=False)], axis=1)
        data = np.stack([values for _, values in columns], axis=1)
        each = len(columns)
        from scipy.sparse import csr_array  # noqa: PLC0415  predicting needs no SciPy

        self._sums = csr_array(
            (data.ravel(), indices.ravel(), np.arange(count + 1) * each), shape=(count, int(offsets[-1]))
        ).T.tocsr()
        self._plain = np.stack(plain, axis=1)
        self._curves = [_Curve(log_probabilities[:, label], labels == label) for label in range(classes)]

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Compute every metric for each row of weights.

        Args:
            weights: Weight of each photo, at least 0; (R, N).

        Returns:
            By name, (R, 1), or (R, classes) for those of `PER_CLASS`; NaN for a class without photos.
        """
        plain = weights @ self._plain
        total = plain[:, 0]
        sums = np.split((self._sums @ weights.T).T, np.cumsum(self._widths)[:-1], axis=1)
        support, predicted, hits, *gaps = sums
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = hits / support
            precision = np.where(predicted > 0, hits / predicted, 0.0)
        f1 = f1_scores(hits, support, predicted)
        precision[support == 0] = f1[support == 0] = np.nan
        average = np.stack([curve(weights) for curve in self._curves], axis=1)
        by_class = {"precision": precision, "recall": recall, "f1": f1, "average_precision": average}
        means = {
            "accuracy": plain[:, 1] / total,
            "balanced_accuracy": _mean(recall),
            "macro_f1": _mean(f1[:, self._scored]),
            "macro_f1_present": _mean(f1),
            "macro_precision": _mean(precision),
            "macro_recall": _mean(recall),
        }
        for name in ("precision", "recall", "f1"):
            means[f"weighted_{name}"] = np.nansum(by_class[name] * support, axis=1) / total
        for column, k in enumerate(self._top, start=4):
            means[f"top_{k}"] = plain[:, column] / total
        means["mean_average_precision"] = _mean(average)
        means["log_loss"] = plain[:, 2] / total
        means["brier"] = plain[:, 3] / total
        for name, gap in zip(("ece", "adaptive_ece"), gaps, strict=True):
            means[name] = np.abs(gap).sum(axis=1) / total
        return {name: values[:, None] for name, values in means.items()} | by_class


class _Curve:
    """The area under one class's precision-recall curve, by steps."""

    def __init__(self, scores: Floats, positive: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked, positive = scores[self._order], positive[self._order]
        # Photos of equal score share a threshold.
        ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        at = np.searchsorted(ends, np.flatnonzero(positive))
        self._ends = ends[np.unique(at)]
        self._positive = np.flatnonzero(positive)
        self._steps = np.unique(at, return_index=True)[1]

    def __call__(self, weights: Floats) -> Floats:
        if not len(self._positive):
            return np.full(len(weights), np.nan)
        ranked = weights[:, self._order]
        gained = np.add.reduceat(ranked[:, self._positive], self._steps, axis=1)
        starts = np.append(0, self._ends[:-1] + 1)
        passed = np.add.reduceat(ranked[:, : self._ends[-1] + 1], starts, axis=1).cumsum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(passed > 0, gained.cumsum(axis=1) / passed, 0.0)
            return (gained * precision).sum(axis=1) / gained.sum(axis=1)


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    return np.where(known, values, 0.0).sum(axis=1) / np.maximum(counts, 1)


def measure(
    log_probabilities: Floats,
    labels: Ints,
    groups: Ints,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, list[Estimate | None]]:
    """Compute every metric of a classifier, each with its bootstrap interval.

    Args:
        log_probabilities: Natural logarithms of probabilities, (N, classes).
        labels: True class indices, (N,).
        groups: Number of each photo's group, from 0 (`activitynet.data.dataset.group_numbers`), (N,).
        resamples: Number of bootstrap resamples.
        confidence: Confidence level of the intervals, in (0, 1).
        seed: Seed of the resampling.

    Returns:
        By name: one estimate, or one a class for those of `PER_CLASS`.

    Raises:
        DataError: There are no photos, or an argument is out of range.
    """
    return bootstrap_intervals(
        WeightedMetrics(log_probabilities, labels),
        groups,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
        pivotal=BIASED_UP,
    )


MIN_SUPPORT = 30
"""Classes with fewer photos are left out of macro-F1: their F1 moves more by chance than by skill."""


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Attributes:
        name: The class.
        precision: Share of the photos predicted as this class that are of it, in [0, 1].
        recall: Share of this class's photos that are predicted as it, in [0, 1].
        f1: Harmonic mean of precision and recall, in [0, 1].
        support: Number of photos of this class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """Scores of a classifier on labelled photos.

    Attributes:
        photos: Number of photos.
        accuracy: Share of photos whose most probable class is the right one, in [0, 1].
        macro_f1: Mean F1 of the classes in `scored`; it picks a run's best epoch.
        macro_f1_present: Mean F1 of all classes that have photos.
        scored: The classes that `macro_f1` averages over: those with at least 30 photos, or all with
            photos where fewer than two have so many.
        classes: One entry a class, in the classifier's order, with photos or without.
        confusion: Confusion matrix of counts; rows are true classes, columns predicted ones.
        skipped: Photos that cannot be read and were left out.
    """

    photos: int
    accuracy: float
    macro_f1: float
    macro_f1_present: float
    scored: tuple[str, ...]
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    skipped: tuple[SkippedPhoto, ...] = ()

    def averaged_over(self) -> str:
        """Return what `macro_f1` is, with the number of classes, and the minimum of photos if it applies."""
        classes = "classes" if len(self.scored) > 1 else "class"
        supports = {entry.name: entry.support for entry in self.classes}
        if all(supports[name] >= MIN_SUPPORT for name in self.scored):
            return f"mean F1 of {len(self.scored)} {classes} with at least {MIN_SUPPORT} photos"
        return f"mean F1 of {len(self.scored)} {classes} with photos"

    def summary(self) -> str:
        """Return the scores on one line, with the number of classes they average over."""
        present = sum(entry.support > 0 for entry in self.classes)
        line = (
            f"macro-F1 {self.macro_f1:.3f} over {len(self.scored)} classes, accuracy {self.accuracy:.3f} "
            f"on {self.photos} photos"
        )
        if present != len(self.scored):
            line += f" (macro-F1 {self.macro_f1_present:.3f} over all {present} classes with photos)"
        if self.skipped:
            line += f"; {skipped_message(count_skipped(self.skipped))}"
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


def scored_classes(support: Ints) -> NDArray[np.bool_]:
    """Return which classes macro-F1 averages over: see `Scores`.

    Args:
        support: Number of photos of each class, (classes,).
    """
    enough: NDArray[np.bool_] = support >= MIN_SUPPORT
    return enough if enough.sum() >= 2 else support > 0


def f1_scores(hits: ArrayLike, support: ArrayLike, predicted: ArrayLike) -> Floats:
    """Return F1 from counts or sums of weights; 0 for a class that neither occurs nor is predicted.

    Args:
        hits: Photos of the class that are predicted as it; (…, classes).
        support: Photos of the class; the same shape.
        predicted: Photos predicted as the class; the same shape.
    """
    both = np.add(support, predicted, dtype=np.float64)
    return np.divide(np.multiply(2.0, hits), both, out=np.zeros_like(both), where=both > 0)


def confusion_counts(labels: Ints, predicted: Ints, classes: int) -> Ints:
    """Return the confusion matrix, int64 (classes, classes): rows are true, columns predicted classes."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


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
        The scores. A class that neither occurs nor is predicted has precision, recall and F1 of 0.

    Raises:
        DataError: There are no photos to score.
    """
    truth, guess = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if truth.size == 0:
        raise DataError("there are no labelled photos to score; check that this split has photos.")
    counts = confusion_counts(truth, guess, len(classes))
    hits, support, named = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    precision, recall = hits / np.maximum(named, 1), hits / np.maximum(support, 1)
    f1 = f1_scores(hits, support, named)
    scored = scored_classes(support)
    return Scores(
        photos=int(truth.size),
        accuracy=float((truth == guess).mean()),
        macro_f1=float(f1[scored].mean()),
        macro_f1_present=float(f1[support > 0].mean()),
        scored=tuple(name for name, chosen in zip(classes, scored, strict=True) if chosen),
        classes=tuple(
            ClassScore(name, float(p), float(r), float(f), int(s))
            for name, p, r, f, s in zip(classes, precision, recall, f1, support, strict=True)
        ),
        confusion=tuple(tuple(row) for row in counts.tolist()),
        skipped=skipped,
    )
