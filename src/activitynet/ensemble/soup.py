"""Soups: models of one network whose weights, not answers, are averaged (Wortsman et al. 2022).

A soup costs what one model costs. It needs models that began from the same weights and were trained in like
ways: snapshots of a run, or several fine-tunes of one pretrained network. https://arxiv.org/abs/2203.05482
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import nn

from activitynet.errors import ModelError


def uniform_soup(models: Sequence[nn.Module]) -> nn.Module:
    """Return a model whose weights are the mean of the models'.

    Args:
        models: Of one architecture, at least one. They are left as they are.

    Returns:
        A new model. What is not a float (a batch norm's count of batches) is the first model's.

    Raises:
        ModelError: There are none, or their tensors differ in name or shape.
    """
    if not models:
        raise ModelError("a soup needs models; give it one or more.")
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
    """Return a soup to which the best models are added, as long as it does not score lower.

    Args:
        models: Of one architecture, at least one.
        score: What a model is worth on validation photos; greater is better.

    Returns:
        The soup, and the positions of the models in it, best first.

    Raises:
        ModelError: As for `uniform_soup`.
    """
    uniform_soup(models)  # they have to be of one kind, and there have to be some
    scores = [score(model) for model in models]
    order = sorted(range(len(models)), key=lambda index: -scores[index])
    chosen, best = order[:1], scores[order[0]]
    for index in order[1:]:
        tried = score(uniform_soup([models[other] for other in (*chosen, index)]))
        if tried >= best:
            chosen, best = [*chosen, index], tried
    return uniform_soup([models[index] for index in chosen]), chosen
