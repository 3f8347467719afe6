"""Fit and measure calibrated probabilities, and the threshold for `unknown`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from activitynet.errors import DataError, ModelError, did_you_mean
from activitynet.evaluation.metrics import Outputs
from activitynet.evaluation.stats import BINS, CONFIDENCE, Floats, Ints, confidence_bins, log_softmax

_INVERSE_TEMPERATURES = (1e-2, 1e2)
_BISECTIONS = 50  # halve that interval to about 1e-13


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """Return the temperature under which the labels are most probable (Guo et al. 2017).

    Dividing logits by it changes how sure a model says it is, and never which class it names.
    https://arxiv.org/abs/1706.04599

    Args:
        logits: Logits or log-probabilities, (N, classes), of photos that were not learned from.
        labels: True class indices, (N,).

    Returns:
        A number from 0.01 to 100.

    Raises:
        DataError: There are no photos.
    """
    if not len(labels):
        raise DataError("there are no labelled photos to fit a temperature on.")
    right = logits[np.arange(len(labels)), labels]
    low, high = _INVERSE_TEMPERATURES
    for _ in range(_BISECTIONS):
        # The loss is convex in the inverse temperature: its slope is zero at one place.
        middle = (low * high) ** 0.5
        said = torch.from_numpy(logits * middle).softmax(dim=1).numpy()
        slope = ((said * logits).sum(axis=1) - right).mean()
        low, high = (middle, high) if slope < 0 else (low, middle)
    return 1 / (low * high) ** 0.5


"""Bins of a calibration error, unless told."""


def expected_calibration_error(
    probabilities: Floats, labels: Ints, *, bins: int = BINS, adaptive: bool = False
) -> float:
    """Return by how much confidence and accuracy differ on average (Naeini et al. 2015).

    Args:
        probabilities: (N, classes).
        labels: True class indices, (N,).
        bins: How many.
        adaptive: Bins of as many photos each, which few photos of high confidence need; else bins of equal
            width.

    Returns:
        The mean over photos of their bin's |accuracy - confidence|, in [0, 1].

    Raises:
        DataError: There are no photos.
    """
    if not len(labels):
        raise DataError("there are no labelled photos to measure calibration on.")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    which = confidence_bins(confidence, bins=bins, adaptive=adaptive)
    gaps = np.bincount(which, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def fit_vector_scaling(logits: Floats, labels: Ints) -> tuple[Floats, Floats]:
    """Return the factors and offsets of the classes under which the labels are most probable.

    After Guo et al. 2017, https://arxiv.org/abs/1706.04599. It starts at the best temperature, and a class of
    few photos stays near it: a normal prior of deviation 1 holds the offsets to 0, and the factors, as
    multiples of the inverse temperature, to 1. Unlike a temperature it can change which class is named.

    Args:
        logits: Logits, (N, classes), of photos that were not learned from.
        labels: True class indices, (N,).

    Returns:
        Factors and offsets, (classes,) each: the logits become ``logits * factors + offsets``.

    Raises:
        DataError: There are no photos.
    """
    from scipy.optimize import minimize  # noqa: PLC0415  predicting needs no SciPy

    temperature = fit_temperature(logits, labels)
    warm = logits / temperature
    count, classes = warm.shape
    rows = np.arange(count)

    def loss(values: Floats) -> tuple[float, Floats]:
        factors, offsets = values[:classes], values[classes:]
        scaled = warm * factors + offsets
        logarithms = log_softmax(scaled)
        odds, lost = np.exp(logarithms), -logarithms[rows, labels].mean()
        odds[rows, labels] -= 1
        slopes = np.concatenate([(odds * warm).mean(axis=0), odds.mean(axis=0)])
        away = np.concatenate([factors - 1, offsets])
        return lost + (away**2).sum() / (2 * count), slopes + away / count

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    found: Floats = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found[:classes] / temperature, found[classes:]


def fold_scaling(model: nn.Module, factors: Floats, offsets: Floats) -> None:
    """Make a vector scaling part of a model's last layer, which then gives the scaled logits.

    So whatever reads the weights has it: every engine, exported files, ensembles, timm.

    Args:
        model: A model whose classifier is a linear layer; it is changed.
        factors: (classes,).
        offsets: (classes,).

    Raises:
        ModelError: The classifier is none.
    """
    head = model.get_classifier()  # type: ignore[operator]
    if not isinstance(head, nn.Linear):
        raise ModelError(
            "vector scaling becomes part of a linear classifier, which this network does not end with; "
            "choose the method 'temperature'."
        )
    with torch.no_grad():
        scale = torch.from_numpy(factors).to(head.weight)
        if head.bias is None:
            head.bias = nn.Parameter(torch.zeros_like(scale))
        head.weight *= scale[:, None]
        head.bias.mul_(scale).add_(torch.from_numpy(offsets).to(scale))


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


Method: TypeAlias = Literal["temperature", "vector"]


@dataclass(frozen=True)
class Calibration:
    """What a calibration fitted.

    Attributes:
        method: ``"temperature"`` or ``"vector"``.
        photos: How many it was fitted on.
        ece: Expected calibration error before.
        ece_held_out: The same after, each photo judged by what was fitted on the half that it is not in.
        temperature: What logits are divided by; 1 where ``factors`` do that.
        factors: What the logits of each class are multiplied with (vector scaling), or nothing.
        offsets: What is added to them.
        unknown_below: Photos whose most probable class is less probable are unknown; 0 for none.
        risk: The share of wrong answers that this was chosen for.
    """

    method: Method
    photos: int
    ece: float
    ece_held_out: float
    temperature: float
    factors: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    unknown_below: float = 0.0
    risk: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as plain JSON values."""
        return asdict(self)

    def summary(self) -> str:
        """Say in one line what it does."""
        what = f"temperature {self.temperature:.3g}" if self.method == "temperature" else "vector scaling"
        line = f"{what}, fitted on {self.photos} photos: calibration error {self.ece:.3f} before"
        line += f", {self.ece_held_out:.3f} after (on halves that were not used to fit)"
        if self.risk is not None:
            line += f"; unknown below {self.unknown_below:.3f}, so that at most {self.risk:.0%} are wrong"
        return line


def calibrated(
    answers: Outputs, *, method: Method = "temperature", risk: float | None = None, seed: int = 0
) -> Calibration:
    """Fit what makes a model's probabilities believable.

    Args:
        answers: Of photos that were not learned from.
        method: ``"temperature"`` never changes which class is named; ``"vector"`` also mends classes that
            are named too often or too seldom, and wants more photos.
        risk: Choose also below which probability a photo is unknown, so that no more than this share of the
            answers is wrong (see `threshold_for_risk`).
        seed: Fixes the halves by which the result is judged; groups stay whole.

    Raises:
        DataError: There are fewer than two groups of photos, the method is unknown, or the risk cannot be
            promised.
    """
    if method not in get_args(Method):
        raise DataError(f"unknown method {method!r}.{did_you_mean(method, get_args(Method))}")
    labels, groups = answers.labels, answers.groups
    logits = answers.logits.astype(np.float64)
    count = int(groups.max(initial=-1)) + 1
    if count < 2:
        raise DataError("calibration takes labelled photos of two groups or more; give more photos.")
    first = np.isin(groups, np.random.default_rng(seed).permutation(count)[: count // 2])
    held = np.empty_like(logits)
    for half in (first, ~first):
        held[~half] = _scaled(logits[~half], *_fit(logits[half], labels[half], method))
    factors, offsets = _fit(logits, labels, method)
    unknown_below = 0.0
    if risk is not None:
        odds = np.exp(log_softmax(_scaled(logits, factors, offsets)))
        unknown_below = threshold_for_risk(odds.max(axis=1), odds.argmax(axis=1) == labels, risk)
    return Calibration(
        method=method,
        photos=len(labels),
        ece=expected_calibration_error(np.exp(answers.log_probabilities), labels),
        ece_held_out=expected_calibration_error(np.exp(log_softmax(held)), labels),
        temperature=float(1 / factors[0]) if method == "temperature" else 1.0,
        factors=tuple(factors.tolist()) if method == "vector" else (),
        offsets=tuple(offsets.tolist()) if method == "vector" else (),
        unknown_below=unknown_below,
        risk=risk,
    )


def _fit(logits: Floats, labels: Ints, method: Method) -> tuple[Floats, Floats]:
    if method == "vector":
        return fit_vector_scaling(logits, labels)
    classes = logits.shape[1]
    return np.full(classes, 1 / fit_temperature(logits, labels)), np.zeros(classes)


def _scaled(logits: Floats, factors: Floats, offsets: Floats) -> Floats:
    return logits * factors + offsets
