"""Fit a cascade: members asked one after the other, only about what is undecided."""

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
    answers: NDArray[np.float64],
    labels: NDArray[np.int64],
    metric: Metric,
    *,
    loss: float = 0.003,
) -> Stages:
    """Return the stages that ask the fewest members for a stated loss of score.

    Args:
        ensemble: The members, cheapest first.
        answers: What each says of validation photos: logarithms of probabilities, (members, N, classes).
        labels: True class indices, (N,).
        metric: What must not fall far.
        loss: By how much the cascade may score below the whole ensemble on these photos.

    Raises:
        DataError: There are no photos.
    """
    if not len(labels):
        raise DataError("there are no labelled photos to fit a cascade on.")
    temperatures = tuple(fit_temperature(logits, labels) for logits in _combined(ensemble, answers))
    said = stage_answers(ensemble, answers, temperatures)
    guesses, photos = said.argmax(axis=2), np.arange(len(labels))
    wanted = metric(labels, guesses[-1]) - loss
    # From the top down to the first threshold that loses too much: below it, luck would choose.
    threshold = 1.0
    for candidate in np.linspace(0.995, 0.0, 200):
        if metric(labels, guesses[decided_at(said, candidate), photos]) < wanted:
            break
        threshold = float(candidate)
    return Stages(threshold=round(threshold, 3), temperatures=temperatures)


def stage_answers(
    ensemble: Ensemble, answers: NDArray[np.float64], temperatures: Sequence[float]
) -> NDArray[np.float64]:
    """Return what a cascade says at each stage, if it gets there.

    Args:
        ensemble: The members, cheapest first.
        answers: What each says: logarithms of probabilities, (members, N, classes).
        temperatures: One a stage.

    Returns:
        Logarithms of probabilities, (stages, N, classes).
    """
    return log_softmax(_combined(ensemble, answers) / np.reshape(temperatures, (-1, 1, 1)))


def decided_at(said: NDArray[np.float64], threshold: float) -> NDArray[np.intp]:
    """Return the stage at which each photo is decided, (N,), by what `stage_answers` says."""
    enough = np.exp(said.max(axis=2)) > threshold
    enough[-1] = True
    return enough.argmax(axis=0)


def _combined(ensemble: Ensemble, answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the average of what the first one, two, … members say: (members, N, classes)."""
    said = torch.from_numpy(answers)
    combined = [ensemble.cpu().combine(said[: count + 1]) for count in range(len(said))]
    return torch.stack(combined).double().numpy()
