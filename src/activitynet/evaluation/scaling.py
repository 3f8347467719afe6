"""Vector scaling: a factor and an offset for each class, which become part of the last layer."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from activitynet.errors import ModelError
from activitynet.evaluation.bootstrap import Floats, Ints
from activitynet.evaluation.calibration import fit_temperature, log_softmax


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
