"""What a few seeds can tell: intervals, paired differences, and ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from activitynet.evaluation.stats import CONFIDENCE, Estimate

RANKED_FROM = 5
"""Seeds from which configurations are ranked: with fewer no difference of ranks can be shown."""


def mean_intervals(scores: Sequence[Sequence[float]]) -> list[Estimate | None]:
    """Return each configuration's mean over seeds, with a 95 % interval by Student's distribution.

    An interval says where the mean over all seeds lies, on these photos. It does not know that other photos
    would give another score; `activitynet evaluate` says how far. Seeds are taken to scatter one
    configuration as widely as another: two of them alone say next to nothing of how widely.

    Args:
        scores: For each configuration, a score for each of the same seeds.

    Returns:
        An estimate for each; `None` without two seeds.

    Example:
        >>> print(*mean_intervals([[0.5, 0.6]]))
        0.550 (-0.085 to 1.185)
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        return [None] * len(scores)
    from scipy.stats import t  # noqa: PLC0415  only studies need it

    count, seeds = table.shape
    means = table.mean(axis=1)
    freedom = count * (seeds - 1)
    error = math.sqrt(float(((table - means[:, None]) ** 2).sum()) / freedom / seeds)
    half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return [Estimate(mean, mean - half, mean + half) for mean in means.tolist()]


@dataclass(frozen=True)
class Difference:
    """By how much a configuration scores above the base, seed by seed.

    Attributes:
        seeds: Seeds that both were trained with.
        mean: Mean difference.
        low: Lower end of its 95 % interval; `None` without two seeds.
        high: Upper end.
        p_value: Of Student's test; `None` without two seeds.
        adjusted: The same, after Holm, for as many comparisons as the study makes.
    """

    seeds: int
    mean: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    adjusted: float | None = None

    @property
    def is_shown(self) -> bool:
        """Whether the difference is more than chance between seeds, at 5 % for the whole study."""
        return self.adjusted is not None and self.adjusted < 1 - CONFIDENCE

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as plain JSON values."""
        return asdict(self)


def differences(base: Sequence[float], others: Sequence[Sequence[float]]) -> list[Difference]:
    """Compare configurations with a base of the same seeds, by a two-way analysis of variance.

    A seed fixes the weights that a run begins with and the order of the photos, so what it does to all of
    them cancels out. What remains is taken for chance that is as wide for one configuration as for another:
    with 2 seeds a pair alone would have one degree of freedom, and show nothing; 12 configurations have 11.
    With a single other one it is Student's paired test.

    Args:
        base: A score a seed.
        others: For each other configuration, a score for each of the same seeds.

    Returns:
        A difference for each of the others; p-values are adjusted by `holm`.
    """
    scores = np.asarray([base, *others], dtype=np.float64)
    count, seeds = scores.shape
    means = scores.mean(axis=1)
    gains = (means[1:] - means[0]).tolist()
    if seeds < 2 or not gains:
        return [Difference(seeds, gain) for gain in gains]
    from scipy.stats import t  # noqa: PLC0415  only studies need it

    residuals = scores - means[:, None] - scores.mean(axis=0) + scores.mean()
    freedom = (count - 1) * (seeds - 1)
    error = math.sqrt(float((residuals**2).sum()) / freedom * 2 / seeds)
    half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    if error < 1e-12:  # the same at every seed: two are the same, or a miracle
        p_values = [1.0 if abs(gain) < 1e-12 else 0.0 for gain in gains]
    else:
        p_values = [float(2 * t.sf(abs(gain) / error, freedom)) for gain in gains]
    return [
        Difference(seeds, gain, gain - half, gain + half, p_value, adjusted)
        for gain, p_value, adjusted in zip(gains, p_values, holm(p_values), strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number, so that one wrong finding in the whole is rare (Holm 1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        highest = max(highest, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = highest
    return adjusted


@dataclass(frozen=True)
class Ranks:
    """How configurations rank over seeds.

    Attributes:
        means: Mean rank of each, 1 being best.
        p_value: Friedman's test: how probable such ranks are if all are alike.
        critical: Mean ranks further apart than this differ (Nemenyi's test at 5 %).
    """

    means: tuple[float, ...]
    p_value: float
    critical: float

    def to_dict(self) -> dict[str, Any]:
        """Return the ranks as plain JSON values."""
        return asdict(self) | {"means": list(self.means)}


def ranked(scores: Sequence[Sequence[float]]) -> Ranks | None:
    """Rank configurations at each seed, and say how far apart mean ranks must be (Demšar 2006).

    https://jmlr.org/papers/v7/demsar06a.html

    Args:
        scores: A row a configuration, a column a seed.

    Returns:
        The ranks; `None` with fewer than 3 configurations or `RANKED_FROM` seeds.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 3 or table.shape[1] < RANKED_FROM:
        return None
    from scipy.stats import friedmanchisquare, rankdata, studentized_range  # noqa: PLC0415  only studies

    count, seeds = table.shape
    means = rankdata(-table, axis=0).mean(axis=1)
    same = bool((table == table[0]).all())
    p_value = 1.0 if same else float(friedmanchisquare(*table).pvalue)
    quantile = float(studentized_range.ppf(CONFIDENCE, count, np.inf)) / math.sqrt(2)
    critical = quantile * math.sqrt(count * (count + 1) / (6 * seeds))
    return Ranks(tuple(means.tolist()), p_value, critical)


def pareto(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Return which are on the front: no other scores at least as well for less, or better for the same.

    Returns:
        Indices, the cheapest first.

    Example:
        >>> pareto([3, 1, 2], [0.9, 0.5, 0.4])
        [1, 0]
    """
    front: list[int] = []
    for at in sorted(range(len(costs)), key=lambda at: (costs[at], -scores[at])):
        if not front or scores[at] > scores[front[-1]]:
            front.append(at)
    return front
