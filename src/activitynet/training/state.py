"""Everything that changes while a run goes on, and how it is saved and put back."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from activitynet import ranks
from activitynet.errors import StorageError, TrainingError
from activitynet.training.averaging import WeightAverage
from activitynet.training.checkpoint import (
    Tensors,
    flatten_optimizer,
    has_checkpoint,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
    with_prefix,
    without_prefix,
)
from activitynet.training.recipe import Checkpoint
from activitynet.training.run import RunFolder
from activitynet.training.signals import Interrupted, StopSignals
from activitynet.training.step import NotFiniteError

_COUNTS = ("step", "loss_sum", "seconds", "waited", "history", "timings")


@dataclass
class TrainingState:
    """The moving parts of a run.

    There is no generator among them, since every draw is a function of the seed, the epoch and the step; and
    no schedule, since the rate is a function of the step.

    Attributes:
        model: The network that learns.
        optimizer: What updates it.
        average: The average of its weights.
        step: Optimiser steps done.
        loss_sum: Losses of the current epoch's steps, added up.
        seconds: Time spent on the current epoch's steps.
        waited: How much of it was spent waiting for photos.
        history: One entry for each validated epoch.
        timings: How long each epoch took, apart, since it never is the same twice.
        best: The best epoch's validated weights, on the CPU.
        is_whole: Whether all of it belongs to one moment, and may be saved.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    timings: list[dict[str, Any]] = field(default_factory=list)
    best: Tensors = field(default_factory=dict)
    is_whole: bool = True
    _best_on_disk: int = -1
    _clock: float = 0.0
    _saved: float = field(default_factory=time.monotonic)

    @property
    def epoch(self) -> int:
        """Epochs finished and validated; -1 before the validation that precedes training."""
        return self.history[-1]["epoch"] if self.history else -1

    @property
    def best_epoch(self) -> int:
        """The epoch with the best score, the first of equals; -1 before any."""
        return max(self.history, key=lambda row: row["macro_f1"])["epoch"] if self.history else -1

    @property
    def epoch_steps(self) -> int:
        """Steps of the current epoch that are done."""
        return self.step - (self.history[-1]["step"] if self.history else 0)

    @property
    def mean_loss(self) -> float | None:
        """Mean loss of the current epoch's steps."""
        return self.loss_sum / self.epoch_steps if self.epoch_steps else None

    def images_per_second(self, batch_size: int) -> float:
        """Return how many photos a second the current epoch has taken, waiting included."""
        return self.epoch_steps * batch_size / self.seconds if self.seconds else 0.0

    def start_clock(self) -> None:
        """Begin to take the time of an epoch's steps."""
        self._clock = time.perf_counter()

    def count_wait(self) -> None:
        """Add the time since the last step as waiting: the next one's photos have just come."""
        self.waited += time.perf_counter() - self._clock

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Mark the state as not whole while something changes it."""
        self.is_whole = False
        yield
        self.is_whole = True

    def count_step(self, loss: float) -> None:
        """Add one step to the count, its loss and its time."""
        now = time.perf_counter()
        self.step += 1
        self.loss_sum += loss
        self.seconds += now - self._clock
        self._clock = now

    def note(self, entry: Mapping[str, Any], timing: Mapping[str, Any]) -> bool:
        """End an epoch: add it to the history, and keep its weights when it is the best so far.

        Returns:
            Whether it is.
        """
        self.history.append(dict(entry))
        self.timings.append(dict(timing))
        self.loss_sum = self.seconds = self.waited = 0.0
        is_best = self.best_epoch == self.epoch
        if is_best:
            self.best = {
                name: tensor.detach().cpu().clone()
                for name, tensor in self.average.kept().state_dict().items()
            }
        return is_best

    def wanted(self, checkpoint: Checkpoint) -> set[int]:
        """Return the epochs whose weights are kept: those named, and the best so far."""
        ranking = sorted(self.history, key=lambda row: -row["macro_f1"])  # of equals, the first
        return {*checkpoint.epochs, *(row["epoch"] for row in ranking[: checkpoint.top])}

    def is_due(self, checkpoint: Checkpoint) -> bool:
        """Tell whether it is time to save between two epochs."""
        if checkpoint.every_steps and self.step % checkpoint.every_steps == 0:
            return True
        minutes = (time.monotonic() - self._saved) / 60
        return 0 < checkpoint.every_minutes <= minutes

    def save(self, run: RunFolder) -> None:
        """Write the state to a run's ``last`` checkpoint, and the best weights when they are new.

        Raises:
            StorageError: It cannot be written; the previous checkpoint stays.
            TrainingError: The weights are no longer finite; the previous checkpoint stays.
        """
        self._saved = time.monotonic()
        if not ranks.is_main():
            return
        optimizer_tensors, optimizer_values = flatten_optimizer(self.optimizer)
        tensors = with_prefix("model", self.model.state_dict()) | with_prefix("optimizer", optimizer_tensors)
        tensors |= with_prefix("average", self.average.state_dict())
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                epoch = self.epoch + (self.epoch_steps > 0)
                raise TrainingError(self.told(f"{name!r} is no longer finite", self.step, epoch, run))
        state = {name: getattr(self, name) for name in _COUNTS} | {"optimizer": optimizer_values}
        # The best weights go first. Cut off in between, the run repeats the epoch that made them.
        if self.best_epoch != self._best_on_disk:
            save_checkpoint(run.best, self.best, {"epoch": self.best_epoch})
            self._best_on_disk = self.best_epoch
        save_checkpoint(run.last, tensors, state)
        run.write_metrics(self.history, self.timings)

    def told(self, what: str, step: int, epoch: int, run: RunFolder | None) -> str:
        """Return the message for what is no longer finite: where, at which rate, and where to go on."""
        lr = max(group["lr"] for group in self.optimizer.param_groups)
        text = f"{what} at step {step} (epoch {epoch}, rate {lr:.2g}). Lower the learning rate."
        if run is not None and has_checkpoint(run.last):
            text += f" The last good state is in {str(run.last)!r}."
        return text

    def restore(self, run: RunFolder) -> None:
        """Put everything back to where `save` left it.

        Raises:
            TrainingError: There is no whole checkpoint.
            WeightsError: Its tensors are not what was saved.
        """
        tensors, state = read_checkpoint(run.last)
        self.model.load_state_dict(without_prefix("model", tensors))
        restore_optimizer(self.optimizer, without_prefix("optimizer", tensors), state["optimizer"])
        self.average.load_state_dict(without_prefix("average", tensors))
        for name in _COUNTS:
            setattr(self, name, state[name])
        self._best_on_disk = self.best_epoch
        self.best = read_checkpoint(run.best)[0] if self.history else {}
        if ranks.is_main():
            run.write_metrics(self.history, self.timings)  # as it was when the state was written


@contextlib.contextmanager
def saved_on_the_way_out(state: TrainingState, run: RunFolder | None, stop: StopSignals) -> Iterator[None]:
    """Save a run that ends early, whatever ends it, so that nothing it learned is lost.

    Raises:
        Interrupted: In place of what else a signal brought about.
        TrainingError: In place of `NotFiniteError`, with the step, the rate and the last good state.
    """
    try:
        yield
    except NotFiniteError as error:
        # The step that failed has changed nothing, but the one before may be at fault.
        raise TrainingError(state.told(str(error), state.step + 1, state.epoch + 1, run)) from error
    except StorageError:
        raise
    except BaseException as error:
        saved = " Nothing is saved, for it has no run folder."
        if run is not None:
            if state.is_whole:
                state.save(run)
            kept = "Its state is saved" if state.is_whole else "What was saved before is"
            saved = f" {kept} in {str(run.last)!r}."
        if stop.received is None:
            raise
        name = signal.Signals(stop.received).name
        raise Interrupted(f"stopped by {name} after step {state.step}.{saved}", stop.received) from error
