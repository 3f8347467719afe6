"""Compare models photo by photo, and find where one fails."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activitynet.errors import DataError
from activitynet.evaluation.metrics import Outputs, scored_classes
from activitynet.evaluation.stats import CONFIDENCE, RESAMPLES, Estimate, Floats, Ints, intervals


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


MIN_SLICE = 10
"""Photos that a slice has at least: of fewer, nothing can be said."""

_SHOWN_PHOTOS = 4


@dataclass(frozen=True)
class Slice:
    """Some of the photos, by something that should not matter.

    Attributes:
        kind: What they are cut by: ``"source"``, ``"group"``, ``"size"``, ``"shape"`` or ``"brightness"``.
        name: Which they are.
        photos: How many.
        accuracy: Share of them that is right.
        low: Lower end of its 95 % interval (Wilson 1927).
        high: Upper end: by this, slices are ranked, so that a small one does not come first by chance.
        rest: Accuracy of all other photos.
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
    """One class taken for another.

    Attributes:
        label: The true class.
        predicted: What it is taken for.
        count: How many photos.
        share: Of the true class's photos, in [0, 1].
        damage: By how much macro-F1 would rise if these photos were right.
        photos: Indices of those the model is surest of, some of them.
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


def slices(answers: Outputs, *, least: int = MIN_SLICE) -> list[Slice]:
    """Return the slices of the photos, the worst first.

    Cut are sources, groups, shapes, and quarters by size and by brightness.

    Args:
        answers: Of a model.
        least: Photos that a slice has to have.
    """
    right = answers.guesses == answers.labels
    found = []
    for kind, name, inside in _cuts(answers, least):
        count = int(inside.sum())
        if least <= count < len(right):
            low, high = _wilson(int(right[inside].sum()), count)
            accuracy, rest = float(right[inside].mean()), float(right[~inside].mean())
            found.append(Slice(kind, name, count, accuracy, low, high, rest))
    return sorted(found, key=lambda part: (part.high, part.kind, part.name))


def _cuts(answers: Outputs, least: int) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for kind in ("source", "group"):
        values = np.array([getattr(photo, kind) for photo in answers.photos], dtype=object)
        named, numbers, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
        for number in np.flatnonzero((counts >= least) & (named != "")):
            yield kind, str(named[number]), numbers == number
    pixels = answers.sizes.prod(axis=1).astype(np.float64)
    yield from _quarters("size", pixels, ",.0f", "pixels")
    yield from _quarters("brightness", answers.brightness.astype(np.float64), ".2f", "of white")
    ratio = answers.sizes[:, 0] / answers.sizes[:, 1]
    yield "shape", "upright", ratio < 0.9
    yield "shape", "about square", (ratio >= 0.9) & (ratio <= 1.1)
    yield "shape", "lying", (ratio > 1.1) & (ratio <= 2)
    yield "shape", "more than twice as wide as high", ratio > 2


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


def confusions(answers: Outputs, *, count: int = 10) -> list[Confusion]:
    """Return the pairs of classes whose confusion costs most macro-F1.

    Args:
        answers: Of a model.
        count: How many to return at most.
    """
    labels, guesses, classes = answers.labels, answers.guesses, len(answers.classes)
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, guesses), 1)
    scored = scored_classes(counts.sum(axis=1))
    whole = _f1(counts)[scored].mean()
    confidence = answers.log_probabilities.max(axis=1)
    found = []
    for label, guess in zip(*np.nonzero(counts), strict=True):
        if label == guess:
            continue
        mended = counts.copy()
        mended[label, label] += mended[label, guess]
        mended[label, guess] = 0
        members = np.flatnonzero((labels == label) & (guesses == guess))
        surest = members[np.argsort(-confidence[members], kind="stable")][:_SHOWN_PHOTOS]
        found.append(
            Confusion(
                label=answers.classes[label],
                predicted=answers.classes[guess],
                count=int(counts[label, guess]),
                share=float(counts[label, guess] / counts[label].sum()),
                damage=float(_f1(mended)[scored].mean() - whole),
                photos=tuple(surest.tolist()),
            )
        )
    return sorted(found, key=lambda pair: (-pair.damage, pair.label, pair.predicted))[:count]


def _f1(counts: Ints) -> NDArray[np.float64]:
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return 2 * counts.diagonal() / np.maximum(both, 1)


def top_losses(answers: Outputs, *, count: int = 24) -> list[int]:
    """Return the indices of the photos whose label the model finds least probable, the worst first."""
    own = answers.log_probabilities[np.arange(len(answers.photos)), answers.labels]
    worst: list[int] = np.argsort(own, kind="stable")[:count].tolist()
    return worst
