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
    """One moment of a run.

    Attributes:
        kind: ``"start"`` once, ``"step"`` after each optimiser step, ``"epoch"`` after each validation
            (epoch 0 is the one before training), ``"end"`` once.
        epoch: Epochs finished; during an epoch, the number of the current one, counted from 1.
        epochs: Epochs planned.
        step: Optimiser steps done since the run began.
        steps: Optimiser steps planned.
        loss: Loss of the step, or mean loss of the epoch; `None` where there is none.
        lr: Learning rate of the layers next to the head.
        images_per_second: Training photos a second over the epoch so far, waiting included.
        scores: What validation said, after an epoch: the scores by name, and F1 by class.
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
    """Shows loss, rate, images a second and time left while a run goes, and one line an epoch.

    Where the output is not a terminal, only the lines are written.
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
        """Take note of an event."""
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
        """Give the terminal back."""
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
"""Steps between two entries of the loss: a curve of thousands looks the same, and a tracker is slow."""

_PROJECT = "activitynet"

# Trackers that keep files, and what they call the folder. Those that ask for one by position are not here.
_FOLDER_OPTION = {"dvclive": "dir", "mlflow": "logging_dir", "swanlab": "logdir", "wandb": "dir"}


class Tracker:
    """Tells trackers of loss and rate at every 10th step, and of the scores after each epoch.

    A callback over `Event`. Entries are counted in steps. Only the main process of a run tracks.

    Args:
        names: Which trackers, such as ``("tensorboard",)``.
        run_folder: The run's folder; what a tracker writes lies in ``tracking`` below it.
        config: What the run is, as JSON values; nested names are joined by dots.

    Raises:
        TrainingError: A tracker is unknown or not installed.
    """

    def __init__(self, names: Sequence[str], run_folder: Path, config: Mapping[str, Any]) -> None:
        # Here, since it is slow to import and most runs are not tracked.
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers  # noqa: PLC0415

        installed = {str(kind) for kind in get_available_trackers()}
        for name in names:
            if name not in LOGGER_TYPE_TO_CLASS:
                hint = did_you_mean(name, LOGGER_TYPE_TO_CLASS)
                raise TrainingError(
                    f"there is no tracker {name!r}.{hint} Known: {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}."
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
        """Take note of an event."""
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
        """Let the trackers finish what they write; for a run that ends before its end."""
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
        """Log those of the values that are numbers."""
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
        for tracker in self._trackers:
            tracker.log(numbers, step=step)


def _plain(value: Any) -> bool | int | float | str:
    """Return a value as one of the kinds that all trackers take."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)
