"""Make a data set of a list of labelled photos."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from activitynet.data.dataset import ClassIndex, Photo, PhotoData, checked_classes, inferred_classes
from activitynet.data.splits import check_val_fraction, train_val_split
from activitynet.errors import DataError, clipped, shown

_log = logging.getLogger(__name__)

_MAX_NUMBERED = 10_000  # numbered classes
_MAX_TEXT = 2**20  # characters of one value


class Entry(NamedTuple):
    """A listed photo.

    Attributes:
        path: Its file, or its path inside a container (see `activitynet.data.archives`).
        label: Its class's name, or a number from 0: the class's index.
        split: ``"train"``, ``"val"`` or ``"test"``.
        group: Photos of one group belong in one split; empty for none.
        source: Where it is from; empty if unknown.
        where: Its name in messages, such as ``"row 3"``; by default its path.
    """

    path: Path
    label: str | int
    split: str = "train"
    group: str = ""
    source: str = ""
    where: str = ""

    def __str__(self) -> str:
        return self.where or f"photo {str(self.path)!r}"


def listed_photos(
    entries: Sequence[Entry],
    name: str,
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
    ignored: Sequence[Path] = (),
) -> PhotoData:
    """Make a data set of listed photos.

    Args:
        entries: The photos, in any order; those of a split are sorted by label.
        name: The list's name in messages, such as ``"table 'photos.csv'"``.
        classes: Class names in the order of the labels; labels are matched by name or else by `slug`. By
            default they are the labels in natural order, or `ACTIVITIES` where every label is one of those
            and at least half of them occur; where labels are numbers, ``"0"``, ``"1"`` and so on up to the
            greatest that is trained on.
        val_fraction: Share of the photos to hold out if there is no ``val`` split, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).
        ignored: Files and folders that were left out.

    Raises:
        DataError: There are no photos, a label is not a class, a group is in two splits, or the training
            photos have only one class.
    """
    check_val_fraction(val_fraction, seed)
    if not entries:
        raise DataError(f"{name} lists no photos.")
    _check_groups(entries, name)
    try:
        names = _inferred(entries) if classes is None else checked_classes(classes)
    except DataError as error:
        raise DataError(f"{name}: {clipped(error)}") from error
    index = ClassIndex(names)
    if names != tuple(map(str, range(len(names)))) and any(isinstance(entry.label, int) for entry in entries):
        _log.warning(
            "%s: labels are numbers, used as indices into the classes: 0 is %r, %d is %r",
            name,
            names[0],
            len(names) - 1,
            names[-1],
        )
    splits: dict[str, list[Photo]] = {"train": [], "val": [], "test": []}
    for entry in entries:
        try:
            label = _class_index(entry.label, index)
        except DataError as error:
            raise DataError(f"{name}, {entry}: {clipped(error)}") from error
        splits[entry.split].append(Photo(entry.path, label, entry.group, entry.source))
    train, val, test = (tuple(sorted(photos, key=lambda photo: photo.label)) for photos in splits.values())
    labels = {photo.label for photo in train}
    if len(labels) == 1:
        only = shown(names[labels.pop()])
        raise DataError(f"{name} has training photos of one class only, {only}: add a second.")
    if train and not val:
        train, val = train_val_split(train, val_fraction, seed)
    return PhotoData(names, train, val, test, tuple(ignored))


def _check_groups(entries: Sequence[Entry], name: str) -> None:
    first: dict[str, Entry] = {}
    for entry in entries:
        if entry.group and (other := first.setdefault(entry.group, entry)).split != entry.split:
            raise DataError(
                f"{name}, {entry}: group {entry.group!r} is in split {entry.split!r} here and in "
                f"{other.split!r} in {other}. A group belongs in one split."
            )


def _inferred(entries: Sequence[Entry]) -> tuple[str, ...]:
    # A label in val or test only is not a class: the model could not learn it.
    learned = [entry.label for entry in entries if entry.split == "train"]
    labels = set(learned or (entry.label for entry in entries))
    numbers = {label for label in labels if isinstance(label, int)}
    if not numbers:
        names = {_number_text(str(label)) for label in labels}
        same: dict[int, str] = {}
        for name in sorted(filter(str.isdecimal, names)):
            if (other := same.setdefault(int(name), name)) != name:
                raise DataError(
                    f"labels {shown(other)} and {shown(name)} may be one class. Make them one, or list the "
                    f"classes."
                )
        return inferred_classes(names)
    if len(numbers) < len(labels):
        name = next(label for label in labels if isinstance(label, str))
        raise DataError(f"label {name!r} is a name, and {min(numbers)} is a number. Write all in one way.")
    if max(numbers) >= _MAX_NUMBERED:
        raise DataError(f"label {max(numbers)} is too large for the number of a class. List the classes.")
    return tuple(map(str, range(max(max(numbers) + 1, 2))))


def _number_text(label: str) -> str:
    """Return ``"1"`` for ``"1.0"``: spreadsheets and data frames write whole numbers so."""
    return match[1] if (match := re.fullmatch(r"([0-9]{1,18})\.0+", label)) else label


def _class_index(label: str | int, index: ClassIndex) -> int:
    if isinstance(label, str):
        number = _number_text(label)
        return index.find(label if number == label or label in index.classes else number)
    if not 0 <= label < len(index.classes):
        raise DataError(
            f"label {label} is not one of the {len(index.classes)} classes, 0 to "
            f"{len(index.classes) - 1}. Correct it, or list its class."
        )
    return label


def text_of(values: Mapping[str, Any], column: str, *, whole: bool = False) -> str:
    """Return a column's text, empty if missing. Labels, splits and groups are normalised to NFC.

    Args:
        values: A row.
        column: The column.
        whole: Convert whole numbers to text.

    Raises:
        DataError: It is not text, is too long, or is not valid Unicode.
    """
    value = values.get(column)
    if value is None:
        return ""
    if whole and isinstance(value, float) and value.is_integer():  # data frames store numbers so
        value = int(value)
    if whole and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"{column} must be text, got {shown(value)}.")
    if "\0" in value:
        raise DataError(f"{column} {shown(value)} contains a NUL character.")
    if len(value) > _MAX_TEXT:
        raise DataError(f"{column} has {len(value)} characters.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can escape half of a character
        raise DataError(f"{column} {shown(value)} is not valid Unicode.") from error
    if column == "path":
        return value
    return value.strip() if column == "source" else unicodedata.normalize("NFC", value.strip())
