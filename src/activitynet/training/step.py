"""One optimiser step: forward, loss, backward, update."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from activitynet import ranks
from activitynet.data.light import Light, RawBatch
from activitynet.errors import TrainingError
from activitynet.training.batches import Part
from activitynet.training.features import pooled_features
from activitynet.training.order import derived_seed
from activitynet.training.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator

Mixer = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
Teach = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""From images, the student's logits and, where they count, its pooled features to one loss a photo."""


def step_seed(seed: int, step: int) -> int:
    """Return the seed of a step's draws: dropout, mixing. Each process has its own."""
    rank = ranks.rank()
    return derived_seed(seed, "step", step, *((rank,) if rank else ()))


class NotFiniteError(TrainingError):
    """The loss or its gradient is not a number; nothing was updated."""


class Stepper:
    """Takes one step after the other.

    Args:
        accelerator: Knows the devices.
        model: The network, as `accelerator` prepared it.
        optimizer: The same of what updates it.
        loss_function: From logits and targets to one loss a photo.
        recipe: Gives clipping and distillation.
        light: Makes the network's input of a batch of photos.
        bf16: Multiply in bfloat16.
        mixer: Blends a batch's photos.
        teach: The loss that distils.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: Any,
        loss_function: nn.Module,
        recipe: Recipe,
        *,
        light: Light,
        bf16: bool,
        mixer: Mixer | None = None,
        teach: Teach | None = None,
    ) -> None:
        self._accelerator, self._model, self._optimizer = accelerator, model, optimizer
        self._plain = accelerator.unwrap_model(model)
        self._light = light
        self._loss_function, self._mixer, self._teach, self._bf16 = loss_function, mixer, teach, bf16
        self._clip_norm = recipe.optimizer.clip_norm or math.inf
        self._teach_weight = recipe.distill.weight
        self._compares_features = teach is not None and recipe.distill.features > 0

    def __call__(self, parts: Sequence[Part], *, mix: bool = True) -> float:
        """Learn from the parts of one batch, as from the whole of it.

        Args:
            parts: Photos, labels and indices of each part; all of one size.
            mix: Whether photos may be blended.

        Returns:
            The mean loss over the batch, of all processes.

        Raises:
            NotFiniteError: The loss or the gradient is not finite.
        """
        self._optimizer.zero_grad()
        total = torch.zeros((), device=self._accelerator.device)
        for index, (photos, labels, _) in enumerate(parts):
            is_last = index == len(parts) - 1
            # Gradients travel between processes once a step, with the last part.
            with contextlib.nullcontext() if is_last else self._accelerator.no_sync(self._model):
                loss = self._loss(photos, labels, mix) / len(parts)
                self._accelerator.backward(loss)
            total += loss.detach()
        norm = self._accelerator.clip_grad_norm_(self._model.parameters(), self._clip_norm)
        mean = ranks.mean(total).item()
        for name, value in (("loss", mean), ("gradient's norm", float(norm))):
            if not math.isfinite(value):
                raise NotFiniteError(f"the {name} became {value}")
        self._optimizer.step()
        return mean

    def _loss(self, photos: RawBatch, labels: NDArray[np.int64], mix: bool) -> torch.Tensor:
        device = self._accelerator.device
        images = self._light(photos, device).contiguous(memory_format=torch.channels_last)
        targets = torch.from_numpy(labels).to(device)
        if mix and self._mixer is not None:
            images, targets = self._mixer(images, targets)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
            logits, features = self._forward(images)
            taught = self._teach(images, logits, features) if self._teach is not None else None
        losses = self._loss_function(logits, targets)
        if taught is not None:
            losses = torch.lerp(losses, taught, self._teach_weight)
        return losses.mean()

    def _forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        if not self._compares_features:
            return self._model(images).float(), None
        with pooled_features(self._plain) as seen:
            logits = self._model(images).float()
        return logits, seen[0]
