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
from torch.nn.modules.batchnorm import _BatchNorm

from activitynet.errors import TrainingError, did_you_mean
from activitynet.training.recipe import Average, Recipe
from activitynet.zoo.network import classifiers_of


def checkpoint_gradients(model: nn.Module, wanted: bool) -> None:
    """Let a model compute activations again on the way back instead of keeping them, or not.

    Raises:
        TrainingError: The network has no way to.
    """
    try:
        model.set_grad_checkpointing(wanted)  # type: ignore[operator]
    except (AssertionError, AttributeError) as error:
        if wanted:
            raise TrainingError(
                f"{type(model).__name__} cannot compute its activations again; set the recipe's "
                "grad_checkpointing to false."
            ) from error


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
    head = {id(parameter) for part in classifiers_of(model) for parameter in part.parameters()}
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


class WeightAverage:
    """The average of a model's weights that is validated and kept.

    Let n count the steps. ``"ema"`` is the plain mean of the weights after each of them while n is below the
    time constant, ``span * steps``, and from there on the new weights enter with one over it. So the weights
    that the run began with have no share in it. ``"swa"`` follows the model up to step ``start * steps``,
    and is the plain mean of the weights after each later step. ``"none"`` is the model as it is.

    Buffers of floating point (a batch norm's statistics) are averaged like the weights; others are copied.

    Args:
        model: The network that learns, on its device, before its first step.
        config: Which average.
        steps: Steps of the whole run.

    Attributes:
        module: The average as a network of its own: in eval mode, without gradients. For ``"none"`` it is
            up to date only after `kept`.
    """

    def __init__(self, model: nn.Module, config: Average, steps: int) -> None:
        self._model = model
        self._config = config
        self._steps = steps
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self.module.zero_grad()  # the copy's own gradients, if there were any
        self._start = (
            {name: tensor.clone() for name, tensor in _floating(self.module).items()} if config.anchor else {}
        )

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the model's weights after an optimiser step.

        Args:
            step: Steps done, this one included.
        """
        if self._config.name != "none":
            self._blend_in(self._share(step))

    def _share(self, step: int) -> float:
        """Return the share of the weights after a step in the new average."""
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
    def kept(self) -> nn.Module:
        """Return what is validated and kept: the average, with the starting weights' share mixed in.

        The network is in eval mode and without gradients. It is `module` itself unless there is an anchor,
        so it lasts until the next step.
        """
        if self._config.name == "none":
            self._blend_in(1.0)
        if not self._start:
            return self.module
        mixed = copy.deepcopy(self.module)
        torch._foreach_lerp_(list(_floating(mixed).values()), list(self._start.values()), self._config.anchor)
        return mixed

    def state_dict(self) -> dict[str, Tensor]:
        """Return what has to be saved to go on exactly: ``average.<name>`` and ``start.<name>``.

        The tensors are the live ones, not copies.
        """
        average = {} if self._config.name == "none" else self.module.state_dict()
        return {
            **{f"average.{name}": tensor for name, tensor in average.items()},
            **{f"start.{name}": tensor for name, tensor in self._start.items()},
        }

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to where `state_dict` was taken.

        Raises:
            TrainingError: The names or shapes are those of another model or another kind of average.
        """
        own = self.state_dict()
        if wrong := sorted(own.keys() ^ tensors.keys()):
            fault = "is missing" if wrong[0] in own else "has no place"
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
