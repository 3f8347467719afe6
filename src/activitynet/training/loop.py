"""The training loop: one function, read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from activitynet.data.augmented import AugmentedPhotos
from activitynet.runtime import distributed
from activitynet.training.callbacks import Callback, Event
from activitynet.training.checkpoint import TrainingState, has_checkpoint, saving_on_exit
from activitynet.training.optim import WeightAverage, checkpoint_gradients, make_schedule, set_training_mode
from activitynet.training.recipe import Recipe
from activitynet.training.run import RunFolder
from activitynet.training.sampler import read_steps
from activitynet.training.signals import StopSignals
from activitynet.training.step import DistillLoss, compile_blocks, prepare, step_seed

Validate = Callable[[nn.Module], Mapping[str, Any]]
"""From a model to its scores on the validation photos, as JSON values; ``macro_f1`` picks the best epoch."""

SaveEpoch = Callable[[Path, nn.Module, Mapping[str, Any]], None]
"""Writes a weights folder: where, the network, and its entry in the history."""


@dataclass(frozen=True)
class FitResult:
    """The outcome of a training run.

    Attributes:
        history: One entry an epoch: epoch, step, loss, lr and the validation scores.
        timings: How long each epoch took: epoch, seconds, waited_seconds (of these, waiting for photos),
            images_per_second, validation_seconds.
        best_epoch: The epoch whose weights the model now has; 0 is the state before training.
        run: The run's folder, or `None` when nothing was written.
        skipped: How many photos were left out, since they could not be read, by split.
    """

    history: tuple[Mapping[str, Any], ...]
    timings: tuple[Mapping[str, Any], ...]
    best_epoch: int
    run: Path | None
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def best(self) -> Mapping[str, Any]:
        """The history entry of the best epoch."""
        return next(row for row in self.history if row["epoch"] == self.best_epoch)


def train(  # noqa: PLR0915  read from top to bottom, in one place
    model: nn.Module,
    dataset: AugmentedPhotos,
    validate: Validate,
    recipe: Recipe,
    *,
    run: RunFolder | None = None,
    resume: bool = False,
    seed: int = 0,
    workers: int = 0,
    distill_loss: DistillLoss | None = None,
    save_epoch: SaveEpoch | None = None,
    callbacks: Sequence[Callback] = (),
) -> FitResult:
    """Train a model and leave it with the weights of its best epoch.

    Every random choice is a function of (seed, step) or of (seed, epoch, photo), so a run that was cut off at
    any instant goes on from its last checkpoint to the same weights as one that was never interrupted.

    Args:
        model: A zoo model. The training happens in place, on the kind of device the model is on.
        dataset: Training photos.
        validate: Scores a model after each epoch, and once before the first. Every process calls it.
        recipe: What to do.
        run: Where checkpoints and metrics go; `None` writes nothing.
        resume: Go on from the run's last checkpoint when there is one.
        seed: Where all randomness comes from.
        workers: Processes that load photos; 0 loads in this one. The result does not depend on it.
        distill_loss: The distillation loss, for a recipe with teachers.
        save_epoch: Writes the epochs that the recipe keeps.
        callbacks: Called with each `Event`, in order.

    Returns:
        The history and the best epoch.

    Raises:
        TrainingError: The loss is no longer finite, or the checkpoint cannot be resumed from.
        ImageError: A photo can no longer be read; the state is saved.
        DataError: A process that loads photos has died; the state is saved.
        StorageError: A checkpoint cannot be written; the previous one stays.
        Interrupted: By Ctrl-C or SIGTERM; the state is saved.
    """
    ready = prepare(model, dataset, recipe, seed=seed, workers=workers, distill_loss=distill_loss)
    plain, batches = ready.plain, ready.batches
    steps = recipe.epochs * batches.steps
    set_rate = make_schedule(ready.optimizer, recipe, steps)
    state = TrainingState(plain, ready.optimizer, WeightAverage(plain, recipe.average, steps))
    stop = StopSignals()
    is_main = distributed.is_main_process()
    lr = 0.0

    def emit(kind: Any, epoch: int, **facts: Any) -> None:
        event = Event(kind, epoch=epoch, epochs=recipe.epochs, step=state.step, steps=steps, lr=lr, **facts)
        for callback in callbacks:
            callback(event)

    def finish_epoch(epoch: int) -> None:
        """Validate, record the scores, keep the weights and save the state."""
        kept, began = state.average.kept(), time.perf_counter()
        distributed.broadcast_tensors(kept.buffers())  # norms' statistics differ between processes
        with stop.between_batches_of(kept):
            scores = validate(kept)
        entry = {"epoch": epoch, "step": state.step, "lr": lr, "loss": state.mean_loss, **scores}
        speed = state.images_per_second(batches.batch_size)
        timing = {"epoch": epoch, "seconds": state.seconds, "waited_seconds": state.waited}
        timing["images_per_second"] = speed
        timing["validation_seconds"] = time.perf_counter() - began
        with state.changing():
            is_best = state.end_epoch(entry, timing)
            to_keep = state.epochs_to_keep(recipe.checkpoint)
            if run is not None and save_epoch is not None and epoch in to_keep and is_main:
                save_epoch(run.snapshot(epoch), kept, entry)
        if run is not None:
            state.save(run)
        if run is not None and is_main:
            run.remove_snapshots(but=to_keep)
        emit("epoch", epoch, scores=scores, best=is_best, loss=entry["loss"], images_per_second=speed)

    with torch.random.fork_rng(), stop, saving_on_exit(state, run, stop):
        if run is not None and resume and has_checkpoint(run.last):
            state.restore(run)
            lr = set_rate(state.step - 1) if state.step else 0.0
        emit("start", max(0, state.epoch))
        if state.epoch < 0:
            finish_epoch(0)
        for epoch in range(state.epoch + 1, recipe.epochs + 1):
            if recipe.patience and state.epoch - state.best_epoch >= recipe.patience:
                break
            batches.begin(epoch, done=state.step - (epoch - 1) * batches.steps)
            dataset.set_epoch(epoch)
            set_training_mode(ready.model, freeze_norm=recipe.freeze_norm)
            state.start_clock()
            for parts in read_steps(ready.loader, recipe.grad_accum_steps):
                state.count_wait()
                torch.manual_seed(step_seed(seed, state.step))
                with state.changing():
                    lr = set_rate(state.step)
                    loss = ready.take_step(parts, mix=state.step < recipe.mix.until * steps)
                    state.average.update(state.step + 1)
                    state.count_step(loss)
                speed = state.images_per_second(batches.batch_size)
                emit("step", epoch, loss=loss, images_per_second=speed)
                if run is not None and state.is_due(recipe.checkpoint):
                    state.save(run)
                stop.raise_if_received(ready.device)
            finish_epoch(epoch)

    plain.load_state_dict(state.best)
    plain.eval().requires_grad_(True)
    checkpoint_gradients(plain, False)
    compile_blocks(plain, False)
    emit("end", state.epoch)
    folder = run.path if run is not None else None
    return FitResult(tuple(state.history), tuple(state.timings), state.best_epoch, folder)
