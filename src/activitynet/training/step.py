"""Prepare model and optimizer, and take one optimizer step."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from activitynet.blocks import set_fused
from activitynet.data.augment import BatchColorJitter, PhotoBatch
from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.loader import PhotoLoader
from activitynet.errors import NotFiniteError, TrainingError
from activitynet.inference import has_bf16
from activitynet.runtime import distributed
from activitynet.runtime.seeds import derived_seed
from activitynet.training.distill import pooled_features
from activitynet.training.losses import make_loss, make_mixer
from activitynet.training.optim import checkpoint_gradients, freeze, make_optimizer
from activitynet.training.recipe import Recipe
from activitynet.training.sampler import EpochBatches, Part, training_loader

if TYPE_CHECKING:
    from accelerate import Accelerator


Mixer = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
DistillLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""From images, the student's logits and, where they count, its pooled features to one loss a photo."""


def step_seed(seed: int, step: int) -> int:
    """Return the seed of a step's draws: dropout, mixing. Each process has its own."""
    rank = distributed.rank()
    return derived_seed(seed, "step", step, *((rank,) if rank else ()))


class Stepper:
    """Takes one step after the other.

    Args:
        accelerator: Knows the devices.
        model: The network, as `accelerator` prepared it.
        optimizer: The same of what updates it.
        loss_function: From logits and targets to one loss a photo.
        recipe: Gives clipping and distillation.
        color_jitter: Makes the network's input of a batch of photos.
        bf16: Multiply in bfloat16.
        mixer: Blends a batch's photos.
        distill_loss: The distillation loss.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: Any,
        loss_function: nn.Module,
        recipe: Recipe,
        *,
        color_jitter: BatchColorJitter,
        bf16: bool,
        mixer: Mixer | None = None,
        distill_loss: DistillLoss | None = None,
    ) -> None:
        self._accelerator, self._model, self._optimizer = accelerator, model, optimizer
        self._plain = accelerator.unwrap_model(model)
        self._color_jitter = color_jitter
        self._loss_function, self._distill_loss = loss_function, distill_loss
        self._mixer, self._bf16 = mixer, bf16
        self._clip_norm = recipe.optimizer.clip_norm or math.inf
        self._distill_weight = recipe.distill.weight
        self._compares_features = distill_loss is not None and recipe.distill.features > 0

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
        mean = distributed.all_reduce_mean(total).item()
        for name, value in (("loss", mean), ("gradient's norm", float(norm))):
            if not math.isfinite(value):
                raise NotFiniteError(f"the {name} became {value}")
        self._optimizer.step()
        return mean

    def _loss(self, photos: PhotoBatch, labels: NDArray[np.int64], mix: bool) -> torch.Tensor:
        device = self._accelerator.device
        images = self._color_jitter(photos, device).contiguous(memory_format=torch.channels_last)
        targets = torch.from_numpy(labels).to(device)
        if mix and self._mixer is not None:
            images, targets = self._mixer(images, targets)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
            logits, features = self._forward(images)
            taught = self._distill_loss(images, logits, features) if self._distill_loss is not None else None
        losses = self._loss_function(logits, targets)
        if taught is not None:
            losses = torch.lerp(losses, taught, self._distill_weight)
        return losses.mean()

    def _forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        if not self._compares_features:
            return self._model(images).float(), None
        with pooled_features(self._plain) as seen:
            logits = self._model(images).float()
        return logits, seen[0]


@dataclass(frozen=True)
class Prepared:
    """A model ready to learn.

    Attributes:
        device: Where it learns.
        model: The network as accelerate made it ready: of several processes, one of many.
        plain: The network itself.
        optimizer: What updates it.
        batches: Which photos each step learns from.
        loader: Loads them.
        take_step: Learns from the parts of one step.
    """

    device: torch.device
    model: nn.Module
    plain: nn.Module
    optimizer: Any
    batches: EpochBatches
    loader: PhotoLoader
    take_step: Stepper


def prepare(
    model: nn.Module,
    dataset: AugmentedPhotos,
    recipe: Recipe,
    *,
    seed: int,
    workers: int,
    distill_loss: DistillLoss | None,
) -> Prepared:
    """Make a model ready to learn from photos as a recipe says.

    Args:
        model: A zoo model, on the kind of device that it is to learn on. It changes in place.
        dataset: Training photos.
        recipe: What to do.
        seed: Where all randomness comes from.
        workers: Processes that load photos.
        distill_loss: The distillation loss.

    Raises:
        TrainingError: The recipe does not suit the model, the photos or the devices.
    """
    from accelerate import Accelerator  # noqa: PLC0415  predicting needs none

    accelerator = Accelerator(cpu=next(model.parameters()).device.type == "cpu")
    device = accelerator.device
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    num_classes: int = model.num_classes  # type: ignore[assignment]
    labels = [photo.label for photo in dataset.photos]
    freeze(model, recipe.freeze, recipe.freeze_blocks)
    checkpoint_gradients(model, recipe.grad_checkpointing)
    compile_blocks(model, recipe.compile)
    batches = EpochBatches(labels, recipe, seed=seed)
    model, optimizer = accelerator.prepare(model, make_optimizer(model, recipe))
    take_step = Stepper(
        accelerator,
        model,
        optimizer,
        make_loss(recipe.loss, labels, num_classes).to(device),
        recipe,
        color_jitter=dataset.color_jitter,
        bf16=computes_in_bf16(recipe, device),
        mixer=make_mixer(recipe.mix, num_classes),
        distill_loss=distill_loss,
    )
    loader = training_loader(dataset, batches, workers=workers, device=device)
    return Prepared(device, model, accelerator.unwrap_model(model), optimizer, batches, loader, take_step)


def computes_in_bf16(recipe: Recipe, device: torch.device) -> bool:
    """Tell whether a run on this device multiplies in bfloat16."""
    if recipe.precision != "auto":
        return recipe.precision == "bf16"
    return has_bf16(device)


def compile_blocks(model: nn.Module, wanted: bool) -> None:
    """Let a model's blocks train by compiled kernels, or not.

    Raises:
        TrainingError: The network has no block that can, or there is no compiler.
    """
    if not set_fused(model, wanted) and wanted:
        raise TrainingError(
            f"{type(model).__name__} has no block with a group norm, which is what gets compiled; set the "
            "recipe's compile to false."
        )
    if wanted and next(model.parameters()).device.type == "cpu":
        # Imported here, for they take half a second.
        from torch._inductor.cpp_builder import get_cpp_compiler  # noqa: PLC0415
        from torch._inductor.exc import InvalidCxxCompiler  # noqa: PLC0415

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler as error:
            raise TrainingError(
                "the recipe's compile needs a C++ compiler, and none was found. Install one (g++ or clang), "
                "or set compile to false."
            ) from error
