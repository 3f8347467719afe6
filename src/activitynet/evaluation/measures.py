"""What can be measured of probabilities and labels, for many weightings of the photos at once.

scikit-learn has these measures for one weighting; a bootstrap of a thousand would take it minutes. The tests
hold them against it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from activitynet.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Estimate, Floats, Ints, intervals
from activitynet.evaluation.calibration import confidence_bins
from activitynet.evaluation.metrics import scored_classes

TOP = (2, 3, 5)
"""The k of top-k accuracy; those that are less than the number of classes."""

PER_CLASS = ("precision", "recall", "f1", "average_precision")
"""The measures of each class."""

FLATTERED = frozenset({"ece", "adaptive_ece", "average_precision", "mean_average_precision"})
"""Measures that resampling makes larger: by chance alone, or by photos that are there twice."""

_TINY = 1e-15


class Measures:
    """The measures of a classifier on labelled photos, as a function of how much each photo counts.

    Args:
        log_probabilities: Logarithms of probabilities, (N, classes).
        labels: True class indices, (N,).
    """

    def __init__(self, log_probabilities: Floats, labels: Ints) -> None:
        count, classes = log_probabilities.shape
        rows = np.arange(count)
        self._classes = classes
        self._scored = scored_classes(np.bincount(labels, minlength=classes))
        self._top = [k for k in TOP if k < classes]
        guesses = log_probabilities.argmax(axis=1)
        right = guesses == labels
        probabilities = np.exp(log_probabilities)
        own = log_probabilities[rows, labels]
        # How many other classes are at least as probable as the label; of equals, the first one counts.
        ahead = (log_probabilities > own[:, None]).sum(axis=1)
        ahead += ((log_probabilities == own[:, None]) & (np.arange(classes) < labels[:, None])).sum(axis=1)
        target = np.zeros_like(probabilities)
        target[rows, labels] = 1
        plain = [
            np.ones(count),
            right.astype(np.float64),
            -np.log(np.maximum(np.exp(own), _TINY)),
            ((probabilities - target) ** 2).sum(axis=1),
            *((ahead < k).astype(np.float64) for k in self._top),
        ]
        confidence = probabilities.max(axis=1)
        self._bins = [confidence_bins(confidence, adaptive=adaptive) for adaptive in (False, True)]
        columns = [
            (labels, np.ones(count)),
            (guesses, np.ones(count)),
            (labels, right.astype(np.float64)),
            *((bins, right - confidence) for bins in self._bins),
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
        """Measure once for each weighting.

        Args:
            weights: How much each photo counts, from 0; (R, N).

        Returns:
            By name, (R, 1), and (R, classes) for those of `PER_CLASS`; NaN for a class without photos.
        """
        plain = weights @ self._plain
        total = plain[:, 0]
        sums = np.split((self._sums @ weights.T).T, np.cumsum(self._widths)[:-1], axis=1)
        support, predicted, hits, *gaps = sums
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = hits / support
            precision = np.where(predicted > 0, hits / predicted, 0.0)
            precision[support == 0] = np.nan
            f1 = 2 * hits / (support + predicted)
            f1[support == 0] = np.nan
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
    """The area under one class's precision-recall curve, as steps."""

    def __init__(self, scores: Floats, positive: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked, positive = scores[self._order], positive[self._order]
        # Photos of equal score are passed together: a threshold can only lie after the last of them.
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


def measured(
    log_probabilities: Floats,
    labels: Ints,
    groups: Ints,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, list[Estimate | None]]:
    """Measure a classifier, each number with its bootstrap interval.

    Args:
        log_probabilities: Logarithms of probabilities, (N, classes).
        labels: True class indices, (N,).
        groups: Numbers of the photos' groups from 0 (`activitynet.data.splits.group_numbers`), (N,).
        resamples: How many.
        confidence: How often an interval should hold the truth, in (0, 1).
        seed: Fixes what is drawn.

    Returns:
        By name: one estimate, or one a class for those of `PER_CLASS`.

    Raises:
        DataError: There are no photos, or an argument is out of range.
    """
    return intervals(
        Measures(log_probabilities, labels),
        groups,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
        pivotal=FLATTERED,
    )
