"""Optimizers, schedules and moving averages of weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from timm.models import group_parameters
from timm.optim import create_optimizer_v2, list_optimizers
from timm.scheduler import CosineLRScheduler, PolyLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import Tensor, nn

from activitynet.errors import TrainingError, did_you_mean
from activitynet.training.recipe import Average, Recipe
from activitynet.zoo.network import classifiers_of

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def checkpoint_gradients(model: nn.Module, enable: bool) -> None:
    """Turn gradient checkpointing on or off.

    Raises:
        TrainingError: The network does not support it.
    """
    try:
        model.set_grad_checkpointing(enable)  # type: ignore[operator]
    except (AssertionError, AttributeError) as error:
        if enable:
            raise TrainingError(
                f"{type(model).__name__} does not support gradient checkpointing; set the recipe's "
                "grad_checkpointing to false."
            ) from error


def freeze(model: nn.Module, share: float, patterns: Sequence[str] = ()) -> list[str]:
    """Freeze parameters of a model; unfreeze all others.

    Args:
        model: A zoo model, whose ``group_matcher`` defines the layer groups, if it has one.
        share: Share of the trunk's layer groups to freeze, from the input on, in [0, 1].
        patterns: Names of other parameters to freeze, with ``*`` and ``?`` as in file names
            (``"stages.0.*"``). The classifier is never frozen.

    Returns:
        The names of the frozen parameters, in the model's order.

    Raises:
        TrainingError: A pattern matches no parameter of the trunk.
    """
    head = {id(parameter) for part in classifiers_of(model) for parameter in part.parameters()}
    trunk = [name for name, parameter in model.named_parameters() if id(parameter) not in head]
    if hasattr(model, "group_matcher"):
        groups = group_parameters(model, model.group_matcher(coarse=False))  # type: ignore[operator]
    else:  # a few networks of timm name no layers: then each parameter is one
        groups = {index: [name] for index, name in enumerate(trunk)}
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
    """Return a pattern for each module that has parameters, at any depth."""
    parts = [name.split(".") for name in names]
    return sorted({".".join([*path[:depth], "*"]) for path in parts for depth in range(1, len(path))})


def set_training_mode(model: nn.Module, *, freeze_norm: bool) -> None:
    """Set a model to training mode, except for batch norms with frozen statistics or parameters."""
    model.train()
    for module in model.modules():
        if isinstance(module, _BATCH_NORMS) and (
            freeze_norm or not any(parameter.requires_grad for parameter in module.parameters())
        ):
            module.eval()


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Create a recipe's optimiser with timm, over all parameters that are not frozen.

    Norms and biases have no weight decay.

    Raises:
        TrainingError: timm has no optimiser of that name, or cannot create it.
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
        raise TrainingError(f"cannot create optimizer {config.name!r}: {error}") from error
    return optimizer


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> Callable[[int], float]:
    """Return a function that sets the learning rate of every parameter group for a step.

    The function takes the number of steps done and returns the rate of the layers next to the head. Rates
    depend only on the recipe and the two numbers of steps, so there is no state to save.

    The rate rises linearly, from 0 one step before the first, to its peak right after the warm-up. Then it
    follows the recipe's schedule.

    Args:
        optimizer: An optimiser created by `make_optimizer`.
        recipe: The recipe.
        steps: Steps of the whole run.
    """
    # The scheduler gets its own optimizer: the fields it adds to groups would end up in checkpoints.
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
    rest = max(2, steps - warmup)  # timm warns about a decay over one step, which is at the peak anyway
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
    interval = max(1, round(config.step_every * steps))
    return StepLRScheduler(optimizer, decay_t=interval, decay_rate=factor, **shared)


class WeightAverage:
    """Average of a model's weights, which is validated and saved.

    ``"ema"`` gives new weights the share 1 / min(n, ``span * steps``) at step n: it is a plain mean up to the
    time constant ``span * steps``, and an exponential moving average afterwards. The initial weights have no
    share in it. ``"swa"`` copies the model up to step ``start * steps``, and is the plain mean of the weights
    after each later step. ``"none"`` is the model itself.

    Floating-point buffers (batch norm statistics) are averaged like the weights; others are copied.

    Args:
        model: The network to train, on its device, before the first step.
        config: The kind of average.
        steps: Steps of the whole run.

    Attributes:
        module: The average as a separate network in evaluation mode, without gradients. For ``"none"`` it is
            only updated by `averaged_model`.
    """

    def __init__(self, model: nn.Module, config: Average, steps: int) -> None:
        self._model = model
        self._config = config
        self._steps = steps
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self.module.zero_grad()  # gradients that were copied
        self._start = (
            {name: tensor.clone() for name, tensor in _floating(self.module).items()} if config.anchor else {}
        )

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after an optimiser step.

        Args:
            step: Steps done, including this one.
        """
        if self._config.name != "none":
            self._blend_in(self._share(step))

    def _share(self, step: int) -> float:
        """Return the share of the new weights in the average."""
        if self._config.name == "ema":
            return 1 / min(step, max(1.0, self._config.span * self._steps))
        return 1 / max(1, step - math.floor(self._config.start * self._steps))

    def _blend_in(self, share: float) -> None:
        average, new = self.module.state_dict(), self._model.state_dict()
        lerped = _floating(self.module)
        torch._foreach_lerp_(list(lerped.values()), [new[name] for name in lerped], share)
        for name in average.keys() - lerped.keys():
            average[name].copy_(new[name])

    @torch.no_grad()
    def averaged_model(self) -> nn.Module:
        """Return the average, interpolated with the initial weights if the recipe has an anchor.

        The network is in evaluation mode, without gradients. Without an anchor it is `module` itself, which
        changes at the next step.
        """
        if self._config.name == "none":
            self._blend_in(1.0)
        if not self._start:
            return self.module
        mixed = copy.deepcopy(self.module)
        torch._foreach_lerp_(list(_floating(mixed).values()), list(self._start.values()), self._config.anchor)
        return mixed

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state needed to resume: ``average.<name>`` and ``start.<name>``.

        The tensors are not copied.
        """
        average = {} if self._config.name == "none" else self.module.state_dict()
        return {
            **{f"average.{name}": tensor for name, tensor in average.items()},
            **{f"start.{name}": tensor for name, tensor in self._start.items()},
        }

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state that `state_dict` returned.

        Raises:
            TrainingError: The state belongs to another model or another kind of average.
        """
        own = self.state_dict()
        if wrong := sorted(own.keys() ^ tensors.keys()):
            fault = "is missing" if wrong[0] in own else "is unexpected"
            raise TrainingError(f"the saved weight average does not fit this run: {wrong[0]!r} {fault}.")
        for name, tensor in own.items():
            if tensor.shape != tensors[name].shape:
                raise TrainingError(
                    f"the saved weight average does not fit this run: {name!r} has shape "
                    f"{tuple(tensors[name].shape)}, not {tuple(tensor.shape)}."
                )
            tensor.copy_(tensors[name])


def _floating(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
