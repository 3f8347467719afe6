"""Photos with labels by split, and the torch data set that reads them."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import signal
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

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
    """Return the classes that labels stand for, where nobody lists them.

    They are `ACTIVITIES` where every label is one of those and at least half of them occur; otherwise
    the labels themselves, each once and in natural order.

    Raises:
        DataError: Two labels differ in nothing but case, spaces or punctuation.
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
    """Read class names from a text file, one a line; blank lines are passed over.

    Raises:
        DataError: The file cannot be read, is not UTF-8 text, or names nothing.
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
    """Finds the class that a label means: by its exact name, or else by its `slug`.

    Args:
        classes: Class names in the order of their indices.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._exact = {name: index for index, name in enumerate(self.classes)}
        self._alike: dict[str, list[int]] = {}
        for index, name in enumerate(self.classes):
            self._alike.setdefault(slug(name), []).append(index)

    def find(self, name: str) -> int:
        """Return the index of a label's class.

        Raises:
            DataError: No class is called so, or several are called much the same.
        """
        if name in self._exact:
            return self._exact[name]
        matches = self._alike.get(slug(name), [])
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
        group: Photos of one group (a video, a person, a burst) belong in one split; empty for one alone.
        source: Where it is from; empty when that is not known.
    """

    path: Path
    label: int
    group: str = ""
    source: str = ""


@dataclass(frozen=True)
class SkippedPhoto:
    """A photo that is left out, since it cannot be read.

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
        classes: Class names; in every split a photo's label is an index into them.
        train: Photos to learn from.
        val: Photos to choose and stop by.
        test: Photos kept apart; there are some only where there is a ``test`` folder.
        ignored: Files that are no photos by their extension, for the caller to mention.
        skipped: Photos that cannot be read and were left out of the splits (see `check_photos`).
    """

    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    val: tuple[Photo, ...]
    test: tuple[Photo, ...] = ()
    ignored: tuple[Path, ...] = ()
    skipped: tuple[SkippedPhoto, ...] = ()


class PhotoDataset(Dataset[tuple[Any, int, int]]):
    """Labelled photos as tensors, the same each time: for evaluation. `AugmentedPhotos` are to learn from.

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
    """Number the groups of photos from 0, a photo without one being a group of its own: int64 (N,)."""
    numbers: dict[tuple[str, int], int] = {}
    keys = [(photo.group, -1) if photo.group else ("", index) for index, photo in enumerate(photos)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def by_split(data: PhotoData) -> tuple[tuple[str, tuple[Photo, ...]], ...]:
    """Return the photos of a data set by the names of its splits."""
    return ("train", data.train), ("val", data.val), ("test", data.test)


_Batch = TypeVar("_Batch")


def batches_of(loader: Iterable[_Batch]) -> Iterator[_Batch]:
    """Yield what a loader yields.

    Raises:
        ImageError: A photo can no longer be read.
        DataError: A process that loads photos has died.
    """
    with _same_sigchld():
        batches = iter(loader)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except ImageError as error:
            # From a worker it comes with that worker's traceback; its last line is the error's own.
            raise ImageError(str(error).strip().splitlines()[-1].split("ImageError: ")[-1]) from error
        except (RuntimeError, ConnectionError, EOFError, FileNotFoundError) as error:
            # The loader says so, or the socket fails over which tensors come. Photos raise none of these.
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            raise DataError(worker_died_message(error)) from error
        yield batch


def worker_died_message(error: Exception) -> str:
    """Say why a process that loads photos has probably died, and what to do."""
    died = f"a process that loads photos has died ({' '.join(str(error).split())})."
    if "bus error" in str(error).lower() or "shared memory" in str(error).lower():
        return f"{died} Shared memory is full: use workers=0 (--workers 0), or a larger /dev/shm."
    # Asked so, it does not fix the start method for the rest of the program.
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    if method != "fork" and "killed by signal" not in str(error):
        return (
            f"{died} Each such process imports your script: put what it runs under "
            "if __name__ == '__main__':, or use workers=0."
        )
    return f"{died} That happens when memory runs out: use fewer workers or smaller batches."


@contextlib.contextmanager
def _same_sigchld() -> Iterator[None]:
    """Undo what torch does to SIGCHLD when a loader first starts workers.

    Its handler raises wherever the main thread happens to be: in the midst of an update, or after the
    loader's end. Without it the loader says that a worker has died when it is next asked for a batch.
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
