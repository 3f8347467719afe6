"""Which weights move, how fast, and when."""

from __future__ import annotations

import math

import torch
from timm.models import group_parameters
from timm.optim import create_optimizer_v2
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from activitynet.errors import TrainingError
from activitynet.training.recipe import Recipe


def freeze_trunk(model: nn.Module, share: float) -> list[str]:
    """Stop the first layer groups of a model from learning.

    Args:
        model: A zoo model: its ``group_matcher`` says what the groups are.
        share: Share of the trunk's groups to freeze, counted from the input, in [0, 1]. The classifier
            is never frozen.

    Returns:
        The names of the frozen parameters.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    groups = group_parameters(model, model.group_matcher(coarse=False))  # type: ignore[operator]
    head = {id(parameter) for parameter in model.get_classifier().parameters()}  # type: ignore[operator]
    parameters = dict(model.named_parameters())
    trunk = [
        names
        for _, names in sorted(groups.items())
        if any(name in parameters and id(parameters[name]) not in head for name in names)
    ]
    frozen = [name for names in trunk[: round(share * len(trunk))] for name in names if name in parameters]
    frozen = [name for name in frozen if id(parameters[name]) not in head]
    for name in frozen:
        parameters[name].requires_grad_(False)
    return frozen


def set_training_mode(model: nn.Module, *, freeze_norm: bool) -> None:
    """Put a model in training mode, except for batch norms that must keep their statistics."""
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm) and (
            freeze_norm or not any(parameter.requires_grad for parameter in module.parameters())
        ):
            module.eval()


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return timm's optimiser over the weights that learn, with the recipe's decay rules.

    Raises:
        TrainingError: timm knows no optimiser of that name.
    """
    config = recipe.optimizer
    try:
        optimizer: torch.optim.Optimizer = create_optimizer_v2(
            model,
            opt=config.name,
            lr=config.lr,
            weight_decay=config.weight_decay,
            layer_decay=config.layer_decay if config.layer_decay < 1 else None,
        )
    except (AssertionError, RuntimeError, ValueError, AttributeError) as error:
        raise TrainingError(f"cannot make optimizer {config.name!r}: {error}") from error
    for group in optimizer.param_groups:
        group["peak_lr"] = config.lr * group.get("lr_scale", 1.0)
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int, steps: int) -> float:
    """Set every group's rate for a step: linear warm-up, then half a cosine towards zero.

    Args:
        optimizer: An optimiser made by `make_optimizer`.
        recipe: Where the schedule is written.
        step: Steps done so far.
        steps: Steps of the whole run.

    Returns:
        The rate of the layers next to the head.
    """
    warmup = recipe.schedule.warmup * steps
    factor = min(1.0, (step + 1) / warmup) if warmup >= 1 else 1.0
    if step >= warmup:
        factor = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, steps - warmup)))
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    return recipe.optimizer.lr * factor
