"""The folder of a study: what was begun, and where each thing lies."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activitynet.data.dataset import slug
from activitynet.data.scan import difference
from activitynet.errors import StorageError, TrainingError, clipped
from activitynet.serialization import atomic, records
from activitynet.study.definition import Study
from activitynet.training.run import first_difference

_MAY_CHANGE = ("budget", "description")
_LONGEST = 40  # characters of a label in a folder's name


class StudyFolder:
    """A study on disk.

    ``config.json`` and ``photos.txt`` say what was begun; ``runs/`` has a folder a configuration and in it a
    run a seed; ``journal.log`` is Optuna's record; ``study.html``, ``study.json``, ``results.csv`` and
    ``plots/`` are what comes of it.

    Args:
        path: The folder; made when the study is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.photos = path / "photos.txt"
        self.plots = path / "plots"
        self.page = path / "study.html"
        self.json = path / "study.json"
        self.table = path / "results.csv"

    def run(self, label: str, key: str, seed: int) -> Path:
        """Return where a configuration's run of a seed is."""
        name = slug(label)[:_LONGEST].strip("_")
        return self.path / "runs" / f"{name}-{key}" / f"seed-{seed}"

    def open(
        self, study: Study, photos: Sequence[str], counts: tuple[int, int]
    ) -> tuple[str, dict[str, Any]]:
        """Begin a study in an empty place, or go on with the same one.

        Its budget may change.

        Args:
            study: What is compared.
            photos: What it learns from and is measured on, as `activitynet.data.scan` lists it.
            counts: How many photos are for training, and how many for validation.

        Returns:
            What tells this folder from others, and what the study is, to be compared with other folders.

        Raises:
            TrainingError: The place holds something else, another study, or one of other photos.
            StorageError: The folder cannot be written.
        """
        from filelock import FileLock  # noqa: PLC0415  slow to import

        lines = "".join(f"{line}\n" for line in photos)
        identity = _lasting(study.to_dict()) | {"photos": hashlib.blake2b(lines.encode()).hexdigest()}
        try:
            (self.path / "locks").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / "locks" / "study.lock")
            lock.acquire()
        except OSError as error:
            raise atomic.cannot_write(self.path, error) from error
        with lock:
            begun = self._begun()
            if begun is None:
                if any((self.path / name).exists() for name in ("model", "checkpoints", "config.json")):
                    raise TrainingError(f"{str(self.path)!r} holds a training run; name another folder.")
                atomic.write_text(self.photos, lines)
                folder = uuid.uuid4().hex
            else:
                folder = begun["folder"]
                change = first_difference(_lasting(begun["study"]), _lasting(study.to_dict()))
                if change is None:
                    changed = difference(self.photos.read_text("utf-8").splitlines(), list(photos))
                    change = None if changed is None else f"the photos are not the same: {changed}"
                if change is not None:
                    raise TrainingError(
                        f"cannot go on with the study in {str(self.path)!r}: {change}. Name another folder, "
                        "or go on with what it began with."
                    )
            atomic.write_json(
                self.config,
                {
                    "folder": folder,
                    "study": study.to_dict(),
                    "photos": {"train": counts[0], "val": counts[1]},
                },
            )
        return folder, identity

    def begun(self) -> tuple[Study, tuple[int, int], str]:
        """Return the study that was begun here, its numbers of photos, and what tells the folder.

        Raises:
            TrainingError: There is none.
        """
        value = self._begun()
        if value is None:
            raise TrainingError(f"{str(self.path)!r} holds no study; name the folder that --run named.")
        try:
            photos = value["photos"]["train"], value["photos"]["val"]
            return Study.from_dict(value["study"]), photos, value["folder"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._unreadable(error) from error

    def _begun(self) -> dict[str, Any] | None:
        try:
            value = records.parse(self.config.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise StorageError(f"{str(self.path)!r} is a file; name a folder for the study.") from error
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error
        if not isinstance(value, dict) or "study" not in value or "folder" not in value:
            raise TrainingError(f"{str(self.path)!r} holds something else than a study; name another folder.")
        return value

    def _unreadable(self, error: object) -> TrainingError:
        return TrainingError(f"cannot read {str(self.config)!r} ({clipped(error)}); name another folder.")


def _lasting(study: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what may change while a study goes on."""
    return {name: value for name, value in study.items() if name not in _MAY_CHANGE}
