"""The folder of a training run: what it is made of, and where each thing lies."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from activitynet.data.scan import difference
from activitynet.errors import StorageError, TrainingError
from activitynet.serialization import atomic


class RunFolder:
    """A run on disk: what it is, how it went, what it made.

    ``config.json`` and ``photos.txt`` say what was begun, and ``skipped.jsonl`` which photos were left out,
    if any; ``metrics.jsonl`` and ``timings.jsonl`` have a line an epoch; ``checkpoints/``, ``plots/`` and
    ``model/`` are what comes of it. Everything is written whole or not at all.

    Args:
        path: The folder; made when the run is opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.photos = self.path / "photos.txt"
        self.skipped = self.path / "skipped.jsonl"
        self.metrics = self.path / "metrics.jsonl"
        self.timings = self.path / "timings.jsonl"
        self.last = self.path / "checkpoints" / "last"
        self.best = self.path / "checkpoints" / "best"
        self.plots = self.path / "plots"
        self.model = self.path / "model"

    def open(
        self,
        config: Mapping[str, Any],
        photos: Sequence[str] = (),
        *,
        skipped: Sequence[Mapping[str, str]] = (),
        resume: bool,
    ) -> None:
        """Begin a run in an empty place, or go on with one that has the same configuration and photos.

        What is written on the way (the recipe's ``checkpoint``) may change.

        Args:
            config: What the run is: recipe, model and classes, as JSON values.
            photos: What it learns from and is measured on, as `activitynet.data.scan` lists it.
            skipped: What was left out of it, an entry a photo, as JSON values.
            resume: Go on with the run that is there; begin one when there is none.

        Raises:
            TrainingError: The place holds a run and ``resume`` is off, or a run of another configuration or
                of other photos.
            StorageError: The folder cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StorageError(f"{str(self.path)!r} is a file; name a folder for the run.")
        if (begun := self.begun()) is not None:
            if not resume:
                raise TrainingError(
                    f"{str(self.path)!r} already holds a run. Resume it, or name another folder for this one."
                )
            self._check_same(begun, config, photos)
            self._remove_unfinished()
        else:
            atomic.write_text(self.photos, "".join(f"{line}\n" for line in photos))
            if skipped:
                atomic.write_text(self.skipped, "".join(f"{json.dumps(entry)}\n" for entry in skipped))
            atomic.write_json(self.config, config)  # last: a run is there once this is

    def begun(self) -> dict[str, Any] | None:
        """Return the configuration that the run here began with, or `None` when there is none.

        Raises:
            TrainingError: It cannot be read.
        """
        if not self.config.exists():
            return None
        try:
            config = json.loads(self.config.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise self._unreadable(self.config, error) from error
        if not isinstance(config, dict):
            raise self._unreadable(self.config, "not a JSON object")
        return config

    def _unreadable(self, path: Path, fault: object) -> TrainingError:
        return TrainingError(f"cannot read {str(path)!r} ({fault}); name another run.")

    def _check_same(self, begun: Any, config: Mapping[str, Any], photos: Sequence[str]) -> None:
        try:
            listed = self.photos.read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise self._unreadable(self.photos, error) from error
        change = first_difference(_lasting(begun), _lasting(json.loads(json.dumps(config))))
        if change is None and (change := difference(listed, list(photos))) is not None:
            change = f"the photos are not the same: {change}"
        if change is not None:
            raise TrainingError(
                f"cannot resume {str(self.path)!r}: {change}. Resume with what it began with."
            )

    def _remove_unfinished(self) -> None:
        """Remove what a process that was killed in the midst of writing has left."""
        for path in [*self.path.rglob(".*.tmp"), *self.path.rglob(".*.old")]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def write_metrics(
        self, history: Sequence[Mapping[str, Any]], timings: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Write what was measured, and how long it took, a JSON line an epoch each."""
        for path, rows in ((self.metrics, history), (self.timings, timings)):
            atomic.write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))

    def read_metrics(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return what `write_metrics` wrote."""
        history, timings = (
            [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            for path in (self.metrics, self.timings)
        )
        return history, timings

    def snapshot(self, epoch: int) -> Path:
        """Return where the weights of an epoch are kept."""
        return self.path / "checkpoints" / f"epoch-{epoch:04d}"

    def remove_snapshots(self, *, but: Container[int]) -> None:
        """Remove the weights of all epochs but these."""
        for folder in (self.path / "checkpoints").glob("epoch-*"):
            number = re.fullmatch(r"epoch-(\d+)", folder.name)
            if number is not None and int(number[1]) not in but:
                shutil.rmtree(folder)


def _lasting(config: Any) -> Any:
    """Leave out what a resumed run may change."""
    if not isinstance(config, dict) or not isinstance(recipe := config.get("recipe"), dict):
        return config
    return {**config, "recipe": {name: value for name, value in recipe.items() if name != "checkpoint"}}


def first_difference(before: Any, now: Any, name: str = "") -> str | None:
    """Say where two JSON values first differ, or return `None`."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            inner = first_difference(before.get(key), now.get(key), f"{name}.{key}" if name else key)
            if inner is not None:
                return inner
        return None
    return None if before == now else f"{name} was {_short(before)} and is now {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
