"""The state of a training run: saved, checked and restored."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from activitynet.errors import NotFiniteError, StorageError, TrainingError, WeightsError
from activitynet.runtime import distributed
from activitynet.serialization import atomic
from activitynet.serialization.tensors import read_metadata, read_tensors
from activitynet.training.optim import WeightAverage
from activitynet.training.recipe import Checkpoint
from activitynet.training.run import RunFolder
from activitynet.training.signals import Interrupted, StopSignals

Tensors = dict[str, torch.Tensor]

_log = logging.getLogger(__name__)

_FILE, _PREVIOUS = "state.safetensors", "previous.safetensors"
_GROUP = "group"  # before the number of a parameter group, where others are of parameters
_KEY, _BLANK = b'"checksum":"', b"0" * 64


def save_checkpoint(folder: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint as one file, in one step, and keep the one before it.

    Args:
        folder: Where, such as ``checkpoints/last`` of a run.
        tensors: Every tensor of the state, by name.
        state: The rest, as JSON values.

    Raises:
        StorageError: It cannot be written; the old checkpoint stays.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {"state": json.dumps(state, allow_nan=False), "checksum": _BLANK.decode()}
    data = safetensors.torch.save(plain, metadata)
    data = data.replace(_KEY + _BLANK, _KEY + hashlib.sha256(data).hexdigest().encode(), 1)
    with atomic.replaced_file(folder / _FILE) as temporary:
        temporary.write_bytes(data)
        if (folder / _FILE).exists():
            _link(folder / _FILE, folder / _PREVIOUS)


def _link(file: Path, name: Path) -> None:
    """Give a file another name in one step, or a copy where file systems have one name per file."""
    temporary = name.with_name(f".{name.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        temporary.hardlink_to(file)
    except (OSError, NotImplementedError):
        shutil.copyfile(file, temporary)
    temporary.replace(name)
    temporary.unlink(missing_ok=True)  # it is still there if both names were the same file


def read_checkpoint(folder: Path, *, previous: bool = False) -> tuple[Tensors, dict[str, Any]]:
    """Read a checkpoint and compare all of its bytes with its checksum.

    Args:
        folder: Where it was saved.
        previous: Read the checkpoint before the last one.

    Raises:
        TrainingError: There is none, or it is not what was saved.
    """
    file = folder / (_PREVIOUS if previous else _FILE)
    try:
        data = file.read_bytes()
        at = data.index(_KEY) + len(_KEY)
        blank = b"".join((data[:at], _BLANK, data[at + len(_BLANK) :]))
        if hashlib.sha256(blank).hexdigest().encode() != data[at : at + len(_BLANK)]:
            raise TrainingError(f"the checkpoint in {str(folder)!r} is damaged; start without resume.")
        return read_tensors(file), json.loads(read_metadata(file)["state"])
    except (OSError, WeightsError, ValueError, KeyError) as error:
        raise TrainingError(
            f"no checkpoint can be read from {str(folder)!r} ({error}). "
            "Start without resume, or name another run."
        ) from error


def has_checkpoint(folder: Path) -> bool:
    """Tell whether a checkpoint was ever saved to this folder."""
    return (folder / _FILE).exists() or (folder / _PREVIOUS).exists()


def _read_run(run: RunFolder) -> tuple[Tensors, dict[str, Any], Tensors]:
    """Return tensors and values of a run's last state, and the weights of its best epoch until then.

    Where a file of the last state is damaged, the state before it is taken.

    Raises:
        TrainingError: Neither can be read.
    """
    faults: list[TrainingError] = []
    for previous in (False, True):
        try:
            tensors, state = read_checkpoint(run.last, previous=previous)
            best, older = _read_best(run, state["history"])
        except TrainingError as error:
            faults.append(error)
            continue
        if previous:
            _log.warning("%s The state before it is whole: resuming from step %d.", faults[0], state["step"])
        distributed.barrier()  # all processes have read the files
        if distributed.is_main_process():  # no later save may keep a damaged file
            for folder in [run.last] * previous + [run.best] * older:
                (folder / _PREVIOUS).replace(folder / _FILE)
        return tensors, state, best
    raise faults[0]


def _read_best(run: RunFolder, history: Sequence[Mapping[str, Any]]) -> tuple[Tensors, bool]:
    """Return the best weights, and whether they are those of the previous checkpoint.

    They may be of a later epoch than the history knows of: the run then repeats that epoch.
    """
    if not history:
        return {}, False
    needed = max(history, key=lambda row: row["macro_f1"])["epoch"]
    faults: list[TrainingError] = []
    for previous in (False, True):
        try:
            tensors, state = read_checkpoint(run.best, previous=previous)
        except TrainingError as error:
            faults.append(error)
            continue
        if state["epoch"] >= needed:
            return tensors, previous
    raise (faults or [TrainingError(f"the weights of epoch {needed} are not in {str(run.best)!r}.")])[0]


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[Tensors, dict[str, Any]]:
    """Split an optimiser's state into tensors and JSON values."""
    whole = optimizer.state_dict()
    tensors: Tensors = {}
    scalars: dict[str, dict[str, Any]] = {}
    groups: list[dict[str, Any]] = [{} for _ in whole["param_groups"]]
    for index, values in whole["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                scalars.setdefault(str(index), {})[name] = value
    for index, values in enumerate(whole["param_groups"]):
        for name, value in values.items():
            if isinstance(value, torch.Tensor):  # Lamb counts its steps so
                tensors[f"{_GROUP}{index}.{name}"] = value
            else:
                groups[index][name] = value
    return tensors, {"groups": groups, "scalars": scalars}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors, values: Mapping[str, Any]) -> None:
    """Restore an optimiser's state from what `flatten_optimizer` returned."""
    state: dict[int, dict[str, Any]] = {int(i): dict(entry) for i, entry in values["scalars"].items()}
    groups = [dict(group) for group in values["groups"]]
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        if index.startswith(_GROUP):
            groups[int(index.removeprefix(_GROUP))][name] = tensor
        else:
            state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def with_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the tensors with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the tensors whose names begin with ``prefix.``, without it."""
    start = prefix + "."
    return {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}


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

    def end_epoch(self, entry: Mapping[str, Any], timing: Mapping[str, Any]) -> bool:
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

    def epochs_to_keep(self, checkpoint: Checkpoint) -> set[int]:
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
        if not distributed.is_main_process():
            return
        optimizer_tensors, optimizer_values = flatten_optimizer(self.optimizer)
        tensors = with_prefix("model", self.model.state_dict()) | with_prefix("optimizer", optimizer_tensors)
        tensors |= with_prefix("average", self.average.state_dict())
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                epoch = self.epoch + (self.epoch_steps > 0)
                raise TrainingError(
                    self.not_finite_message(f"{name!r} is no longer finite", self.step, epoch, run)
                )
        state = {name: getattr(self, name) for name in _COUNTS} | {"optimizer": optimizer_values}
        # The best weights go first. Cut off in between, the run repeats the epoch that made them.
        if self.best_epoch != self._best_on_disk:
            save_checkpoint(run.best, self.best, {"epoch": self.best_epoch})
            self._best_on_disk = self.best_epoch
        save_checkpoint(run.last, tensors, state)
        run.write_metrics(self.history, self.timings)

    def not_finite_message(self, what: str, step: int, epoch: int, run: RunFolder | None) -> str:
        """Return the message for a value that is not finite: step, epoch, rate and last checkpoint."""
        lr = max(group["lr"] for group in self.optimizer.param_groups)
        text = f"{what} at step {step} (epoch {epoch}, rate {lr:.2g}). Lower the learning rate."
        if run is not None and has_checkpoint(run.last):
            text += f" The last good state is in {str(run.last)!r}."
        return text

    def restore(self, run: RunFolder) -> None:
        """Restore everything that `save` wrote.

        Raises:
            TrainingError: Neither the last checkpoint nor the one before it is whole.
        """
        tensors, state, best = _read_run(run)
        self.model.load_state_dict(without_prefix("model", tensors))
        restore_optimizer(self.optimizer, without_prefix("optimizer", tensors), state["optimizer"])
        self.average.load_state_dict(without_prefix("average", tensors))
        for name in _COUNTS:
            setattr(self, name, state[name])
        self._best_on_disk = self.best_epoch
        self.best = best
        if distributed.is_main_process():
            run.write_metrics(self.history, self.timings)  # as it was when the state was written


@contextlib.contextmanager
def saving_on_exit(state: TrainingState, run: RunFolder | None, stop: StopSignals) -> Iterator[None]:
    """Save the state of a run that ends early, for whatever reason.

    Raises:
        Interrupted: In place of what else a signal brought about.
        TrainingError: In place of `NotFiniteError`, with the step, the rate and the last good state.
    """
    try:
        yield
    except NotFiniteError as error:
        # The failed step changed nothing, but the one before may be the cause.
        raise TrainingError(
            state.not_finite_message(str(error), state.step + 1, state.epoch + 1, run)
        ) from error
    except StorageError:
        raise
    except BaseException as error:
        saved = " Nothing is saved, since there is no run folder."
        if run is not None:
            if state.is_whole:
                state.save(run)
            kept = "Its state is saved" if state.is_whole else "The last saved state is"
            saved = f" {kept} in {str(run.last)!r}."
        if stop.received is None:
            raise
        name = signal.Signals(stop.received).name
        raise Interrupted(f"stopped by {name} after step {state.step}.{saved}", stop.received) from error
