"""Averages of the weights that a run passes through."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from activitynet.errors import TrainingError
from activitynet.training.recipe import Average


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
