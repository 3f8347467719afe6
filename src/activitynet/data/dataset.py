"""Labelled photos by split, the torch data set that reads them, and its loader."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import signal
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, Dataset, default_collate

from activitynet.data.decode import decode_image
from activitynet.data.files import natural_key
from activitynet.errors import DataError, ImageError, did_you_mean


def checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return class names as a tuple.

    Raises:
        DataError: They are not two or more different names.
    """
    names = tuple(classes)
    if isinstance(classes, str) or len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"classes must be two or more names, each listed once, got {classes!r}.")
    return names


def inferred_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Infer the classes from the labels.

    They are `ACTIVITIES` if every label is one of those and at least half of them occur; otherwise the
    distinct labels in natural order.

    Raises:
        DataError: Two labels differ only in case, spaces or punctuation.
    """
    every = set(names)
    slugs: dict[str, str] = {}
    for name in sorted(every, key=natural_key):
        other = slugs.setdefault(slug(name), name)
        if other != name:
            raise DataError(f"{other!r} and {name!r} may be one class. Make them one, or list the classes.")
    if slugs.keys() <= {slug(name) for name in ACTIVITIES} and 2 * len(slugs) >= len(ACTIVITIES):
        return ACTIVITIES
    return tuple(sorted(every, key=natural_key))


def read_class_names(path: Path) -> list[str]:
    """Read class names from a text file, one a line; blank lines are ignored.

    Raises:
        DataError: The file cannot be read, is not UTF-8 text, or has no names.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read class names from {str(path)!r}: {error}.") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"{str(path)!r} names no classes; write one name a line.")
    return names


class ClassIndex:
    """Finds the class of a label: by its exact name, or else by its `slug`.

    Args:
        classes: Class names in the order of their indices.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._exact = {name: index for index, name in enumerate(self.classes)}
        self._by_slug: dict[str, list[int]] = {}
        for index, name in enumerate(self.classes):
            self._by_slug.setdefault(slug(name), []).append(index)

    def find(self, name: str) -> int:
        """Return the index of a label's class.

        Raises:
            DataError: No class matches, or several do.
        """
        if name in self._exact:
            return self._exact[name]
        matches = self._by_slug.get(slug(name), [])
        if len(matches) > 1:
            found = " and ".join(repr(self.classes[index]) for index in matches[:2])
            raise DataError(f"label {name!r} could be class {found}. Write the exact name of one.")
        if not matches:
            raise DataError(
                f"label {name!r} is not one of the {len(self.classes)} classes."
                f"{did_you_mean(name, self.classes)} Correct it, or list its class."
            )
        return matches[0]


# The headings of the Compendium of Physical Activities, as the MPII Human Pose dataset uses them.
ACTIVITIES: tuple[str, ...] = (
    "bicycling",
    "conditioning exercise",
    "dancing",
    "fishing and hunting",
    "home activities",
    "home repair",
    "inactivity quiet/light",
    "lawn and garden",
    "miscellaneous",
    "music playing",
    "occupation",
    "religious activities",
    "running",
    "self care",
    "sports",
    "transportation",
    "volunteer activities",
    "walking",
    "water activities",
    "winter activities",
)


def slug(name: str) -> str:
    """Return ``name`` in a form that is safe as a folder's name.

    Letters (of any script) and digits are kept in lower case; each run of anything else becomes one
    ``_``: ``"inactivity quiet/light"`` is ``"inactivity_quiet_light"``.
    """
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFC", name.lower()))


SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Photo:
    """A labelled photo.

    Attributes:
        path: Its file.
        label: Index of its class.
        group: Photos of one group (a video, a person, a burst) belong in one split; empty for none.
        source: Where it is from; empty if unknown.
    """

    path: Path
    label: int
    group: str = ""
    source: str = ""


@dataclass(frozen=True)
class SkippedPhoto:
    """A photo that was skipped because it cannot be read.

    Attributes:
        photo: The photo.
        split: ``"train"``, ``"val"`` or ``"test"``.
        error: Why it cannot be read.
    """

    photo: Photo
    split: str
    error: str

    def to_dict(self, classes: Sequence[str]) -> dict[str, str]:
        """Return path, split, label (the class's name) and error as plain JSON values."""
        label = classes[self.photo.label]
        return {"path": str(self.photo.path), "split": self.split, "label": label, "error": self.error}


@dataclass(frozen=True)
class PhotoData:
    """A data set: its classes, and its photos by split.

    Attributes:
        classes: Class names; a photo's label is an index into them.
        train: Training photos.
        val: Validation photos, which choose the best epoch.
        test: Test photos; only data with a ``test`` split has some.
        ignored: Files that are not photos by their extension.
        skipped: Photos that cannot be read and were left out of the splits (see `check_photos`).
    """

    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    val: tuple[Photo, ...]
    test: tuple[Photo, ...] = ()
    ignored: tuple[Path, ...] = ()
    skipped: tuple[SkippedPhoto, ...] = ()


class PhotoDataset(Dataset[tuple[Any, int, int]]):
    """Labelled photos as tensors, for evaluation. `AugmentedPhotos` is for training.

    An item is ``(image, label, index)``.

    Args:
        photos: The photos, in the order of their indices.
        transform: Turns a PIL image of mode RGB into a tensor, or into several.
    """

    def __init__(self, photos: Sequence[Photo], transform: Callable[[Image.Image], Any]) -> None:
        self.photos = tuple(photos)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Any, int, int]:
        """Return the image, its label and its index.

        Raises:
            ImageError: The photo cannot be read.
        """
        photo = self.photos[index]
        return self.transform(decode_image(photo.path)), photo.label, index


def group_numbers(photos: Sequence[Photo]) -> np.ndarray:
    """Number the groups of photos from 0; a photo without one is its own group: int64 (N,)."""
    numbers: dict[tuple[str, int], int] = {}
    keys = [(photo.group, -1) if photo.group else ("", index) for index, photo in enumerate(photos)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def by_split(data: PhotoData) -> tuple[tuple[str, tuple[Photo, ...]], ...]:
    """Return the photos of a data set by the names of its splits."""
    return ("train", data.train), ("val", data.val), ("test", data.test)


class PhotoLoader:
    """A `DataLoader` whose failures are one clear line.

    A photo that a worker process cannot read raises the same `ImageError` as in this process. A worker that
    dies is reported with the likely cause.

    Args:
        dataset: A data set whose items may raise `ImageError`.
        collate_fn: As for `DataLoader`.
        options: The other options of `DataLoader`.
    """

    def __init__(
        self, dataset: Dataset[Any], *, collate_fn: Callable[[Any], Any] = default_collate, **options: Any
    ) -> None:
        self._loader: DataLoader[Any] = DataLoader(
            _ErrorsAsItems(dataset), collate_fn=_ErrorsAsBatches(collate_fn), **options
        )
        self._workers: list[BaseProcess] = []

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches.

        Raises:
            ImageError: A photo can no longer be read.
            DataError: A worker process has died.
        """
        others = multiprocessing.active_children()
        with _same_sigchld():
            batches = iter(self._loader)
        started = [process for process in multiprocessing.active_children() if process not in others]
        self._workers = started or self._workers  # persistent workers start once
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:  # OSError: of the socket that tensors come by
                if (code := _exit_code(self._workers)) is None:
                    raise
                raise DataError(f"a process that loads photos has died: {_cause(code)}") from error
            if isinstance(batch, ImageError):
                raise batch
            yield batch


class _ErrorsAsItems(Dataset[Any]):
    """A data set that returns an `ImageError`, so that it leaves a worker process as it is."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        try:
            return self._dataset[index]
        except ImageError as error:
            return error


class _ErrorsAsBatches:
    """Collates items, or returns the first error among them."""

    def __init__(self, collate_fn: Callable[[Any], Any]) -> None:
        self._collate_fn = collate_fn

    def __call__(self, items: Sequence[Any]) -> Any:
        error = next((item for item in items if isinstance(item, ImageError)), None)
        return self._collate_fn(items) if error is None else error


def _exit_code(processes: Sequence[BaseProcess]) -> int | None:
    """Return the exit code of a process that has ended, or `None` if all are alive."""
    ended = wait([process.sentinel for process in processes], timeout=1) if processes else []
    for process in processes:
        if process.sentinel in ended:
            process.join(1)
            return process.exitcode
    return None


def _cause(exit_code: int) -> str:
    if exit_code == -getattr(signal, "SIGKILL", 0):
        return "it was killed, as when memory runs out. Use fewer workers or smaller batches."
    if exit_code == -getattr(signal, "SIGBUS", 0):
        return (
            "shared memory is full. Load in this process (--workers 0, in Python workers=0), or make "
            "/dev/shm larger (docker run --shm-size)."
        )
    return (
        f"its exit code was {exit_code}. See what it printed; a script that uses workers must start under "
        f"`if __name__ == '__main__':`."
    )


@contextlib.contextmanager
def _same_sigchld() -> Iterator[None]:
    """Undo what torch does to SIGCHLD when a loader first starts workers.

    Its handler raises wherever the main thread is, perhaps amid an update or after the loader's end. Without
    it the loader notices a dead worker when it is next asked for a batch.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGCHLD) is not before:
            signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)
