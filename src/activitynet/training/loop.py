"""The training loop."""

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
"""Returns a model's scores on the validation photos as JSON values; ``macro_f1`` selects the best epoch."""

SaveEpoch = Callable[[Path, nn.Module, Mapping[str, Any]], None]
"""Writes a weights folder, given its path, the network and the history entry of the epoch."""


@dataclass(frozen=True)
class FitResult:
    """Result of a training run.

    Attributes:
        history: One entry per epoch: epoch, step, loss, lr and the validation scores.
        timings: One entry per epoch: epoch, seconds, waited_seconds (the part spent waiting for photos),
            images_per_second, validation_seconds.
        best_epoch: The epoch whose weights the model now has; 0 is the state before training.
        run: The run folder; `None` if nothing was written.
        skipped: Number of photos in each split that were skipped because they cannot be read.
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


def train(  # noqa: PLR0915  long, but sequential
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

    All random numbers are functions of (seed, step) or of (seed, epoch, photo). So an interrupted run, when
    resumed from its last checkpoint, gives the same weights as an uninterrupted one.

    Args:
        model: A zoo model. It is trained in place, on its kind of device.
        dataset: Training photos.
        validate: Scores a model after each epoch, and once before the first. Every process calls it.
        recipe: The recipe.
        run: Folder for checkpoints and metrics; `None` writes nothing.
        resume: Continue from the run's last checkpoint, if there is one.
        seed: Random seed.
        workers: Processes that load photos; 0 loads in this process. The result does not depend on it.
        distill_loss: The distillation loss, for a recipe with teachers.
        save_epoch: Writes the weights of the epochs that the recipe keeps.
        callbacks: Called with each `Event`, in order.

    Returns:
        The history and the best epoch.

    Raises:
        TrainingError: The loss is not finite, or the run cannot be resumed from the checkpoint.
        ImageError: A photo can no longer be read; the state is saved.
        DataError: A loading process died; the state is saved.
        StorageError: A checkpoint cannot be written; the previous one remains.
        Interrupted: Ctrl-C or SIGTERM stopped the run; the state is saved.
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
        network, began = state.average.averaged_model(), time.perf_counter()
        distributed.broadcast_tensors(network.buffers())  # batch norm statistics differ between processes
        with stop.between_batches_of(network):
            scores = validate(network)
        entry = {"epoch": epoch, "step": state.step, "lr": lr, "loss": state.mean_loss, **scores}
        speed = state.images_per_second(batches.batch_size)
        timing = {"epoch": epoch, "seconds": state.seconds, "waited_seconds": state.waited}
        timing["images_per_second"] = speed
        timing["validation_seconds"] = time.perf_counter() - began
        with state.changing():
            is_best = state.end_epoch(entry, timing)
            to_keep = state.epochs_to_keep(recipe.checkpoint)
            if run is not None and save_epoch is not None and epoch in to_keep and is_main:
                save_epoch(run.snapshot(epoch), network, entry)
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
