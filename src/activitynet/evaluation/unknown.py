"""When to say nothing: how often a model is wrong among the answers that it is surest of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from activitynet.errors import DataError
from activitynet.evaluation.bootstrap import CONFIDENCE, Floats

_LOOKS = 20


def risk_coverage(confidence: Floats, right: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Return how often a model is wrong about the photos that it is surest of, for every share of them.

    El-Yaniv and Wiener 2010, https://www.jmlr.org/papers/v11/el-yaniv10a.html.

    Args:
        confidence: Probability of the most probable class, (N,).
        right: Whether that class is the right one, (N,).

    Returns:
        For each different confidence as a threshold, falling: the threshold, the share of photos at or above
        it (coverage), and the share of them that are wrong (risk).

    Raises:
        DataError: There are no photos.
    """
    if not len(right):
        raise DataError("there are no labelled photos to measure risk on.")
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    answered = last + 1
    wrong = np.cumsum(~right[order])[last]
    return ranked[last], answered / len(right), wrong / answered


def threshold_for_risk(
    confidence: Floats, right: NDArray[np.bool_], risk: float, *, sureness: float = CONFIDENCE
) -> float:
    """Choose how probable the most probable class has to be, so that few answers are wrong.

    Photos below the threshold are called unknown. Looked at are the thresholds that answer 5, 10, … 100 % of
    the photos. Chosen is the one that answers most, of those whose risk is at most the stated one even at the
    upper end of its interval (Clopper and Pearson 1934, shared among all by Bonferroni): so the promise holds
    on other photos of the same kind, with the given sureness. It takes photos for independent. After Geifman
    and El-Yaniv 2017, https://arxiv.org/abs/1705.08500.

    Args:
        confidence: Probability of the most probable class, (N,), of photos that were not learned from.
        right: Whether that class is the right one, (N,).
        risk: Share of answers that may be wrong, in (0, 1).
        sureness: In (0, 1).

    Returns:
        A probability; a photo is answered when its own is not below it.

    Raises:
        DataError: The risk is out of range, or cannot be promised for any threshold.
    """
    if not 0 < risk < 1:
        raise DataError(f"risk must lie in (0, 1), got {risk!r}.")
    thresholds, coverage, errors = risk_coverage(confidence, right)
    answered = np.round(coverage * len(right))
    wrong = np.round(errors * answered)
    looked_at = np.unique(np.searchsorted(coverage, np.arange(1, _LOOKS + 1) / _LOOKS - 1e-9))
    answered, wrong = answered[looked_at], wrong[looked_at]
    from scipy.stats import beta  # noqa: PLC0415  predicting needs no SciPy

    bound = beta.ppf(1 - (1 - sureness) / _LOOKS, wrong + 1, np.maximum(answered - wrong, 1e-9))
    safe = np.flatnonzero(bound <= risk)
    if not len(safe):
        raise DataError(
            f"no threshold promises a risk of {risk:g} on these {len(right)} photos: allow more, or give "
            "more labelled photos."
        )
    return float(thresholds[looked_at[safe[-1]]])
