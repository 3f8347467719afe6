"""What a run and a search for its learning rate have in common: everything but the rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from activitynet.blocks import set_fused
from activitynet.data.augmented import AugmentedPhotos
from activitynet.errors import TrainingError
from activitynet.inference import has_bf16
from activitynet.training.batches import EpochBatches, training_loader
from activitynet.training.losses import make_loss
from activitynet.training.memory import checkpoint_gradients
from activitynet.training.mixing import make_mixer
from activitynet.training.optim import freeze, make_optimizer
from activitynet.training.recipe import Recipe
from activitynet.training.step import Stepper, Teach


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
    loader: DataLoader[Any]
    take_step: Stepper


def prepare(
    model: nn.Module,
    dataset: AugmentedPhotos,
    recipe: Recipe,
    *,
    seed: int,
    workers: int,
    teach: Teach | None,
) -> Prepared:
    """Make a model ready to learn from photos as a recipe says.

    Args:
        model: A zoo model, on the kind of device that it is to learn on. It changes in place.
        dataset: Training photos.
        recipe: What to do.
        seed: Where all randomness comes from.
        workers: Processes that load photos.
        teach: The loss that distils.

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
        light=dataset.light,
        bf16=computes_in_bf16(recipe, device),
        mixer=make_mixer(recipe.mix, num_classes),
        teach=teach,
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
