"""Select members, fit their weights, and average weights into soups."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from activitynet.errors import ModelError

Metric = Callable[[NDArray[np.int64], NDArray[np.int64]], float]
"""Maps true and predicted classes, each (N,), to a score; greater is better."""

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
    """Return weights of candidates by greedy selection with replacement.

    After Caruana et al. 2004, "Ensemble selection from libraries of models": candidates are gains with
    replacement while that raises the score; the log loss breaks ties. Each bag uses half of the candidates
    and a bootstrap sample of the photos within each class, against overfitting to the validation photos.

    Args:
        probabilities: Each candidate's probabilities on validation photos, (candidates, N, classes).
        labels: True class indices, (N,).
        metric: The score to maximise.
        rounds: Largest number of picks a bag.
        bags: Number of bags.
        seed: Seed of the bags.

    Returns:
        One weight a candidate, with a sum of 1; 0 for those never picked.

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
    """Draw photos with replacement within each class."""
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.concatenate([draw.choice(group, len(group)) for group in groups])


def _pick(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], metric: Metric, rounds: int
) -> NDArray[np.float64]:
    counts = np.zeros(len(probabilities))
    total = np.zeros(probabilities.shape[1:])
    best = (-np.inf, -np.inf)
    for size in range(1, rounds + 1):
        scores = []
        for each in probabilities:
            mean = (total + each) / size
            scores.append((metric(labels, mean.argmax(axis=1)), -_log_loss(mean, labels)))
        index = max(range(len(scores)), key=scores.__getitem__)
        if scores[index] <= best:
            break
        best = scores[index]
        counts[index] += 1
        total = total + probabilities[index]
    return counts / counts.sum()


def _log_loss(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    right = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(right, _TINY)).mean())


def fit_weights(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], *, steps: int = 500
) -> NDArray[np.float64]:
    """Return the weights that minimise the log loss of the averaged probabilities.

    By expectation maximisation of a mixture's weights: every step lowers the loss, which is convex.

    Args:
        probabilities: Each candidate's probabilities on validation photos, (candidates, N, classes).
        labels: True class indices, (N,).
        steps: Number of steps.

    Returns:
        One weight a candidate, with a sum of 1.

    Raises:
        ModelError: There are no candidates.
    """
    if len(probabilities) == 0:
        raise ModelError("there are no candidates to weight.")
    right = np.maximum(probabilities[:, np.arange(len(labels)), labels], _TINY)
    shares = np.full(len(right), 1 / len(right))
    for _ in range(steps):
        responsibility = shares[:, None] * right
        shares = (responsibility / responsibility.sum(axis=0)).mean(axis=1)
    return shares


def leave_one_out_gains(
    probabilities: NDArray[np.float64], shares: Sequence[float], labels: NDArray[np.int64], metric: Metric
) -> list[float]:
    """Return the loss of score when each member is left out; 0 for those without weight."""
    weights = np.asarray(shares, dtype=np.float64)

    def scored(weights: NDArray[np.float64]) -> float:
        return metric(labels, np.tensordot(weights, probabilities, axes=1).argmax(axis=1))

    whole = scored(weights)
    gains = []
    for index, share in enumerate(weights):
        others = weights.copy()
        others[index] = 0
        gains.append(whole - scored(others) if share and others.any() else 0.0)
    return gains


def uniform_soup(models: Sequence[nn.Module]) -> nn.Module:
    """Return a model whose weights are the mean of the given models' weights.

    Args:
        models: Models of one architecture, at least one. They are not changed.

    Returns:
        A new model. Integer buffers, such as a batch norm's count of batches, are the first model's.

    Raises:
        ModelError: There are none, or their tensors differ in name or shape.
    """
    if not models:
        raise ModelError("a soup needs at least one model.")
    states = [model.state_dict() for model in models]
    for number, state in enumerate(states[1:], start=2):
        for name in states[0].keys() ^ state.keys():
            raise ModelError(f"model {number} cannot be in a soup with the first: {name!r} is in one only.")
        for name, tensor in state.items():
            if tensor.shape != states[0][name].shape:
                raise ModelError(
                    f"model {number} cannot be in a soup with the first: {name!r} is of shape "
                    f"{tuple(tensor.shape)} and {tuple(states[0][name].shape)}."
                )
    soup = copy.deepcopy(models[0])
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(tensor.dtype)
        for name, tensor in states[0].items()
        if tensor.is_floating_point()
    }
    soup.load_state_dict(mean, strict=False)
    return soup


def greedy_soup(
    models: Sequence[nn.Module], score: Callable[[nn.Module], float]
) -> tuple[nn.Module, list[int]]:
    """Return a soup built by adding models, best first, while the score does not fall.

    Args:
        models: Models of one architecture, at least one.
        score: Score of a model on validation photos; greater is better.

    Returns:
        The soup, and the indices of the models in it, best first.

    Raises:
        ModelError: There are no models, or their tensors differ in name or shape.
    """
    uniform_soup(models)  # checks the models
    scores = [score(model) for model in models]
    order = sorted(range(len(models)), key=lambda index: -scores[index])
    chosen, best = order[:1], scores[order[0]]
    for index in order[1:]:
        tried = score(uniform_soup([models[other] for other in (*chosen, index)]))
        if tried >= best:
            chosen, best = [*chosen, index], tried
    return uniform_soup([models[index] for index in chosen]), chosen
