"""A classifier fitted on a frozen trunk's features: the best minute of a fine-tune.

A head that starts at random sends large gradients into a good trunk and spoils it; one that is already
fitted does not (Kumar et al. 2022, https://arxiv.org/abs/2202.10054).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from activitynet.errors import TrainingError

_STRENGTHS = (8.0, 25.0, 80.0, 250.0)  # C times the number of photos


def fit_head(
    model: nn.Module,
    train: tuple[torch.Tensor, torch.Tensor],
    val: tuple[torch.Tensor, torch.Tensor],
    *,
    score: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
) -> float:
    """Fit a model's linear classifier by logistic regression and put it in place.

    The regularisation is the one of four strengths that scores best on the validation features.

    Args:
        model: A zoo model whose ``get_classifier()`` is an ``nn.Linear``.
        train: Pooled training features, float32 (N, D), and class indices, int64 (N,). Classes without
            photos keep an output that stays low.
        val: The same of the validation photos.
        score: From (true, predicted) class indices to the number to maximise.

    Returns:
        The best score.

    Raises:
        TrainingError: The classifier is not an ``nn.Linear``.
    """
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - slow to import, seldom needed
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    head = model.get_classifier()  # type: ignore[operator]
    if not isinstance(head, nn.Linear):
        raise TrainingError(
            f"only a linear classifier can be fitted on features, and this model's is {type(head).__name__}. "
            "Set the recipe's fit_head to false."
        )
    (x, y), (x_val, truth) = ((part[0].numpy(), part[1].numpy()) for part in (train, val))
    mean, std = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, x_val = (x - mean) / std, (x_val - mean) / std
    best_score, best = -1.0, None
    for strength in _STRENGTHS:
        probe = LogisticRegression(C=strength / len(x), max_iter=200)
        with warnings.catch_warnings():
            # The optimum is sought for a start, not for its own sake.
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(x, y)
        found = score(truth, probe.predict(x_val))
        if found > best_score:
            best_score, best = found, probe
    assert best is not None  # noqa: S101  _STRENGTHS is not empty, and a score is never below 0
    weight, bias = best.coef_, best.intercept_
    if len(best.classes_) == 2:  # scikit-learn keeps one row for two classes
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / std
    bias = bias - weight @ mean
    with torch.no_grad():
        head.weight.zero_()
        # With no photo to learn from, a class starts less likely than the rarest that has some.
        head.bias.fill_(float(best.intercept_.min()) - 2.0)
        head.weight[best.classes_] = torch.from_numpy(weight).to(head.weight)
        head.bias[best.classes_] = torch.from_numpy(bias).to(head.bias)
    return best_score
