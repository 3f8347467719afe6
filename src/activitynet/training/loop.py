"""The training loop: one function, read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from torch import nn
from torch.utils.data import DataLoader

from activitynet.data.photos import PhotoDataset
from activitynet.errors import TrainingError
from activitynet.training.checkpoint import has_checkpoint
from activitynet.training.events import Callback, Event
from activitynet.training.losses import make_loss
from activitynet.training.optim import freeze_trunk, make_optimizer, set_learning_rate, set_training_mode
from activitynet.training.order import EpochSampler, derived_seed
from activitynet.training.recipe import Recipe
from activitynet.training.run import RunFolder
from activitynet.training.state import TrainingState

Validate = Callable[[nn.Module], Mapping[str, float]]
"""From a model to its scores on the validation photos; ``macro_f1`` picks the best epoch."""


@dataclass(frozen=True)
class FitResult:
    """What a training run came to.

    Attributes:
        history: One entry an epoch: epoch, loss, lr, images_per_second and the validation scores.
        best_epoch: The epoch whose weights the model now has; 0 is the state before training.
        run: The run's folder, or `None` when nothing was written.
    """

    history: tuple[Mapping[str, Any], ...]
    best_epoch: int
    run: Path | None

    @property
    def best(self) -> Mapping[str, Any]:
        """The history entry of the best epoch."""
        return next(row for row in self.history if row["epoch"] == self.best_epoch)


def computes_in_bf16(recipe: Recipe, device: torch.device) -> bool:
    """Tell whether a run on this device multiplies in bfloat16."""
    if recipe.precision != "auto":
        return recipe.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return False


def train(  # noqa: PLR0915  read from top to bottom, in one place
    model: nn.Module,
    dataset: PhotoDataset,
    validate: Validate,
    recipe: Recipe,
    *,
    run: RunFolder | None = None,
    resume: bool = False,
    seed: int = 0,
    workers: int = 0,
    callbacks: Sequence[Callback] = (),
) -> FitResult:
    """Train a model and leave it with the weights of its best epoch.

    Every random choice is a function of (seed, step) or of (seed, epoch, photo), so a run that is resumed
    after an epoch goes on to the same weights as one that was never interrupted.

    Args:
        model: A zoo model. The training happens in place, on the kind of device the model is on.
        dataset: Training photos, with the training transform.
        validate: Scores a model after each epoch, and once before the first.
        recipe: What to do.
        run: Where checkpoints and metrics go; `None` writes nothing.
        resume: Go on from the run's last checkpoint when there is one.
        seed: Where all randomness comes from.
        workers: Processes that load photos; 0 loads in this one. The result does not depend on it.
        callbacks: Called with each `Event`, in order.

    Returns:
        The history and the best epoch.

    Raises:
        TrainingError: The loss is no longer finite, or the checkpoint cannot be resumed from.
        StorageError: A checkpoint cannot be written; the previous one stays.
    """
    accelerator = Accelerator(cpu=next(model.parameters()).device.type == "cpu")
    device = accelerator.device
    bf16 = computes_in_bf16(recipe, device)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    num_classes: int = model.num_classes  # type: ignore[assignment]
    labels = [photo.label for photo in dataset.photos]
    loss_function = make_loss(recipe.loss, labels, num_classes).to(device)
    freeze_trunk(model, recipe.freeze)
    loader: Any = DataLoader(
        dataset,
        batch_size=min(recipe.batch_size, len(dataset)),
        sampler=EpochSampler(len(dataset), seed),
        drop_last=True,  # a last batch of one photo is no ground for a step
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )
    model, optimizer, loader = accelerator.prepare(model, make_optimizer(model, recipe), loader)
    plain: nn.Module = accelerator.unwrap_model(model)
    steps = recipe.epochs * len(loader)
    # The average spans at most a tenth of the run, so that it is never mostly the weights it began with.
    ema = ModelEmaV3(plain, decay=max(0.0, 1 - 10 / max(steps, 11)), use_warmup=True) if recipe.ema else None
    state = TrainingState(plain, optimizer, ema)
    lr = 0.0

    def tell(kind: Any, epoch: int, **facts: Any) -> None:
        event = Event(kind, epoch=epoch, epochs=recipe.epochs, step=state.step, steps=steps, lr=lr, **facts)
        for callback in callbacks:
            callback(event)

    def close_epoch(epoch: int, loss: float | None, images_per_second: float) -> None:
        scores = validate(state.validated)
        facts: dict[str, Any] = {"loss": loss, "images_per_second": images_per_second}
        is_best = state.note({"epoch": epoch, "lr": lr, **facts, **scores})
        if run is not None:
            state.save(run)
        tell("epoch", epoch, scores=scores, best=is_best, **facts)

    with torch.random.fork_rng():  # the caller's generators stay as they were
        if run is not None and resume and has_checkpoint(run.last):
            state.restore(run)
        tell("start", max(0, state.epoch))
        if state.epoch < 0:
            close_epoch(0, None, 0.0)
        for epoch in range(state.epoch + 1, recipe.epochs + 1):
            if recipe.patience and state.epoch - state.best_epoch >= recipe.patience:
                break
            loader.set_epoch(epoch)  # accelerate counts epochs for itself unless told, and resumes at 0
            dataset.set_epoch(epoch)
            set_training_mode(model, freeze_norm=recipe.freeze_norm)
            total, seen, began = 0.0, 0, time.perf_counter()
            for images, targets, _ in loader:
                torch.manual_seed(derived_seed(seed, "step", state.step))
                lr = set_learning_rate(optimizer, recipe, state.step, steps)
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    logits = model(images.to(memory_format=torch.channels_last))
                loss = loss_function(logits.float(), targets).mean()
                if not torch.isfinite(loss):
                    saved = f" The last good state is in {str(run.last)!r}." if run is not None else ""
                    raise TrainingError(
                        f"the loss became {loss.item()} at step {state.step + 1} (epoch {epoch}, "
                        f"rate {lr:.2g}). Lower the learning rate.{saved}"
                    )
                optimizer.zero_grad()
                accelerator.backward(loss)
                if recipe.optimizer.clip_norm > 0:
                    accelerator.clip_grad_norm_(model.parameters(), recipe.optimizer.clip_norm)
                optimizer.step()
                state.step += 1
                if ema is not None:
                    ema.update(plain, step=state.step)
                total, seen = total + loss.item() * len(targets), seen + len(targets)
                rate = seen / (time.perf_counter() - began)
                tell("step", epoch, loss=loss.item(), images_per_second=rate)
            close_epoch(epoch, total / seen, seen / (time.perf_counter() - began))

    plain.load_state_dict(state.best)
    plain.eval().requires_grad_(True)
    tell("end", state.epoch)
    return FitResult(tuple(state.history), state.best_epoch, run.path if run is not None else None)
