"""Fit and measure calibrated probabilities, and the threshold for `unknown`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from activitynet.errors import DataError, ModelError, did_you_mean
from activitynet.evaluation.outputs import Outputs
from activitynet.evaluation.stats import BINS, CONFIDENCE, Floats, Ints, confidence_bins, log_softmax

_INVERSE_TEMPERATURES = (1e-2, 1e2)
_BISECTIONS = 50  # halve that interval to about 1e-13


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """Return the temperature that maximises the likelihood of the labels (Guo et al. 2017).

    Dividing logits by it changes the confidence, never the predicted class.
    https://arxiv.org/abs/1706.04599

    Args:
        logits: Logits or log-probabilities, (N, classes), of photos that were not trained on.
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
        # The loss is convex in the inverse temperature, so its slope has one zero.
        middle = (low * high) ** 0.5
        probabilities = torch.from_numpy(logits * middle).softmax(dim=1).numpy()
        slope = ((probabilities * logits).sum(axis=1) - right).mean()
        low, high = (middle, high) if slope < 0 else (low, middle)
    return 1 / (low * high) ** 0.5


def expected_calibration_error(
    probabilities: Floats, labels: Ints, *, bins: int = BINS, adaptive: bool = False
) -> float:
    """Return the mean gap between confidence and accuracy (Naeini et al. 2015).

    Args:
        probabilities: (N, classes).
        labels: True class indices, (N,).
        bins: Number of bins.
        adaptive: Bins with equal numbers of photos, not of equal width.

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
    """Return the vector scaling that maximises the likelihood of the labels.

    After Guo et al. 2017, https://arxiv.org/abs/1706.04599. It starts at the best temperature. A
    normal prior of deviation 1 pulls offsets to 0 and factors (as multiples of the inverse temperature) to
    1, so that classes with few photos stay near the temperature. It can change the predicted class.

    Args:
        logits: Logits, (N, classes), of photos that were not trained on.
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
        probabilities, lost = np.exp(logarithms), -logarithms[rows, labels].mean()
        probabilities[rows, labels] -= 1
        slopes = np.concatenate([(probabilities * warm).mean(axis=0), probabilities.mean(axis=0)])
        away = np.concatenate([factors - 1, offsets])
        return lost + (away**2).sum() / (2 * count), slopes + away / count

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    found: Floats = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found[:classes] / temperature, found[classes:]


def fold_scaling(model: nn.Module, factors: Floats, offsets: Floats) -> None:
    """Fold a vector scaling into a model's last layer, so that every engine and export has it.

    Args:
        model: A model whose classifier is a linear layer. It is changed in place.
        factors: (classes,).
        offsets: (classes,).

    Raises:
        ModelError: The classifier is not linear.
    """
    head = model.get_classifier()  # type: ignore[operator]
    if not isinstance(head, nn.Linear):
        raise ModelError(
            "vector scaling needs a linear classifier, which this network does not have; use the method "
            "'temperature'."
        )
    with torch.no_grad():
        scale = torch.from_numpy(factors).to(head.weight)
        if head.bias is None:
            head.bias = nn.Parameter(torch.zeros_like(scale))
        head.weight *= scale[:, None]
        head.bias.mul_(scale).add_(torch.from_numpy(offsets).to(scale))


_CANDIDATES = 20


def risk_coverage(confidence: Floats, correct: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Return the risk–coverage curve: the error rate among the most confident share of the photos.

    El-Yaniv and Wiener 2010, https://www.jmlr.org/papers/v11/el-yaniv10a.html.

    Args:
        confidence: Probability of the most probable class, (N,).
        correct: Whether that class is the right one, (N,).

    Returns:
        For each distinct confidence as threshold, descending: the threshold, the share of photos at or above
        it (coverage), and the error rate among them (risk).

    Raises:
        DataError: There are no photos.
    """
    if not len(correct):
        raise DataError("there are no labelled photos to measure risk on.")
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    answered = last + 1
    wrong = np.cumsum(~correct[order])[last]
    return ranked[last], answered / len(correct), wrong / answered


def threshold_for_risk(
    confidence: Floats, correct: NDArray[np.bool_], risk: float, *, confidence_level: float = CONFIDENCE
) -> float:
    """Return the lowest probability at which the error rate stays below a stated risk.

    Photos below the threshold are *unknown*. Candidates are the thresholds that answer 5, 10, … 100 % of the
    photos. The result is the one with the largest coverage whose risk is at most the stated one at the upper
    end of its interval (Clopper and Pearson 1934, with Bonferroni's correction), so that it holds on other
    photos of the same kind. Photos are taken as independent. After Geifman and El-Yaniv 2017,
    https://arxiv.org/abs/1705.08500.

    Args:
        confidence: Probability of the most probable class, (N,), of photos that were not trained on.
        correct: Whether that class is the right one, (N,).
        risk: Allowed error rate, in (0, 1).
        confidence_level: Of the interval, in (0, 1).

    Returns:
        A probability, in [0, 1].

    Raises:
        DataError: The risk is out of range, or no threshold reaches it.
    """
    if not 0 < risk < 1:
        raise DataError(f"risk must lie in (0, 1), got {risk!r}.")
    thresholds, coverage, errors = risk_coverage(confidence, correct)
    answered = np.round(coverage * len(correct))
    wrong = np.round(errors * answered)
    candidates = np.unique(np.searchsorted(coverage, np.arange(1, _CANDIDATES + 1) / _CANDIDATES - 1e-9))
    answered, wrong = answered[candidates], wrong[candidates]
    from scipy.stats import beta  # noqa: PLC0415  predicting needs no SciPy

    bound = beta.ppf(1 - (1 - confidence_level) / _CANDIDATES, wrong + 1, np.maximum(answered - wrong, 1e-9))
    safe = np.flatnonzero(bound <= risk)
    if not len(safe):
        raise DataError(
            f"no threshold reaches a risk of {risk:g} on these {len(correct)} photos: allow more risk, or "
            "give more labelled photos."
        )
    return float(thresholds[candidates[safe[-1]]])


Method: TypeAlias = Literal["temperature", "vector"]


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration.

    Attributes:
        method: ``"temperature"`` or ``"vector"``.
        photos: Number of photos it was fitted on.
        ece: Expected calibration error before.
        ece_held_out: The same after, each half judged by the fit on the other half.
        temperature: Logits are divided by it; 1 for vector scaling.
        factors: Factor of each class's logit (vector scaling), or empty.
        offsets: Offset of each class's logit, or empty.
        unknown_below: Photos whose most probable class is less probable are unknown; 0 for none.
        risk: The error rate that the threshold was chosen for.
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
        """Return the calibration on one line."""
        what = f"temperature {self.temperature:.3g}" if self.method == "temperature" else "vector scaling"
        line = f"{what}, fitted on {self.photos} photos: calibration error {self.ece:.3f} before"
        line += f", {self.ece_held_out:.3f} after (on halves that were not used to fit)"
        if self.risk is not None:
            line += f"; unknown below {self.unknown_below:.3f}, so that at most {self.risk:.0%} are wrong"
        return line


def fit_calibration(
    outputs: Outputs, *, method: Method = "temperature", risk: float | None = None, seed: int = 0
) -> Calibration:
    """Calibrate a model's probabilities, and choose the threshold for *unknown*.

    Args:
        outputs: Of photos that were not trained on.
        method: ``"temperature"`` never changes the predicted class; ``"vector"`` also corrects classes that
            are predicted too often or too rarely, and needs more photos.
        risk: Choose `unknown_below` for this error rate (see `threshold_for_risk`). `None` chooses none.
        seed: Seed of the halves that judge the result. Groups stay whole.

    Raises:
        DataError: There are fewer than two groups of photos, the method is unknown, or no threshold reaches
            the risk.
    """
    if method not in get_args(Method):
        raise DataError(f"unknown method {method!r}.{did_you_mean(method, get_args(Method))}")
    labels, groups = outputs.labels, outputs.groups
    logits = outputs.logits.astype(np.float64)
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
        probabilities = np.exp(log_softmax(_scaled(logits, factors, offsets)))
        unknown_below = threshold_for_risk(
            probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, risk
        )
    return Calibration(
        method=method,
        photos=len(labels),
        ece=expected_calibration_error(np.exp(outputs.log_probabilities), labels),
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
