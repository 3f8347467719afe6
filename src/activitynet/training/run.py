"""The folder of a training run: what it is made of, and where each thing lies."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activitynet import atomic
from activitynet.errors import StorageError, TrainingError


class RunFolder:
    """A run on disk: ``config.json``, ``metrics.jsonl``, ``checkpoints/``, ``plots/`` and ``model/``.

    Everything in it is written whole or not at all.

    Args:
        path: The folder; made when the run is opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.jsonl"
        self.last = self.path / "checkpoints" / "last"
        self.best = self.path / "checkpoints" / "best"
        self.plots = self.path / "plots"
        self.model = self.path / "model"

    def open(self, config: Mapping[str, Any], *, resume: bool) -> None:
        """Begin a run in an empty place, or go on with one that has the same configuration.

        Args:
            config: What the run is: recipe, model, classes and data, as JSON values.
            resume: Go on with the run that is there; begin one when there is none.

        Raises:
            TrainingError: The place holds a run and ``resume`` is off, or a run of another configuration.
            StorageError: The folder cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StorageError(f"{str(self.path)!r} is a file; name a folder for the run.")
        if self.config.exists():
            if not resume:
                raise TrainingError(
                    f"{str(self.path)!r} already holds a run. Resume it, or name another folder for this one."
                )
            self._check_same(config)
        else:
            atomic.write_json(self.config, config)

    def _check_same(self, config: Mapping[str, Any]) -> None:
        try:
            before = json.loads(self.config.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(f"cannot read {str(self.config)!r} ({error}); name another run.") from error
        if (difference := _first_difference(before, json.loads(json.dumps(config)))) is not None:
            raise TrainingError(
                f"cannot resume {str(self.path)!r}: {difference}. Resume with what it began with."
            )

    def write_metrics(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write one JSON line an epoch."""
        lines = (json.dumps(row, allow_nan=False) + "\n" for row in history)
        atomic.write_text(self.metrics, "".join(lines))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return what `write_metrics` wrote."""
        return [json.loads(line) for line in self.metrics.read_text("utf-8").splitlines()]


def _first_difference(before: Any, now: Any, name: str = "") -> str | None:
    """Say where two JSON values first differ, or return `None`."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            inner = _first_difference(before.get(key), now.get(key), f"{name}.{key}" if name else key)
            if inner is not None:
                return inner
        return None
    return None if before == now else f"{name} was {_short(before)} and is now {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
