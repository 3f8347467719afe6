"""Read the layout of an activity contest (photos named by id, answers in CSV files), write submissions.

``img_train/``, ``img_test/``, ``train_answers.csv`` (``img_id,target_feature``) and
``activity_categories.csv`` (``id,category``).
"""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from activitynet.data.dataset import ACTIVITIES, ClassIndex, PhotoData, inferred_classes
from activitynet.data.duplicates import group_duplicates
from activitynet.data.files import (
    absolute,
    has_photo_extension,
    is_folder,
    is_photo,
    left_out_note,
    natural_key,
    visible_entries,
)
from activitynet.data.listing import Entry, listed_photos
from activitynet.data.splits import check_val_fraction, train_val_split
from activitynet.data.tables import read_rows
from activitynet.errors import DataError, clipped, did_you_mean, shown
from activitynet.serialization.atomic import write_text
from activitynet.serialization.paths import user_path

_log = logging.getLogger(__name__)

TRAIN, TEST = "img_train", "img_test"
ANSWERS, CATEGORIES = "train_answers.csv", "activity_categories.csv"

_LISTED = 10  # photos that one message names


class Predicted(Protocol):
    """A prediction for a submission, such as `activitynet.Prediction`."""

    @property
    def source(self) -> str:
        """The photo's path."""

    @property
    def label(self) -> str | None:
        """Its class, or `None` if it could not be read."""

    @property
    def error(self) -> str | None:
        """Why it could not be read, or `None`."""


def is_contest(path: str | os.PathLike[str]) -> bool:
    """Return whether a folder has the contest's layout."""
    folder = user_path(path)
    return is_folder(folder / TRAIN) and any((folder / name).is_file() for name in (ANSWERS, CATEGORIES))


def open_contest(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the labelled photos of a contest's folder, with a share of each class held out.

    The contest has no groups. Every photo is opened to find near-duplicates (`group_duplicates`), which stay
    in one split.

    Every category of ``activity_categories.csv`` is a class, even without photos. The photos of
    ``img_test`` have no labels; `photos_to_answer` lists them.

    Args:
        path: The folder.
        classes: Class names in the order of the labels, each one of the categories. By default they are
            `ACTIVITIES` if the categories are those, with any ids; otherwise the categories in the order
            of their file.
        val_fraction: Share of the photos to hold out, in [0, 1); with 0 no photo is opened.
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: A file is missing or damaged, an answer names an unknown photo or category, or a photo has
            no answer.
    """
    check_val_fraction(val_fraction, seed)
    folder = user_path(path)
    categories = read_categories(folder)
    answers = folder / ANSWERS
    files = _files(folder / TRAIN)
    entries: dict[Path, Entry] = {}
    for row, (photo_id, category_id) in _read_pairs(answers, "img_id", "target_feature").items():
        where = f"{str(answers)!r}, row {row}"
        file = files.get(photo_id)
        if file is None:
            raise DataError(
                f"{where}: {TRAIN!r} has no photo {shown(photo_id)}. Unpack it again, or remove the row."
            )
        if file in entries:
            raise DataError(f"{where}: photo {photo_id!r} has an answer already.")
        if category_id not in categories:
            raise DataError(
                f"{where}: {shown(category_id)} is no id of {CATEGORIES!r}."
                f"{did_you_mean(category_id, categories)}"
            )
        entries[file] = Entry(file, categories[category_id], where=f"row {row}")
    without = sorted((file.name for file in set(files.values()) - entries.keys()), key=natural_key)
    if without:
        raise DataError(f"{str(answers)!r} has no answer for {_some(without)} in {TRAIN!r}.")
    data = listed_photos(
        sorted(entries.values(), key=lambda entry: natural_key(entry.path.name)),
        repr(str(answers)),
        classes=_classes(folder, categories) if classes is None else classes,
        val_fraction=0,
        ignored=[file for file in visible_entries(folder / TRAIN) if not is_photo(file)],
    )
    if not val_fraction:
        return data
    train, val = train_val_split(group_duplicates(data.train), val_fraction, seed)
    return dataclasses.replace(data, train=train, val=val)


def _classes(folder: Path, categories: dict[str, str]) -> tuple[str, ...]:
    """Return `ACTIVITIES` if the categories are those; otherwise the categories in their order."""
    try:
        names = inferred_classes(categories.values())
    except DataError as error:
        raise DataError(f"{str(folder / CATEGORIES)!r}: {clipped(error)}") from error
    return names if names is ACTIVITIES else tuple(categories.values())


def photos_to_answer(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """List the contest's test photos, in natural order.

    Raises:
        DataError: There are none.
    """
    folder = user_path(path) / TEST
    files = visible_entries(folder)
    photos = tuple(file for file in files if is_photo(file))
    if not photos:
        raise DataError(f"{str(folder)!r} holds no photos.")
    if len(photos) < len(files):
        _log.warning("%s: %s", folder, left_out_note([file for file in files if file not in photos]))
    return photos


def write_submission(
    path: str | os.PathLike[str], predictions: Iterable[Predicted], folder: str | os.PathLike[str]
) -> None:
    """Write the answers for a contest's test photos: ``id,target_feature``, in natural order.

    Args:
        path: The CSV file, written whole or not at all.
        predictions: One for each photo of `photos_to_answer`, in any order.
        folder: The contest's folder, which shows how ids are written.

    Raises:
        DataError: A photo could not be read, has no prediction or two, or a label is not a category.
            Then nothing is written.
        StorageError: The file cannot be written.
    """
    folder = user_path(folder)
    categories = read_categories(folder)
    ids, index = list(categories), ClassIndex(tuple(categories.values()))
    photos = photos_to_answer(folder)
    with_suffix = _ids_have_suffixes(folder)
    expected = {absolute(photo): photo for photo in photos}
    answers: dict[Path, str] = {}
    unread = []
    for prediction in predictions:
        photo = expected.get(absolute(Path(prediction.source)))
        if photo is None:
            raise DataError(f"{prediction.source!r} is not a photo of {str(folder / TEST)!r}.")
        if photo in answers:
            raise DataError(f"{prediction.source!r} is predicted twice.")
        if prediction.label is None:
            unread.append(prediction.error or prediction.source)
            answers[photo] = ""
        else:
            answers[photo] = ids[index.find(prediction.label)]
    if unread:
        listed = "".join(f"\n  {error}" for error in unread[:_LISTED])
        more = f"\n  and {len(unread) - _LISTED} more" if len(unread) > _LISTED else ""
        raise DataError(
            f"no submission is written, since {len(unread)} of {len(photos)} test photos could not be "
            f"read:{listed}{more}"
        )
    missing = [photo.name for photo in photos if photo not in answers]
    if missing:
        raise DataError(f"no submission is written: there is no prediction for {_some(missing)}.")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "target_feature"])
    writer.writerows([photo.name if with_suffix else photo.stem, answers[photo]] for photo in photos)
    write_text(path, text.getvalue())


def read_categories(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Return the category of each id, in the order of ``activity_categories.csv``.

    Raises:
        DataError: The file is missing or damaged, or it has an id or a category twice.
    """
    table = user_path(folder) / CATEGORIES
    categories: dict[str, str] = {}
    for row, (category_id, category) in _read_pairs(table, "id", "category").items():
        if category_id in categories or category in categories.values():
            pair = f"{category_id!r} or {category!r}"
            raise DataError(f"{str(table)!r}, row {row}: {clipped(pair, 200)} is listed already.")
        categories[category_id] = category
    if len(categories) < 2:
        raise DataError(f"{str(table)!r} lists fewer than two categories.")
    return categories


def _read_pairs(table: Path, first: str, second: str) -> dict[int, tuple[str, str]]:
    """Return two columns of a CSV file by row number."""
    pairs = {}
    for row, values in read_rows(table, (first, second)):
        pair = values[first].strip(), values[second].strip()
        if not all(pair):
            raise DataError(f"{str(table)!r}, row {row}: {first} or {second} is empty.")
        pairs[row] = pair
    return pairs


def _files(folder: Path) -> dict[str, Path]:
    """Return a folder's photos by name, and by name without its extension."""
    files: dict[str, Path] = {}
    for file in visible_entries(folder):
        if is_photo(file):
            for photo_id in {file.name, file.stem}:
                if photo_id in files:
                    both = f"{files[photo_id].name!r} and {file.name!r}"
                    raise DataError(f"{str(folder)!r} holds {both}: which of them is photo {photo_id!r}?")
                files[photo_id] = file
    if not files:
        raise DataError(f"{str(folder)!r} holds no photos.")
    return files


def _ids_have_suffixes(folder: Path) -> bool:
    """Return whether the answers name photos with their extension, as submissions then do."""
    for photo_id, _ in _read_pairs(folder / ANSWERS, "img_id", "target_feature").values():
        return has_photo_extension(Path(photo_id))
    return False


def _some(names: Sequence[str]) -> str:
    """Count names, and list the first."""
    listed = ", ".join(repr(name) for name in names[:_LISTED])
    return f"{len(names)} photos ({listed}{', …' if len(names) > _LISTED else ''})"
