"""Folders of runs that can be resumed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from activitynet.data.scan import difference
from activitynet.errors import StorageError, TrainingError, clipped
from activitynet.serialization import atomic, records
from activitynet.serialization.paths import user_path


class ResumableFolder:
    """Folder of a run that can only be resumed with the same configuration and photos.

    ``config.json`` stores the configuration, ``photos.txt`` lists the photos. Files are written atomically.

    Args:
        path: The folder; `open` creates it.
    """

    kind = "folder"
    """Name of the kind of folder in error messages."""

    required = ""
    """Field that the configuration must have."""

    may_change: tuple[str, ...] = ()
    """Dotted names of fields that may change when a run is resumed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = user_path(path)
        self.config = self.path / "config.json"
        self.photos = self.path / "photos.txt"

    def open(self, config: Mapping[str, Any], photos: Sequence[str] = (), *, resume: bool) -> None:
        """Start in an empty folder, or resume with the same configuration and photos.

        Args:
            config: The configuration, as JSON values.
            photos: The photos, as `activitynet.data.scan` lists them.
            resume: Resume the run in the folder, or start one if there is none.

        Raises:
            TrainingError: The folder is in use and ``resume`` is off, or its configuration or photos differ.
            StorageError: The folder cannot be written.
        """
        wanted = json.loads(json.dumps(config))
        begun = self.begun()
        if begun is None:
            atomic.write_text(self.photos, "".join(f"{line}\n" for line in photos))
        elif not resume:
            raise TrainingError(
                f"{str(self.path)!r} already holds a {self.kind}. Resume it, or choose another folder."
            )
        else:
            self._check_same(begun, wanted, photos)
        if begun != wanted:  # written last, because this file marks the folder as in use
            atomic.write_json(self.config, wanted)

    def begun(self) -> dict[str, Any] | None:
        """Return the configuration of the run in this folder; `None` if there is none.

        Raises:
            TrainingError: The configuration cannot be read, or is of another kind.
            StorageError: The folder is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StorageError(f"{str(self.path)!r} is a file; choose a folder for the {self.kind}.")
        if not self.config.exists():
            return None
        try:
            config = records.parse(self.config.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise self.unreadable(self.config, error) from error
        if not isinstance(config, dict) or self.required not in config:
            raise TrainingError(
                f"{str(self.path)!r} holds something other than a {self.kind}; choose another folder."
            )
        return config

    def unreadable(self, path: Path, fault: object) -> TrainingError:
        """Return the error for a file that cannot be read."""
        return TrainingError(f"cannot read {str(path)!r} ({clipped(fault)}); choose another folder.")

    def _check_same(self, begun: dict[str, Any], wanted: dict[str, Any], photos: Sequence[str]) -> None:
        try:
            listed = self.photos.read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise self.unreadable(self.photos, error) from error
        change = _first_difference(_without(begun, self.may_change), _without(wanted, self.may_change))
        if change is None and (change := difference(listed, list(photos))) is not None:
            change = f"the photos changed: {change}"
        if change is not None:
            raise TrainingError(
                f"cannot resume {str(self.path)!r}: {change}. Resume with the original values, or choose "
                "another folder."
            )


class RunFolder(ResumableFolder):
    """The folder of a training run.

    ``skipped.jsonl`` lists the skipped photos, if any. ``metrics.jsonl`` and ``timings.jsonl`` have one line
    per epoch. ``checkpoints/``, ``plots/`` and ``model/`` hold the results. Only the recipe's ``checkpoint``
    may change when a run is resumed.

    Args:
        path: The folder; `open` creates it.
    """

    kind = "run"
    required = "recipe"
    may_change = ("recipe.checkpoint",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
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
        """Start or resume a run; remove temporary files that a killed process left.

        Args:
            config: Recipe, model and classes, as JSON values.
            photos: The photos, as `activitynet.data.scan` lists them.
            skipped: One entry per skipped photo, as JSON values.
            resume: Resume the run in the folder, or start one if there is none.

        Raises:
            TrainingError: The folder is in use and ``resume`` is off, or its configuration or photos differ.
            StorageError: The folder cannot be written.
        """
        if skipped and self.begun() is None:
            atomic.write_text(self.skipped, "".join(f"{json.dumps(entry)}\n" for entry in skipped))
        super().open(config, photos, resume=resume)
        for path in [*self.path.rglob(".*.tmp"), *self.path.rglob(".*.old")]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def write_metrics(
        self, history: Sequence[Mapping[str, Any]], timings: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Write scores and timings, one JSON line per epoch."""
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
        """Return the folder for the weights of an epoch."""
        return self.path / "checkpoints" / f"epoch-{epoch:04d}"

    def remove_snapshots(self, *, but: Container[int]) -> None:
        """Remove the weights of all epochs except these."""
        for folder in (self.path / "checkpoints").glob("epoch-*"):
            number = re.fullmatch(r"epoch-(\d+)", folder.name)
            if number is not None and int(number[1]) not in but:
                shutil.rmtree(folder)


def _without(config: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return a copy of a configuration without the fields of these dotted names."""
    copy: dict[str, Any] = json.loads(json.dumps(config))
    for name in names:
        *parents, leaf = name.split(".")
        table: Any = copy
        for parent in parents:
            table = table.get(parent) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table.pop(leaf, None)
    return copy


def _first_difference(before: Any, now: Any, name: str = "") -> str | None:
    """Describe the first difference of two JSON values; return `None` if they are equal."""
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
