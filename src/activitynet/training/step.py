"""Preparation of model and optimiser, and the optimiser step."""

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
"""Returns one loss per photo from images, logits and, if they are compared, pooled features."""


def step_seed(seed: int, step: int) -> int:
    """Return the seed of a step's random numbers (dropout, mixing); it differs between processes."""
    rank = distributed.rank()
    return derived_seed(seed, "step", step, *((rank,) if rank else ()))


class Stepper:
    """Computes and applies optimiser steps.

    Args:
        accelerator: The accelerator of the run.
        model: The network, prepared by the accelerator.
        optimizer: The optimiser, prepared by the accelerator.
        loss_function: Returns one loss per photo from logits and targets.
        recipe: Gives clipping and distillation.
        color_jitter: Converts a batch of photos to the network's input.
        bf16: Whether to use autocast to bfloat16.
        mixer: Mixes the photos of a batch.
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
        """Take one step on a batch, with gradients accumulated over its parts.

        Args:
            parts: Photos, labels and indices of each part; all parts have the same size.
            mix: Whether photos may be mixed.

        Returns:
            The mean loss over the batch and all processes.

        Raises:
            NotFiniteError: The loss or the gradient is not finite.
        """
        self._optimizer.zero_grad()
        total = torch.zeros((), device=self._accelerator.device)
        for index, (photos, labels, _) in enumerate(parts):
            is_last = index == len(parts) - 1
            # Processes exchange gradients once per step, with the last part.
            with contextlib.nullcontext() if is_last else self._accelerator.no_sync(self._model):
                loss = self._loss(photos, labels, mix) / len(parts)
                self._accelerator.backward(loss)
            total += loss.detach()
        norm = self._accelerator.clip_grad_norm_(self._model.parameters(), self._clip_norm)
        mean = distributed.all_reduce_mean(total).item()
        for name, value in (("loss", mean), ("gradient norm", float(norm))):
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
            distilled = (
                self._distill_loss(images, logits, features) if self._distill_loss is not None else None
            )
        losses = self._loss_function(logits, targets)
        if distilled is not None:
            losses = torch.lerp(losses, distilled, self._distill_weight)
        return losses.mean()

    def _forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        if not self._compares_features:
            return self._model(images).float(), None
        with pooled_features(self._plain) as features:
            logits = self._model(images).float()
        return logits, features[0]


@dataclass(frozen=True)
class Prepared:
    """Objects for the training of a model.

    Attributes:
        device: Device of the training.
        model: The network as prepared by accelerate, wrapped in a distributed run.
        plain: The network itself.
        optimizer: The optimiser.
        batches: Batch sampler.
        loader: Data loader.
        take_step: Takes an optimiser step.
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
    """Prepare the training of a model.

    Args:
        model: A zoo model, on the kind of device to train on. It changes in place.
        dataset: Training photos.
        recipe: The recipe.
        seed: Random seed.
        workers: Processes that load photos.
        distill_loss: The distillation loss.

    Raises:
        TrainingError: The recipe does not fit the model, the photos or the devices.
    """
    from accelerate import Accelerator  # noqa: PLC0415  slow to import, not needed for prediction

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
    """Return whether a run on this device uses bfloat16."""
    if recipe.precision != "auto":
        return recipe.precision == "bf16"
    return has_bf16(device)


def compile_blocks(model: nn.Module, enable: bool) -> None:
    """Turn compiled kernels for a model's blocks on or off.

    Raises:
        TrainingError: The network has no block with compiled kernels, or there is no compiler.
    """
    if not set_fused(model, enable) and enable:
        raise TrainingError(
            f"{type(model).__name__} has no block with a group norm to compile; set the recipe's compile to "
            "false."
        )
    if enable and next(model.parameters()).device.type == "cpu":
        # Imported here because it takes half a second.
        from torch._inductor.cpp_builder import get_cpp_compiler  # noqa: PLC0415
        from torch._inductor.exc import InvalidCxxCompiler  # noqa: PLC0415

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler as error:
            raise TrainingError(
                "the recipe's compile needs a C++ compiler, but none was found. Install g++ or clang, or set "
                "compile to false."
            ) from error
