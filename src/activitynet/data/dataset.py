"""Class names, and labelled photos by split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from activitynet.data.files import natural_key
from activitynet.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import numpy as np


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
    """Read class names from a text file, one per line. Blank lines are ignored.

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


SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def split_named(name: str) -> str | None:
    """Return the split of a name, or `None`: ``"train"`` for ``"Training"`` and ``"train_set"``."""
    return SPLIT_NAMES.get(re.sub(r"[\W_]*(set|data|images|photos)$", "", name.lower()))


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
        ignored: Files and folders that were left out, as not photos or not classes.
        skipped: Photos that cannot be read and were left out of the splits (see `check_photos`).
    """

    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    val: tuple[Photo, ...]
    test: tuple[Photo, ...] = ()
    ignored: tuple[Path, ...] = ()
    skipped: tuple[SkippedPhoto, ...] = ()


def group_numbers(photos: Sequence[Photo]) -> np.ndarray:
    """Number the groups of photos from 0; a photo without one is its own group: int64 (N,)."""
    import numpy as np  # noqa: PLC0415  --help needs no numpy

    numbers: dict[tuple[str, int], int] = {}
    keys = [(photo.group, -1) if photo.group else ("", index) for index, photo in enumerate(photos)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def by_split(data: PhotoData) -> tuple[tuple[str, tuple[Photo, ...]], ...]:
    """Return the photos of a data set by the names of its splits."""
    return ("train", data.train), ("val", data.val), ("test", data.test)
