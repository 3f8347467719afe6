"""Linear probes: logistic regression on a network's pooled features."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from activitynet.errors import TrainingError

_STRENGTHS = (8.0, 25.0, 80.0, 250.0)


class LinearProbe(NamedTuple):
    """A logistic regression on standardised features.

    Attributes:
        mean: Mean of each feature, (D,).
        std: Standard deviation of each feature, (D,).
        regression: The fitted scikit-learn model; its ``classes_`` are those that had photos.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    regression: Any

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the most probable class of each row, (N,)."""
        labels: NDArray[np.int64] = self.regression.predict((features - self.mean) / self.std)
        return labels

    def predict_proba(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities of ``regression.classes_``, (N, classes)."""
        probabilities: NDArray[np.float64] = self.regression.predict_proba((features - self.mean) / self.std)
        return probabilities

    def copy_to(self, head: nn.Linear) -> None:
        """Make a layer compute the probe. Classes without photos get a low, constant output."""
        weight, bias, classes = self.regression.coef_, self.regression.intercept_, self.regression.classes_
        if len(classes) == 2:  # scikit-learn keeps one row for two classes
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        weight = weight / self.std
        bias = bias - weight @ self.mean
        with torch.no_grad():
            head.weight.zero_()
            head.bias.fill_(float(self.regression.intercept_.min()) - 2.0)
            head.weight[classes] = torch.from_numpy(weight).to(head.weight)
            head.bias[classes] = torch.from_numpy(bias).to(head.bias)


def fit_linear_probe(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    strength: float,
    tol: float = 1e-4,
    max_iter: int = 200,
) -> LinearProbe:
    """Fit a linear probe.

    Args:
        features: Pooled features, (N, D).
        labels: Class indices, (N,).
        strength: Inverse strength of the regularisation: scikit-learn's ``C`` times N.
        tol: Tolerance of the solver.
        max_iter: Most iterations of the solver. Stopping before it converges is no error.
    """
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - slow to import, seldom needed
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    mean, std = features.mean(axis=0), features.std(axis=0) + 1e-6
    regression = LogisticRegression(C=strength / len(features), tol=tol, max_iter=max_iter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # close to the optimum is close enough
        regression.fit((features - mean) / std, labels)
    return LinearProbe(mean, std, regression)


def fit_head(
    model: nn.Module,
    train: tuple[torch.Tensor, torch.Tensor],
    val: tuple[torch.Tensor, torch.Tensor],
    *,
    score: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
) -> float:
    """Replace a model's linear classifier by a linear probe.

    Fine-tuning starts better from it: a random head sends large gradients into a good trunk and distorts its
    features (Kumar et al. 2022, https://arxiv.org/abs/2202.10054). Of four strengths of regularisation, the
    one with the best validation score is taken.

    Args:
        model: A zoo model whose ``get_classifier()`` is an ``nn.Linear``.
        train: Pooled training features, float32 (N, D), and class indices, int64 (N,).
        val: The same of the validation photos.
        score: From (true, predicted) class indices to the number to maximise.

    Returns:
        The best score.

    Raises:
        TrainingError: The classifier is not an ``nn.Linear``.
    """
    head = model.get_classifier()  # type: ignore[operator]
    if not isinstance(head, nn.Linear):
        raise TrainingError(
            f"only a linear classifier can be fitted on features, and this model's is {type(head).__name__}. "
            "Set the recipe's fit_head to false."
        )
    (features, labels), (val_features, truth) = ((x.numpy(), y.numpy()) for x, y in (train, val))
    probes = [fit_linear_probe(features, labels, strength=strength) for strength in _STRENGTHS]
    scores = [score(truth, probe.predict(val_features)) for probe in probes]
    best = int(np.argmax(scores))
    probes[best].copy_to(head)
    return scores[best]
