"""Everything that changes while a run goes on, and how it is saved and put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import nn

from activitynet.training.checkpoint import (
    Tensors,
    flatten_optimizer,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
    with_prefix,
    without_prefix,
)
from activitynet.training.run import RunFolder


@dataclass
class TrainingState:
    """The moving parts of a run.

    Attributes:
        model: The network that learns.
        optimizer: What updates it.
        ema: The moving average of its weights, when the recipe keeps one.
        step: Optimiser steps done.
        history: One entry for each validated epoch.
        best_epoch: The epoch with the best score; -1 before the first.
        best: That epoch's validated weights, on the CPU.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    ema: ModelEmaV3 | None
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = -1
    best: Tensors = field(default_factory=dict)

    @property
    def validated(self) -> nn.Module:
        """The network that is validated and kept: the average when there is one."""
        return self.model if self.ema is None else self.ema.module

    @property
    def epoch(self) -> int:
        """Epochs finished and validated; -1 before the validation that precedes training."""
        return self.history[-1]["epoch"] if self.history else -1

    def note(self, entry: Mapping[str, Any]) -> bool:
        """Add an epoch to the history; keep its weights and return `True` when it is the best so far."""
        is_best = entry["macro_f1"] > max((row["macro_f1"] for row in self.history), default=-1.0)
        self.history.append(dict(entry))
        if is_best:
            self.best_epoch = entry["epoch"]
            self.best = {
                name: tensor.detach().cpu().clone() for name, tensor in self.validated.state_dict().items()
            }
        return is_best

    def save(self, run: RunFolder) -> None:
        """Write the state to a run's ``last`` checkpoint, and the best weights when they are new.

        Raises:
            StorageError: It cannot be written; the previous checkpoint stays.
        """
        state = {"step": self.step, "best_epoch": self.best_epoch, "history": self.history}
        if self.best_epoch == self.epoch:
            save_checkpoint(run.best, self.best, state)
        optimizer_tensors, optimizer_values = flatten_optimizer(self.optimizer)
        tensors = with_prefix("model", self.model.state_dict()) | with_prefix("optimizer", optimizer_tensors)
        if self.ema is not None:
            tensors |= with_prefix("ema", self.ema.module.state_dict())
        save_checkpoint(run.last, tensors, {**state, "optimizer": optimizer_values})
        run.write_metrics(self.history)

    def restore(self, run: RunFolder) -> None:
        """Put everything back to where `save` left it.

        Raises:
            TrainingError: There is no whole checkpoint.
            WeightsError: Its tensors are not what was saved.
        """
        tensors, state = read_checkpoint(run.last)
        self.model.load_state_dict(without_prefix("model", tensors))
        restore_optimizer(self.optimizer, without_prefix("optimizer", tensors), state["optimizer"])
        if self.ema is not None:
            self.ema.module.load_state_dict(without_prefix("ema", tensors))
        self.step, self.history, self.best_epoch = state["step"], state["history"], state["best_epoch"]
        self.best, _ = read_checkpoint(run.best)
