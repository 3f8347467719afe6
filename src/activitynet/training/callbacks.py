"""Callbacks of a training run: events, live progress, trackers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from activitynet.errors import TrainingError, did_you_mean
from activitynet.runtime import distributed
from activitynet.training.recipe import flat


@dataclass(frozen=True)
class Event:
    """Event of a training run.

    Attributes:
        kind: ``"start"`` once, ``"step"`` after each optimiser step, ``"epoch"`` after each validation
            (epoch 0 is before training), ``"end"`` once.
        epoch: Number of finished epochs; for a step, the number of the current epoch, from 1.
        epochs: Number of planned epochs.
        step: Number of optimiser steps done.
        steps: Number of planned optimiser steps.
        loss: Loss of the step, or mean loss of the epoch; `None` if there is none.
        lr: Learning rate of the layers next to the head.
        images_per_second: Training photos per second in this epoch, including time spent waiting.
        scores: Validation scores after an epoch: scores by name, and the F1 of each class.
        best: Whether these scores are the best so far.
    """

    kind: Literal["start", "step", "epoch", "end"]
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None = None
    lr: float = 0.0
    images_per_second: float = 0.0
    scores: Mapping[str, Any] | None = None
    best: bool = False


Callback = Callable[[Event], None]


class LiveProgress:
    """Show loss, rate, images per second and remaining time during a run, and one line per epoch.

    If the output is not a terminal, only the lines are written.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task("training", total=None, facts="")

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        if event.kind == "start":
            self.progress.update(self.task, total=event.steps, completed=event.step)
            self.progress.start()
        elif event.kind == "step":
            self.progress.update(
                self.task,
                completed=event.step,
                description=f"epoch {event.epoch}/{event.epochs}",
                facts=f"loss {event.loss:.3f}  rate {event.lr:.1e}  {event.images_per_second:.0f} img/s",
            )
        elif event.kind == "epoch":
            self.console.print(_line(event), highlight=False, markup=False, soft_wrap=True)
        else:
            self.close()

    def close(self) -> None:
        """Stop the live display."""
        self.progress.stop()


def _line(event: Event) -> str:
    scores = event.scores or {}
    where = f"epoch {event.epoch:>3}/{event.epochs}" if event.epoch else "before training"
    loss = (
        f"  loss {event.loss:.3f}  rate {event.lr:.1e}  {event.images_per_second:.0f} img/s"
        if event.loss
        else ""
    )
    return (
        f"{where}{loss}  macro-F1 {scores.get('macro_f1', 0):.3f}  accuracy {scores.get('accuracy', 0):.3f}"
        f"{'  best so far' if event.best else ''}"
    )


_EVERY = 10
"""Number of steps between two logged losses; trackers are slow."""

_PROJECT = "activitynet"

# Trackers that write files and take the folder as a keyword argument of this name.
_FOLDER_OPTION = {"dvclive": "dir", "mlflow": "logging_dir", "swanlab": "logdir", "wandb": "dir"}


class Tracker:
    """Callback that logs to trackers: loss and rate at every 10th step, scores after each epoch.

    The x axis is the step. Only the main process logs.

    Args:
        names: The trackers, such as ``("tensorboard",)``.
        run_folder: The run folder; trackers write into its subfolder ``tracking``.
        config: Configuration of the run, as JSON values; nested names are joined by dots.

    Raises:
        TrainingError: A tracker is unknown or not installed.
    """

    def __init__(self, names: Sequence[str], run_folder: Path, config: Mapping[str, Any]) -> None:
        # Imported here because it is slow and most runs are not tracked.
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers  # noqa: PLC0415

        installed = {str(kind) for kind in get_available_trackers()}
        for name in names:
            if name not in LOGGER_TYPE_TO_CLASS:
                hint = did_you_mean(name, LOGGER_TYPE_TO_CLASS)
                raise TrainingError(
                    f"unknown tracker {name!r}.{hint} Known: {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}."
                )
            if name not in installed:
                package = name.replace("_", "-")
                raise TrainingError(
                    f"tracker {name!r} is not installed; install it with: pip install {package}"
                )
        self._classes = {name: LOGGER_TYPE_TO_CLASS[name] for name in names}
        self._folder = run_folder / "tracking"
        self._config = {name: _plain(value) for name, value in flat(config)}
        self._trackers: list[Any] = []

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        if event.kind == "start":
            if distributed.is_main_process():
                self._start()
        elif event.kind == "step":
            if event.step % _EVERY == 0:
                self._log({"train/loss": event.loss, "train/lr": event.lr}, event.step)
        elif event.kind == "epoch":
            scores = {f"val/{name}": value for name, value in (event.scores or {}).items()}
            of_training = {"train/epoch_loss": event.loss, "train/images_per_second": event.images_per_second}
            self._log({"epoch": event.epoch, **of_training, **scores}, event.step)
        else:
            self.close()

    def close(self) -> None:
        """Finish all trackers."""
        while self._trackers:
            self._trackers.pop().finish()

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, make in self._classes.items():
            if make.requires_logging_directory:
                tracker = make(_PROJECT, str(self._folder))
            else:
                options = {_FOLDER_OPTION[name]: str(self._folder)} if name in _FOLDER_OPTION else {}
                tracker = make(_PROJECT, **options)
            tracker.start()
            tracker.store_init_configuration(self._config)
            self._trackers.append(tracker)

    def _log(self, values: Mapping[str, Any], step: int) -> None:
        """Log the values that are numbers."""
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
        for tracker in self._trackers:
            tracker.log(numbers, step=step)


def _plain(value: Any) -> bool | int | float | str:
    """Convert a value to a type that all trackers accept."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)
