"""Save, verify and restore the state of a training run."""

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
_GROUP = "group"  # prefix of the index of a parameter group; indices of parameters have none
_KEY, _BLANK = b'"checksum":"', b"0" * 64


def save_checkpoint(folder: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically as one file, and keep the previous one.

    Args:
        folder: Folder of the checkpoint, such as ``checkpoints/last`` of a run.
        tensors: All tensors of the state, by name.
        state: The rest of the state, as JSON values.

    Raises:
        StorageError: The file cannot be written; the old checkpoint remains.
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
    """Give a file a second name atomically; copy it if the file system has no hard links."""
    temporary = name.with_name(f".{name.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        temporary.hardlink_to(file)
    except (OSError, NotImplementedError):
        shutil.copyfile(file, temporary)
    temporary.replace(name)
    temporary.unlink(missing_ok=True)  # it still exists if both names were the same file


def read_checkpoint(folder: Path, *, previous: bool = False) -> tuple[Tensors, dict[str, Any]]:
    """Read a checkpoint and verify its checksum.

    Args:
        folder: Folder of the checkpoint.
        previous: Read the previous checkpoint instead of the last one.

    Raises:
        TrainingError: There is no checkpoint, or it is damaged.
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
    """Return whether the folder has a checkpoint."""
    return (folder / _FILE).exists() or (folder / _PREVIOUS).exists()


def _read_run(run: RunFolder) -> tuple[Tensors, dict[str, Any], Tensors]:
    """Return tensors and values of a run's last state, and the weights of its best epoch so far.

    If a file of the last state is damaged, the previous state is used.

    Raises:
        TrainingError: Neither state can be read.
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
            _log.warning("%s Resuming from the previous checkpoint, at step %d.", faults[0], state["step"])
        distributed.barrier()  # all processes have read the files
        if distributed.is_main_process():  # remove damaged files before the next save
            for folder in [run.last] * previous + [run.best] * older:
                (folder / _PREVIOUS).replace(folder / _FILE)
        return tensors, state, best
    raise faults[0]


def _read_best(run: RunFolder, history: Sequence[Mapping[str, Any]]) -> tuple[Tensors, bool]:
    """Return the best weights, and whether they come from the previous checkpoint.

    They may belong to an epoch after the history's last; the run then repeats that epoch.
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
    raise (faults or [TrainingError(f"{str(run.best)!r} does not have the weights of epoch {needed}.")])[0]


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
            if isinstance(value, torch.Tensor):  # such as the step count of LAMB
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
    """Return the tensors with ``prefix.`` added to each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the tensors whose names start with ``prefix.``, with the prefix removed."""
    start = prefix + "."
    return {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}


_COUNTS = ("step", "loss_sum", "seconds", "waited", "history", "timings")


@dataclass
class TrainingState:
    """State of a training run.

    It has no random generator and no scheduler: random numbers are functions of seed, epoch and step, and the
    learning rate is a function of the step.

    Attributes:
        model: The network to train.
        optimizer: Its optimiser.
        average: The average of its weights.
        step: Optimiser steps done.
        loss_sum: Sum of the losses of the current epoch's steps.
        seconds: Duration of the current epoch's steps.
        waited: The part of it spent waiting for photos.
        history: One entry for each validated epoch.
        timings: Duration of each epoch, kept apart because it is not reproducible.
        best: The best epoch's validated weights, on the CPU.
        is_consistent: Whether all parts belong to the same step, so that the state may be saved.
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
    is_consistent: bool = True
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
        """Return the photos per second of the current epoch, including time spent waiting."""
        return self.epoch_steps * batch_size / self.seconds if self.seconds else 0.0

    def start_clock(self) -> None:
        """Start timing an epoch's steps."""
        self._clock = time.perf_counter()

    def count_wait(self) -> None:
        """Add the time since the last step as waiting time; call when the next photos have arrived."""
        self.waited += time.perf_counter() - self._clock

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Mark the state as inconsistent during a change."""
        self.is_consistent = False
        yield
        self.is_consistent = True

    def count_step(self, loss: float) -> None:
        """Count one step, its loss and its time."""
        now = time.perf_counter()
        self.step += 1
        self.loss_sum += loss
        self.seconds += now - self._clock
        self._clock = now

    def end_epoch(self, entry: Mapping[str, Any], timing: Mapping[str, Any]) -> bool:
        """Add an epoch to the history, and store its weights if it is the best so far.

        Returns:
            Whether it is the best so far.
        """
        self.history.append(dict(entry))
        self.timings.append(dict(timing))
        self.loss_sum = self.seconds = self.waited = 0.0
        is_best = self.best_epoch == self.epoch
        if is_best:
            self.best = {
                name: tensor.detach().cpu().clone()
                for name, tensor in self.average.averaged_model().state_dict().items()
            }
        return is_best

    def epochs_to_keep(self, checkpoint: Checkpoint) -> set[int]:
        """Return the epochs whose weights are kept: the listed ones and the best so far."""
        ranking = sorted(self.history, key=lambda row: -row["macro_f1"])  # the first of equal ones
        return {*checkpoint.epochs, *(row["epoch"] for row in ranking[: checkpoint.top])}

    def is_due(self, checkpoint: Checkpoint) -> bool:
        """Return whether to save a checkpoint now, during an epoch."""
        if checkpoint.every_steps and self.step % checkpoint.every_steps == 0:
            return True
        minutes = (time.monotonic() - self._saved) / 60
        return 0 < checkpoint.every_minutes <= minutes

    def save(self, run: RunFolder) -> None:
        """Write the state to a run's ``last`` checkpoint, and the best weights if they are new.

        Raises:
            StorageError: A file cannot be written; the previous checkpoint remains.
            TrainingError: The weights are not finite; the previous checkpoint remains.
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
                raise TrainingError(self.not_finite_message(f"{name!r} is not finite", self.step, epoch, run))
        state = {name: getattr(self, name) for name in _COUNTS} | {"optimizer": optimizer_values}
        # Write the best weights first: if interrupted in between, the run repeats their epoch.
        if self.best_epoch != self._best_on_disk:
            save_checkpoint(run.best, self.best, {"epoch": self.best_epoch})
            self._best_on_disk = self.best_epoch
        save_checkpoint(run.last, tensors, state)
        run.write_metrics(self.history, self.timings)

    def not_finite_message(self, what: str, step: int, epoch: int, run: RunFolder | None) -> str:
        """Return the error message for a value that is not finite."""
        lr = max(group["lr"] for group in self.optimizer.param_groups)
        text = f"{what} at step {step} (epoch {epoch}, rate {lr:.2g}). Lower the learning rate."
        if run is not None and has_checkpoint(run.last):
            text += f" The last checkpoint is in {str(run.last)!r}."
        return text

    def restore(self, run: RunFolder) -> None:
        """Restore the state that `save` wrote.

        Raises:
            TrainingError: Both the last checkpoint and the previous one are damaged.
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
            run.write_metrics(self.history, self.timings)  # drop rows that are newer than the state


@contextlib.contextmanager
def saving_on_exit(state: TrainingState, run: RunFolder | None, stop: StopSignals) -> Iterator[None]:
    """Save the state of a run that ends early.

    Raises:
        Interrupted: Replaces any exception after a signal.
        TrainingError: Replaces `NotFiniteError`; gives the step, the rate and the last checkpoint.
    """
    try:
        yield
    except NotFiniteError as error:
        # The failed step changed nothing, but the previous one may be the cause.
        raise TrainingError(
            state.not_finite_message(str(error), state.step + 1, state.epoch + 1, run)
        ) from error
    except StorageError:
        raise
    except BaseException as error:
        saved = " Nothing is saved because there is no run folder."
        if run is not None:
            if state.is_consistent:
                state.save(run)
            what = "The state is saved" if state.is_consistent else "The last saved state is"
            saved = f" {what} in {str(run.last)!r}."
        if stop.received is None:
            raise
        name = signal.Signals(stop.received).name
        raise Interrupted(f"stopped by {name} after step {state.step}.{saved}", stop.received) from error
