"""A run told to experiment trackers: TensorBoard, Weights & Biases, and others that accelerate knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activitynet import ranks
from activitynet.errors import TrainingError, did_you_mean
from activitynet.training.events import Event
from activitynet.training.recipe import flat

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
            if ranks.is_main():
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
