"""Which weights move, how fast, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import torch
from timm.models import group_parameters
from timm.optim import create_optimizer_v2, list_optimizers
from timm.scheduler import CosineLRScheduler, PolyLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from activitynet.errors import TrainingError, did_you_mean
from activitynet.training.recipe import Recipe


def freeze(model: nn.Module, share: float, patterns: Sequence[str] = ()) -> list[str]:
    """Stop layers of a model from learning; all others learn.

    Args:
        model: A zoo model: its ``group_matcher`` says what the layer groups are.
        share: Share of the trunk's groups to freeze, counted from the input, in [0, 1].
        patterns: Parameters to freeze besides, by name, with ``*`` and ``?`` as in file names
            (``"stages.0.*"``). The classifier always learns, whatever a pattern says.

    Returns:
        The names of the frozen parameters, in the model's order.

    Raises:
        TrainingError: A pattern matches no parameter of the trunk.
    """
    head = {id(parameter) for parameter in model.get_classifier().parameters()}  # type: ignore[operator]
    trunk = [name for name, parameter in model.named_parameters() if id(parameter) not in head]
    groups = group_parameters(model, model.group_matcher(coarse=False))  # type: ignore[operator]
    layers = [names for _, names in sorted(groups.items()) if not set(trunk).isdisjoint(names)]
    frozen = {name for names in layers[: round(share * len(layers))] for name in names}
    for pattern in patterns:
        matched = [name for name in trunk if fnmatchcase(name, pattern)]
        if not matched:
            parts = ", ".join(dict.fromkeys(name.split(".")[0] + ".*" for name in trunk))
            raise TrainingError(
                f"recipe field 'freeze_blocks' has the pattern {pattern!r}, which matches no parameter of "
                f"the trunk ({parts}).{did_you_mean(pattern.lower(), _block_patterns(trunk))}"
            )
        frozen.update(matched)
    frozen.intersection_update(trunk)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return [name for name in trunk if name in frozen]


def _block_patterns(names: Sequence[str]) -> list[str]:
    """Return a pattern for each module that holds parameters, however deep."""
    parts = [name.split(".") for name in names]
    return sorted({".".join([*path[:depth], "*"]) for path in parts for depth in range(1, len(path))})


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

    Norms and biases do not decay.

    Raises:
        TrainingError: timm knows no optimiser of that name, or cannot make it.
    """
    config = recipe.optimizer
    inner, known = config.name.lower().removeprefix("lookahead_"), list_optimizers()
    if inner not in known:
        raise TrainingError(
            f"recipe field 'optimizer.name' is {config.name!r}, which timm does not know."
            f"{did_you_mean(inner, known)}"
        )
    try:
        optimizer: torch.optim.Optimizer = create_optimizer_v2(
            model,
            opt=config.name,
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            layer_decay=config.layer_decay if config.layer_decay < 1 else None,
        )
    except (AssertionError, ImportError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(f"cannot make optimizer {config.name!r}: {error}") from error
    return optimizer


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> Callable[[int], float]:
    """Return the function that sets every group's learning rate for a step.

    It takes the number of steps done so far and returns the rate of the layers next to the head. The rates
    follow from the recipe, that number and ``steps`` alone, so there is no state to save.

    The rate climbs in a straight line that would be 0 one step before the first, reaches its peak right
    after the warm-up, and follows the recipe's schedule from there.

    Args:
        optimizer: An optimiser made by `make_optimizer`.
        recipe: Where the schedule is written.
        steps: Steps of the whole run.
    """
    # The scheduler moves the rate of a stand-in: what it writes into groups would end up in checkpoints.
    stand_in = torch.optim.SGD([torch.zeros(1)], lr=recipe.optimizer.lr)
    scheduler = _scheduler(stand_in, recipe, steps)

    def set_rate(step: int) -> float:
        scheduler.step_update(step)
        rate: float = stand_in.param_groups[0]["lr"]
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        return rate

    return set_rate


def _scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> Scheduler:
    config, peak = recipe.schedule, recipe.optimizer.lr
    warmup = min(round(config.warmup * steps), max(0, steps - 1))
    rest = max(2, steps - warmup)  # timm warns of a decay over a single step, which starts at the peak anyway
    shared = {
        "warmup_t": warmup,
        "warmup_lr_init": peak / (warmup + 1),
        "warmup_prefix": True,
        "t_in_epochs": False,
    }
    if config.name == "cosine":
        return CosineLRScheduler(optimizer, t_initial=rest, lr_min=config.floor * peak, **shared)
    if config.name == "poly":
        return PolyLRScheduler(optimizer, t_initial=rest, power=1.0, lr_min=config.floor * peak, **shared)
    factor = config.step_factor if config.name == "step" else 1.0
    stair = max(1, round(config.step_every * steps))
    return StepLRScheduler(optimizer, decay_t=stair, decay_rate=factor, **shared)
