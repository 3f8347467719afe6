"""Which members an ensemble should have, and with which shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from activitynet.errors import ModelError

Metric = Callable[[NDArray[np.int64], NDArray[np.int64]], float]
"""From true and predicted classes, each (N,), to a score that is better when greater."""

_TINY = 1e-12


def greedy_selection(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    metric: Metric,
    *,
    rounds: int = 20,
    bags: int = 20,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return shares of candidates, picked one after the other, each as often as it helps.

    After Caruana et al. 2004, "Ensemble selection from libraries of models": candidates are added with
    replacement as long as that raises the score; ties are settled by the log loss. Each bag sees other
    candidates (half of them) and other photos (a bootstrap sample within each class), so that what is picked
    does not fit the validation photos' chances.

    Args:
        probabilities: What each candidate says of validation photos, (candidates, N, classes).
        labels: True class indices, (N,).
        metric: What to raise.
        rounds: Most picks a bag.
        bags: How many times to pick.
        seed: Fixes the bags.

    Returns:
        One share a candidate; they add up to 1, and are 0 for those that were never picked.

    Raises:
        ModelError: There are no candidates.
    """
    count = len(probabilities)
    if count == 0:
        raise ModelError("there are no candidates to select an ensemble from.")
    draw = np.random.default_rng(seed)
    picked = np.zeros(count)
    for _ in range(bags):
        chosen = draw.permutation(count)[: max(2, (count + 1) // 2)]
        sample = _bootstrap(labels, draw)
        picked[chosen] += _pick(probabilities[np.ix_(chosen, sample)], labels[sample], metric, rounds)
    shares: NDArray[np.float64] = picked / picked.sum()
    return shares


def _bootstrap(labels: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.int64]:
    """Draw photos with replacement, as many of each class as there are."""
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.concatenate([draw.choice(group, len(group)) for group in groups])


def _pick(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], metric: Metric, rounds: int
) -> NDArray[np.float64]:
    counts = np.zeros(len(probabilities))
    total = np.zeros(probabilities.shape[1:])
    best = (-np.inf, -np.inf)
    for size in range(1, rounds + 1):
        worth = []
        for each in probabilities:
            mean = (total + each) / size
            worth.append((metric(labels, mean.argmax(axis=1)), -_log_loss(mean, labels)))
        index = max(range(len(worth)), key=worth.__getitem__)
        if worth[index] <= best:
            break
        best = worth[index]
        counts[index] += 1
        total = total + probabilities[index]
    return counts / counts.sum()


def _log_loss(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    right = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(right, _TINY)).mean())


def fit_weights(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], *, steps: int = 500
) -> NDArray[np.float64]:
    """Return the shares under which the mean of the candidates' probabilities has the least log loss.

    Expectation maximisation of a mixture's shares: the loss falls with every step, and has one minimum.

    Args:
        probabilities: What each candidate says of validation photos, (candidates, N, classes).
        labels: True class indices, (N,).
        steps: Steps to take.

    Returns:
        One share a candidate, which add up to 1.

    Raises:
        ModelError: There are no candidates.
    """
    if len(probabilities) == 0:
        raise ModelError("there are no candidates to weigh.")
    right = np.maximum(probabilities[:, np.arange(len(labels)), labels], _TINY)
    shares = np.full(len(right), 1 / len(right))
    for _ in range(steps):
        owed = shares[:, None] * right
        shares = (owed / owed.sum(axis=0)).mean(axis=1)
    return shares


def what_each_adds(
    probabilities: NDArray[np.float64], shares: Sequence[float], labels: NDArray[np.int64], metric: Metric
) -> list[float]:
    """Return by how much the score falls when each member is left out, 0 for those without a share."""
    weights = np.asarray(shares, dtype=np.float64)

    def of(weights: NDArray[np.float64]) -> float:
        return metric(labels, np.tensordot(weights, probabilities, axes=1).argmax(axis=1))

    whole = of(weights)
    added = []
    for index, share in enumerate(weights):
        others = weights.copy()
        others[index] = 0
        added.append(whole - of(others) if share and others.any() else 0.0)
    return added
