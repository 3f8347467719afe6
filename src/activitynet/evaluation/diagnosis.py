"""Compare models photo by photo, and find where one fails."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activitynet.errors import DataError
from activitynet.evaluation.metrics import confusion_counts, f1_scores, scored_classes
from activitynet.evaluation.outputs import Outputs
from activitynet.evaluation.stats import CONFIDENCE, RESAMPLES, Estimate, Floats, Ints, bootstrap_intervals


@dataclass(frozen=True)
class Comparison:
    """Difference between a second model and a first one on the same photos.

    Attributes:
        photos: Number of photos.
        accuracy: Difference of the accuracies.
        macro_f1: Difference of the macro-F1 scores; see `Scores.scored` for the classes.
        only_first: Photos that only the first predicts correctly.
        only_second: Photos that only the second predicts correctly.
        p_value: Of McNemar's exact test. It assumes independent photos; where photos have groups, use the
            interval.
        confidence: Confidence level of the intervals.
    """

    photos: int
    accuracy: Estimate
    macro_f1: Estimate
    only_first: int
    only_second: int
    p_value: float
    confidence: float = CONFIDENCE

    def sentence(self, first: str, second: str) -> str:
        """Return the comparison as one sentence.

        Args:
            first: Name of the first model.
            second: Name of the second.
        """
        points = self.accuracy
        low, high = 100 * points.low, 100 * points.high
        sure = f"{self.confidence:.0%} interval {_signed(low)} to {_signed(high)}".replace("%", " %")
        evidence = (
            f"({sure}; {self.only_second} photos right by it alone, {self.only_first} by the other alone; "
            f"McNemar p = {self.p_value:.2g}) on {self.photos} photos."
        )
        if low <= 0 <= high:
            return (
                f"No significant difference between {first} and {second}: "
                f"{_signed(100 * points.value)} points of accuracy {evidence}"
            )
        word = "better" if points.value > 0 else "worse"
        return (
            f"{second} is {word} than {first} by {abs(100 * points.value):.1f} points of accuracy {evidence}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values."""
        return asdict(self)


def compare(
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

    Both models are scored on the same resamples, so that the difficulty of photos cancels out.

    Args:
        labels: True class indices, (N,).
        first: Classes that the first model predicts, (N,).
        second: Classes that the second predicts, (N,).
        groups: Number of each photo's group, from 0, (N,).
        classes: Number of classes.
        resamples: Number of bootstrap resamples.
        confidence: Confidence level, in (0, 1).
        seed: Seed of the resampling.

    Raises:
        DataError: The numbers of photos differ, or there are none.
    """
    if not len(labels) == len(first) == len(second) == len(groups):
        raise DataError("both models need predictions for the same photos; evaluate them on the same split.")
    right, other = first == labels, second == labels
    scored = scored_classes(np.bincount(labels, minlength=classes))

    def difference(weights: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        gain = (weights @ (other.astype(np.float64) - right)) / total
        f1 = [_weighted_f1(weights, labels, guess, classes)[:, scored] for guess in (first, second)]
        return {
            "accuracy": gain[:, None],
            "macro_f1": (f1[1] - f1[0]).mean(axis=1, keepdims=True),
        }

    found = bootstrap_intervals(difference, groups, resamples=resamples, confidence=confidence, seed=seed)
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


def _weighted_f1(weights: Floats, labels: Ints, predicted: Ints, classes: int) -> Floats:
    eye = np.eye(classes)
    hits = eye[labels] * (labels == predicted)[:, None]
    return f1_scores(weights @ hits, weights @ eye[labels], weights @ eye[predicted])


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−")


MIN_SLICE = 10
"""Smallest slice that is reported."""

_SHOWN_PHOTOS = 4


@dataclass(frozen=True)
class Slice:
    """A subset of the photos, by a property that should not matter.

    Attributes:
        kind: The property: ``"source"``, ``"group"``, ``"size"``, ``"shape"`` or ``"brightness"``.
        name: Its value or range.
        photos: Number of photos.
        accuracy: Accuracy on them, in [0, 1].
        low: Lower end of its 95 % interval (Wilson 1927).
        high: Upper end. Slices are ranked by it, so that small ones do not come first by chance.
        rest: Accuracy on all other photos.
    """

    kind: str
    name: str
    photos: int
    accuracy: float
    low: float
    high: float
    rest: float

    def to_dict(self) -> dict[str, Any]:
        """Return the slice as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Confusion:
    """One class predicted as another.

    Attributes:
        label: The true class.
        predicted: The predicted class.
        count: Number of photos.
        share: Share of the true class's photos, in [0, 1].
        damage: Gain in macro-F1 if these photos were predicted correctly.
        photos: Indices of some of them, those with the most confident predictions first.
    """

    label: str
    predicted: str
    count: int
    share: float
    damage: float
    photos: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the confusion as plain JSON values."""
        return asdict(self)


def slices(outputs: Outputs, *, least: int = MIN_SLICE) -> list[Slice]:
    """Return accuracy by source, group, shape, and quarter of size and brightness, the worst first.

    Args:
        outputs: A model's outputs.
        least: Smallest number of photos of a slice.
    """
    right = outputs.predicted == outputs.labels
    found = []
    for kind, name, inside in _cuts(outputs, least):
        count = int(inside.sum())
        if least <= count < len(right):
            low, high = _wilson(int(right[inside].sum()), count)
            accuracy, rest = float(right[inside].mean()), float(right[~inside].mean())
            found.append(Slice(kind, name, count, accuracy, low, high, rest))
    return sorted(found, key=lambda part: (part.high, part.kind, part.name))


def _cuts(outputs: Outputs, least: int) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for kind in ("source", "group"):
        values = np.array([getattr(photo, kind) for photo in outputs.photos], dtype=object)
        named, numbers, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
        for number in np.flatnonzero((counts >= least) & (named != "")):
            yield kind, str(named[number]), numbers == number
    pixels = outputs.sizes.prod(axis=1).astype(np.float64)
    yield from _quarters("size", pixels, ",.0f", "pixels")
    yield from _quarters("brightness", outputs.brightness.astype(np.float64), ".2f", "of white")
    ratio = outputs.sizes[:, 0] / outputs.sizes[:, 1]
    yield "shape", "portrait", ratio < 0.9
    yield "shape", "about square", (ratio >= 0.9) & (ratio <= 1.1)
    yield "shape", "landscape", (ratio > 1.1) & (ratio <= 2)
    yield "shape", "panorama (wider than 2:1)", ratio > 2


def _quarters(
    kind: str, values: NDArray[np.float64], form: str, unit: str
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    ends = np.unique(np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    for number, (low, high) in enumerate(itertools.pairwise(ends)):
        inside = (values >= low if number == 0 else values > low) & (values <= high)
        yield kind, f"{low:{form}} to {high:{form}} {unit}", inside


def _wilson(right: int, count: int) -> tuple[float, float]:
    from scipy.special import ndtri  # noqa: PLC0415  predicting needs no SciPy

    z = float(ndtri((1 + CONFIDENCE) / 2))
    share = right / count
    centre = share + z * z / (2 * count)
    spread = z * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    whole = 1 + z * z / count
    return (centre - spread) / whole, (centre + spread) / whole


def confusions(outputs: Outputs, *, count: int = 10) -> list[Confusion]:
    """Return the most damaging confusions: those that cost most macro-F1.

    Args:
        outputs: A model's outputs.
        count: Largest number to return.
    """
    labels, predicted, classes = outputs.labels, outputs.predicted, len(outputs.classes)
    counts = confusion_counts(labels, predicted, classes)
    scored = scored_classes(counts.sum(axis=1))
    whole = _f1(counts)[scored].mean()
    confidence = outputs.log_probabilities.max(axis=1)
    found = []
    for label, guess in zip(*np.nonzero(counts), strict=True):
        if label == guess:
            continue
        corrected = counts.copy()
        corrected[label, label] += corrected[label, guess]
        corrected[label, guess] = 0
        members = np.flatnonzero((labels == label) & (predicted == guess))
        most_confident = members[np.argsort(-confidence[members], kind="stable")][:_SHOWN_PHOTOS]
        found.append(
            Confusion(
                label=outputs.classes[label],
                predicted=outputs.classes[guess],
                count=int(counts[label, guess]),
                share=float(counts[label, guess] / counts[label].sum()),
                damage=float(_f1(corrected)[scored].mean() - whole),
                photos=tuple(most_confident.tolist()),
            )
        )
    return sorted(found, key=lambda pair: (-pair.damage, pair.label, pair.predicted))[:count]


def _f1(counts: Ints) -> Floats:
    return f1_scores(counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0))


def top_losses(outputs: Outputs, *, count: int = 24) -> list[int]:
    """Return the indices of the photos with the highest loss, the highest first."""
    own = outputs.log_probabilities[np.arange(len(outputs.photos)), outputs.labels]
    worst: list[int] = np.argsort(own, kind="stable")[:count].tolist()
    return worst
