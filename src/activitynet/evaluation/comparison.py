"""Two models on the same photos: which one is better, by how much, and whether that can be chance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from activitynet.errors import DataError
from activitynet.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Estimate, Floats, Ints, intervals
from activitynet.evaluation.metrics import scored_classes


@dataclass(frozen=True)
class Comparison:
    """By how much the second model is better than the first.

    Attributes:
        photos: How many both were asked about.
        accuracy: Difference of the accuracies.
        macro_f1: Difference of the macro-F1 scores, over the classes with at least 30 photos.
        only_first: Photos that only the first is right about.
        only_second: Photos that only the second is right about.
        p_value: McNemar's exact test: how probable a difference at least so large is if both err alike. It
            takes photos for independent, which those of one group are not: then trust the interval.
        confidence: That of the intervals.
    """

    photos: int
    accuracy: Estimate
    macro_f1: Estimate
    only_first: int
    only_second: int
    p_value: float
    confidence: float = CONFIDENCE

    def sentence(self, first: str, second: str) -> str:
        """Say it in one line.

        Args:
            first: What to call the first model.
            second: What to call the second.
        """
        points = self.accuracy
        low, high = 100 * points.low, 100 * points.high
        sure = f"{self.confidence:.0%} interval {_signed(low)} to {_signed(high)}".replace("%", " %")
        evidence = (
            f"({sure}; right alone about {self.only_second} photos against {self.only_first}, "
            f"McNemar p = {self.p_value:.2g}) on {self.photos} photos."
        )
        if low <= 0 <= high:
            return (
                f"No difference between {first} and {second} is shown: {_signed(100 * points.value)} points "
                f"of accuracy {evidence}"
            )
        word = "better" if points.value > 0 else "worse"
        return (
            f"{second} is {word} than {first} by {abs(100 * points.value):.1f} points of accuracy {evidence}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values."""
        return asdict(self)


def compared(
    labels: Ints,
    first: Ints,
    second: Ints,
    groups: Ints,
    *,
    classes: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Comparison:
    """Compare two models by a paired bootstrap and by McNemar's test (McNemar 1947).

    Both models are scored on the same resamples, so what makes photos hard for both cancels out.

    Args:
        labels: True class indices, (N,).
        first: What the first model says, (N,).
        second: What the second says, (N,).
        groups: Numbers of the photos' groups from 0, (N,).
        classes: How many there are.
        resamples: How many.
        confidence: How often an interval should hold the truth, in (0, 1).
        seed: Fixes what is drawn.

    Raises:
        DataError: The numbers of photos differ, or there are none.
    """
    if not len(labels) == len(first) == len(second) == len(groups):
        raise DataError("both models have to answer for the same photos; evaluate them on the same split.")
    right, other = first == labels, second == labels
    scored = scored_classes(np.bincount(labels, minlength=classes))

    def difference(weights: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        gain = (weights @ (other.astype(np.float64) - right)) / total
        f1 = [_macro_f1(weights, labels, guess, classes)[:, scored] for guess in (first, second)]
        return {
            "accuracy": gain[:, None],
            "macro_f1": (f1[1] - f1[0]).mean(axis=1, keepdims=True),
        }

    found = intervals(difference, groups, resamples=resamples, confidence=confidence, seed=seed)
    (accuracy,), (macro_f1,) = found["accuracy"], found["macro_f1"]
    if accuracy is None or macro_f1 is None:
        raise DataError("there are no labelled photos to compare on.")
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    differ = only_first + only_second
    from scipy.stats import binomtest  # noqa: PLC0415  predicting needs no SciPy

    return Comparison(
        photos=len(labels),
        accuracy=accuracy,
        macro_f1=macro_f1,
        only_first=only_first,
        only_second=only_second,
        p_value=float(binomtest(only_first, differ).pvalue) if differ else 1.0,
        confidence=confidence,
    )


def _macro_f1(weights: Floats, labels: Ints, guesses: Ints, classes: int) -> Floats:
    eye = np.eye(classes)
    both = weights @ (eye[labels] + eye[guesses])
    hits = weights @ (eye[labels] * (labels == guesses)[:, None])
    return 2 * hits / np.maximum(both, 1)


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−")
