"""How far a probability can be believed, and the temperature that makes it so."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from activitynet.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_INVERSE_TEMPERATURES = (1e-2, 1e2)
_BISECTIONS = 50  # halve that interval to about 1e-13


def log_softmax(logits: Floats) -> Floats:
    """Return logarithms of probabilities, over the last axis."""
    said: Floats = torch.from_numpy(logits).log_softmax(dim=-1).numpy()
    return said


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


BINS = 15
"""Bins of a calibration error, unless told."""


def confidence_bins(confidence: Floats, *, bins: int = BINS, adaptive: bool = False) -> Ints:
    """Sort photos into bins by the probability of their most probable class.

    Args:
        confidence: In [0, 1]; (N,).
        bins: How many, at least 1.
        adaptive: Bins of as many photos each (Nguyen and O'Connor 2015) rather than of equal width.

    Returns:
        The number of each photo's bin, from 0; (N,).
    """
    if not adaptive:
        return np.minimum((confidence * bins).astype(np.int64), bins - 1)
    which = np.empty(len(confidence), dtype=np.int64)
    which[np.argsort(confidence, kind="stable")] = (
        np.arange(len(confidence)) * bins // max(1, len(confidence))
    )
    return which


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
