"""Bootstrap intervals, and small numerical functions that the other modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from activitynet.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 1000
CONFIDENCE = 0.95

_CHUNK = 4_000_000  # weights held at once


@dataclass(frozen=True)
class Estimate:
    """A measured value with its interval.

    Attributes:
        value: The value on the photos as they are.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    def to_dict(self) -> dict[str, float]:
        """Return the estimate as plain JSON values."""
        return {"value": self.value, "low": self.low, "high": self.high}


def bootstrap_weights(groups: Ints, *, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """Yield how often each photo is drawn when groups are drawn with replacement (Efron 1979).

    Photos of one group, such as frames of a video, are drawn together, because their errors are correlated.

    Args:
        groups: Number of each photo's group, from 0 without gaps, (N,).
        resamples: Number of resamples, at least 1.
        seed: Seed of the draws.

    Yields:
        Counts, (some resamples, N); all chunks together have ``resamples`` rows.

    Raises:
        DataError: There are no photos, or no resamples.
    """
    if not len(groups) or resamples < 1:
        raise DataError("an interval needs at least one photo and one resample.")
    count = int(groups.max()) + 1
    draw = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(groups))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = draw.integers(0, count, (size, count)) + np.arange(size)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        yield times[:, groups].astype(np.float64)


def bootstrap_intervals(
    measure: Callable[[Floats], Mapping[str, Floats]],
    groups: Ints,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    pivotal: frozenset[str] = frozenset(),
) -> dict[str, list[Estimate | None]]:
    """Return each metric with its bootstrap interval.

    Args:
        measure: Turns weights of the photos, (R, N), into values by name, (R, M) each; NaN where a value is
            not defined.
        groups: Number of each photo's group, from 0 without gaps, (N,).
        resamples: Number of resamples.
        confidence: Confidence level of the intervals, in (0, 1).
        seed: Seed of the draws.
        pivotal: Metrics in [0, 1] that resampling makes larger, such as calibration errors. Their intervals
            are pivotal (mirrored at the value), which corrects that bias; all others are percentiles.

    Returns:
        For each name its M estimates; `None` for a value that is not defined.

    Raises:
        DataError: There are no photos, or an argument is out of range.
    """
    if not 0 < confidence < 1:
        raise DataError(f"confidence must lie in (0, 1), got {confidence!r}.")
    drawn = [measure(weights) for weights in bootstrap_weights(groups, resamples=resamples, seed=seed)]
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    found: dict[str, list[Estimate | None]] = {}
    for name, (values,) in measure(np.ones((1, len(groups)))).items():
        samples = np.concatenate([part[name] for part in drawn])
        found[name] = []
        for value, column in zip(values.tolist(), samples.T, strict=True):
            known = column[~np.isnan(column)]
            if np.isnan(value) or not len(known):
                found[name].append(None)
                continue
            low, high = np.quantile(known, ends).tolist()
            if name in pivotal:
                low, high = (min(1.0, max(0.0, 2 * value - end)) for end in (high, low))
            found[name].append(Estimate(value, low, high))
    return found


def log_softmax(logits: Floats) -> Floats:
    """Return the natural logarithms of probabilities, over the last axis."""
    log_probabilities: Floats = torch.from_numpy(logits).log_softmax(dim=-1).numpy()
    return log_probabilities


BINS = 15
"""Default number of bins of a calibration error."""


def confidence_bins(confidence: Floats, *, bins: int = BINS, adaptive: bool = False) -> Ints:
    """Return the bin of each photo by the probability of its most probable class.

    Args:
        confidence: Probability of the most probable class, in [0, 1]; (N,).
        bins: Number of bins, at least 1.
        adaptive: Bins with equal numbers of photos (Nguyen and O'Connor 2015), not of equal width.

    Returns:
        Index of each photo's bin, from 0; (N,).
    """
    if not adaptive:
        return np.minimum((confidence * bins).astype(np.int64), bins - 1)
    index = np.empty(len(confidence), dtype=np.int64)
    index[np.argsort(confidence, kind="stable")] = (
        np.arange(len(confidence)) * bins // max(1, len(confidence))
    )
    return index
