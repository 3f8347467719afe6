"""Fit a cascade: which photos need further members of an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from activitynet.ensemble.combine import Metric
from activitynet.errors import DataError
from activitynet.evaluation.calibration import fit_temperature
from activitynet.evaluation.stats import log_softmax
from activitynet.weights import Stages

if TYPE_CHECKING:
    from activitynet.ensemble.ensemble import Ensemble


def fit_cascade(
    ensemble: Ensemble,
    log_probs: NDArray[np.float64],
    labels: NDArray[np.int64],
    metric: Metric,
    *,
    loss: float = 0.003,
) -> Stages:
    """Return the stages that run the fewest members at a stated loss of score.

    Args:
        ensemble: The members, cheapest first.
        log_probs: Each member's log-probabilities on validation photos, (members, N, classes).
        labels: True class indices, (N,).
        metric: The score to keep.
        loss: How far the cascade may score below the whole ensemble on these photos.

    Raises:
        DataError: There are no photos.
    """
    if not len(labels):
        raise DataError("there are no labelled photos to fit a cascade on.")
    temperatures = tuple(fit_temperature(logits, labels) for logits in _combined(ensemble, log_probs))
    staged = stage_log_probs(ensemble, log_probs, temperatures)
    predicted, photos = staged.argmax(axis=2), np.arange(len(labels))
    wanted = metric(labels, predicted[-1]) - loss
    # Stop at the first threshold that loses too much. Lower ones would pass by chance only.
    threshold = 1.0
    for candidate in np.linspace(0.995, 0.0, 200):
        if metric(labels, predicted[exit_stages(staged, candidate), photos]) < wanted:
            break
        threshold = float(candidate)
    return Stages(threshold=round(threshold, 3), temperatures=temperatures)


def stage_log_probs(
    ensemble: Ensemble, log_probs: NDArray[np.float64], temperatures: Sequence[float]
) -> NDArray[np.float64]:
    """Return a cascade's log-probabilities at each stage.

    Args:
        ensemble: The members, cheapest first.
        log_probs: Each member's log-probabilities, (members, N, classes).
        temperatures: One for each stage.

    Returns:
        Log-probabilities, (stages, N, classes).
    """
    return log_softmax(_combined(ensemble, log_probs) / np.reshape(temperatures, (-1, 1, 1)))


def exit_stages(staged: NDArray[np.float64], threshold: float) -> NDArray[np.intp]:
    """Return the stage at which each photo is decided, (N,), from the result of `stage_log_probs`."""
    enough = np.exp(staged.max(axis=2)) > threshold
    enough[-1] = True
    return enough.argmax(axis=0)


def _combined(ensemble: Ensemble, log_probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the averages of the first one, two, … members: (members, N, classes)."""
    tensor = torch.from_numpy(log_probs)
    combined = [ensemble.cpu().combine(tensor[: count + 1]) for count in range(len(tensor))]
    return torch.stack(combined).double().numpy()
