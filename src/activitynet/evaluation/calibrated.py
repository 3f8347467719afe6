"""How a model is calibrated: what is fitted, and what it is worth on photos it was not fitted on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from activitynet.errors import DataError, did_you_mean
from activitynet.evaluation.answers import Answers
from activitynet.evaluation.bootstrap import Floats, Ints
from activitynet.evaluation.calibration import expected_calibration_error, fit_temperature, log_softmax
from activitynet.evaluation.scaling import fit_vector_scaling
from activitynet.evaluation.unknown import threshold_for_risk

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
    answers: Answers, *, method: Method = "temperature", risk: float | None = None, seed: int = 0
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
