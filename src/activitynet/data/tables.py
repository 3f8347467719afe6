"""Labelled photos listed in a table: CSV, JSON lines or Parquet, one photo a row."""

from __future__ import annotations

import csv
import dataclasses
import difflib
import io
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from activitynet.data.dataset import SPLIT_NAMES, PhotoData, by_split, split_named
from activitynet.data.files import absolute
from activitynet.data.listing import Entry, listed_photos, text_of
from activitynet.errors import DataError, clipped, did_you_mean, shown
from activitynet.serialization import records
from activitynet.serialization.atomic import write_bytes
from activitynet.serialization.paths import expand_user, user_path

TABLE_EXTENSIONS = (".csv", ".jsonl", ".parquet")

_NEEDED = ("path", "label")
_OPTIONAL = ("split", "group", "source")
_MAX_LINE = 2**20  # characters of one line of text
_ALIKE = 0.88  # "splits" and "grup" are typing errors; "resource" is another column

Row = tuple[int, dict[str, Any]]


def open_table(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the photos of a table with one row per photo. No photo is opened.

    Its columns are ``path`` and ``label`` (a class's name), and optionally ``split`` (``train``, ``val`` or
    ``test``), ``group`` (photos that belong in one split) and ``source``; others are ignored. Relative
    paths start at the table's folder and must stay below it. If a file is missing, a file is taken whose
    name differs only in surrounding blanks, backslashes, the case of the extension or the Unicode form.
    Without ``val`` photos, a share of the groups is held out.

    Args:
        path: A ``.csv`` file with a header, a ``.jsonl`` file with one object per line, both in UTF-8, or
            a ``.parquet`` file (needs ``pyarrow``).
        classes: Class names in the order of the labels. Labels are matched to them by name or else by
            `slug`. By default they are the labels in natural order, or `ACTIVITIES` where every label
            is one of those and at least half of them occur.
        val_fraction: Share of the photos to hold out, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: The table cannot be read, a column is missing, or a row is not valid: it repeats a photo,
            names an unknown class or split, or puts a group into a second split. The message has the
            row's number: the line for JSON lines, the record for CSV, whose header is row 1.
    """
    table = user_path(path)
    return listed_photos(
        _entries(table), f"table {str(table)!r}", classes=classes, val_fraction=val_fraction, seed=seed
    )


def _fault(table: Path, row: int, reason: str) -> DataError:
    return DataError(f"table {str(table)!r}, row {row}: {clipped(reason)}")


def _entries(table: Path) -> list[Entry]:
    entries: list[Entry] = []
    rows_of_paths: dict[str, int] = {}
    has_splits: bool | None = None
    files = _Files(table.parent)
    for row, values in read_rows(table, _NEEDED, _OPTIONAL):
        try:
            entry = _entry(files, row, values)
        except DataError as error:
            raise _fault(table, row, str(error)) from error
        if has_splits is None:
            has_splits = "split" in values
        elif has_splits != ("split" in values):
            raise _fault(table, row, "either all rows have a split, or none.")
        first = rows_of_paths.setdefault(str(entry.path), row)
        if first != row:
            raise _fault(
                table, row, f"photo {values['path']!r} is in row {first} already. Remove one of them."
            )
        entries.append(entry)
    return entries


def _entry(files: _Files, row: int, values: dict[str, Any]) -> Entry:
    written, label = text_of(values, "path"), text_of(values, "label", whole=True)
    for column, value in (("path", written.strip()), ("label", label)):
        if not value:
            raise DataError(f"{column} is empty.")
    split = "train"
    if "split" in values:
        text = text_of(values, "split")
        split = split_named(text) or ""
        if not split:
            raise DataError(
                f"split {text!r} is none of train, val and test.{did_you_mean(text, SPLIT_NAMES)}"
            )
    group, source = text_of(values, "group", whole=True), text_of(values, "source", whole=True)
    return Entry(files.find(written), label, split, group, source, f"row {row}")


class _Files:
    """Finds the files of a table's paths. Each folder is listed once.

    Args:
        folder: The table's folder, at which relative paths start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[Path, dict[str, list[str]]] = {}

    def find(self, written: str) -> Path:
        """Return the file of a path; a file with a slightly different name only if there is no exact match.

        Raises:
            DataError: It is a URL, a path of another system, or leads out of the table's folder.
        """
        if re.match(r"[a-z][a-z0-9+.-]+://", written.strip(), re.IGNORECASE):
            raise DataError(f"path {shown(written)} is a URL. Download the photo, and write its path.")
        if os.name != "nt" and re.match(r"[a-z]:[\\/]|\\\\", written.strip(), re.IGNORECASE):
            raise DataError(f"path {shown(written)} is a Windows path. Write it relative to the table.")
        bare = expand_user(written.strip())
        forms = dict.fromkeys((written, bare, bare.replace("\\", "/")))
        places = []
        for form in forms:
            places.append(_located(self._folder, form))
            names = self._alike(places[-1])
            if places[-1].name in names:
                return places[-1]
            if len(names) == 1:
                return places[-1].with_name(names[0])
        return places[1] if bare != written and written.lstrip().startswith("~") else places[0]

    def _alike(self, path: Path) -> list[str]:
        """List the files in a path's folder with nearly the same name (see `_plain`)."""
        if path.parent not in self._names:
            names: dict[str, list[str]] = {}
            try:
                for name in os.listdir(path.parent):  # noqa: PTH208 - only names are needed
                    names.setdefault(_plain(name), []).append(name)
            except OSError:  # it is missing, or a container
                pass
            self._names[path.parent] = names
        return self._names[path.parent].get(_plain(path.name), [])


def _plain(name: str) -> str:
    stem, extension = os.path.splitext(unicodedata.normalize("NFC", name.strip()))  # noqa: PTH122
    return stem + extension.lower()


def _located(folder: Path, written: str) -> Path:
    """Return a photo's path; refuse a relative path that leads out of the table's folder.

    Such a path is usually a mistake, or works on one machine only.
    """
    if os.path.isabs(written):  # noqa: PTH117 - as text
        return Path(os.path.normpath(written))
    normal = os.path.normpath(written)
    if Path(normal).parts[:1] == (os.pardir,) or os.path.splitdrive(normal)[0]:
        raise DataError(
            f"path {shown(written)} leads out of the table's folder. Move the table, or write an absolute "
            f"path."
        )
    return folder / normal


def read_rows(table: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of a table: number, and values by column.

    Args:
        table: The file; its extension names the format.
        needed: Required columns.
        optional: Optional columns.

    Raises:
        DataError: The table cannot be read, or it lacks a column.
    """
    kind = table.suffix.lower()
    if kind not in TABLE_EXTENSIONS:
        raise DataError(f"table {str(table)!r} must end in {' or '.join(TABLE_EXTENSIONS)}.")
    reader = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}[kind]
    try:
        yield from reader(table, needed, optional)
    except OSError as error:
        raise DataError(f"cannot read table {str(table)!r}: {error.strerror or clipped(error)}.") from error


def _lines(table: Path) -> Iterator[str]:
    """Yield the lines of a text file; refuse very long ones."""
    with table.open("rb") as file:
        number = 0
        while line := file.readline(_MAX_LINE + 1):
            number += 1
            if len(line) > _MAX_LINE:
                raise DataError(
                    f"table {str(table)!r}, line {number} has more than {_MAX_LINE} bytes. Is it a table?"
                )
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"table {str(table)!r}, line {number} is not UTF-8 ({error.reason}). Save it as UTF-8."
                ) from error


def _read_csv(table: Path, needed: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    reader = csv.reader(_lines(table), strict=True)
    columns: list[str] = []
    row = 0
    while True:
        row += 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise _fault(table, row, f"{error}. Check the quotes and commas around it.") from error
        if row == 1:
            columns = _checked_columns(table, 1, cells, needed, optional)
        elif cells:
            if len(cells) != len(columns):
                raise _fault(
                    table, row, f"there are {len(cells)} cells for {len(columns)} columns. Check its commas."
                )
            yield row, dict(zip(columns, cells, strict=True))
    if not columns:
        raise DataError(f"table {str(table)!r} is empty. Its first row must name the columns.")


def _read_jsonl(table: Path, needed: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    known: dict[str, str] = {}  # the column of each field
    for row, line in enumerate(_lines(table), start=1):
        if not line.strip():
            continue
        try:
            values = records.parse(line)
        except ValueError as error:
            raise _fault(table, row, f"it is not one JSON object on a line ({error}).") from error
        if not isinstance(values, dict):
            raise _fault(table, row, f"it must be a JSON object, got {shown(values)}.")
        if not values.keys() <= known.keys() or not {known[name] for name in values} >= set(needed):
            columns = _checked_columns(table, row, list(values), needed, optional)
            known |= zip(values, columns, strict=True)
        yield row, {known[name]: value for name, value in values.items()}


def _read_parquet(table: Path, needed: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    try:
        import pyarrow as arrow  # noqa: PLC0415 - only for those who have such tables
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise DataError(
            f"to read table {str(table)!r}, install pyarrow: pip install pyarrow. Or save the table as CSV."
        ) from error
    row = 0
    try:
        with table.open("rb") as file, parquet.ParquetFile(file) as opened:
            names = [str(name) for name in opened.schema_arrow.names]
            columns = dict(zip(names, _checked_columns(table, 1, names, needed, optional), strict=True))
            wanted = [name for name in names if columns[name] in (*needed, *optional)]
            for batch in opened.iter_batches(batch_size=1024, columns=wanted, use_threads=False):
                for values in batch.to_pylist():
                    row += 1
                    yield row, {columns[name]: value for name, value in values.items()}
    except (arrow.ArrowException, ValueError, TypeError, MemoryError) as error:
        raise DataError(
            f"cannot read table {str(table)!r} after row {row}: {clipped(error)}. Write it again, or as CSV."
        ) from error


def _checked_columns(
    table: Path, row: int, names: Sequence[str], needed: Sequence[str], optional: Sequence[str]
) -> list[str]:
    """Return column names. Blanks and case are ignored in the names of known columns.

    Raises:
        DataError: A column is missing, occurs twice, or resembles a known one.
    """
    columns = [name.strip() for name in names]
    for known in (*needed, *optional):
        if known not in columns:
            columns = [known if column.lower() == known else column for column in columns]
    for position, column in enumerate(columns):
        if column in columns[:position]:
            raise _fault(table, row, f"column {shown(column)} occurs twice.")
    others = [column for column in columns if column not in (*needed, *optional)]
    for name in needed:
        if name not in columns:
            one = " Are its columns separated by commas?" if len(columns) == 1 else ""
            found = shown(", ".join(columns[:20]))
            hint = did_you_mean(name, others) or one or " Rename the right one."
            raise _fault(table, row, f"there is no column {name!r} among {found}.{hint}")
    missing = [name for name in optional if name not in columns]
    for column in others:
        if close := difflib.get_close_matches(column.strip().lower()[:32], missing, n=1, cutoff=_ALIKE):
            raise _fault(
                table, row, f"column {column!r} is not known. Did you mean {close[0]!r}? Rename or remove it."
            )
    return columns


def write_split(
    path: str | os.PathLike[str], data: PhotoData, *, label_issues: Mapping[str, str] | None = None
) -> None:
    """Write a split as a CSV table with the columns ``path``, ``label``, ``split`` and ``group``.

    Paths below the table's folder are relative to it; others are absolute. `open_data` reads the table.

    Args:
        path: The table.
        data: The data set.
        label_issues: More probable labels, by the photos' paths, for the column ``suggested_label``, which
            readers ignore. `None` writes no such column.

    Raises:
        DataError: A name is not valid text.
        StorageError: The file cannot be written.
    """
    place = absolute(user_path(path))
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    more = [] if label_issues is None else ["suggested_label"]
    writer.writerow(["path", "label", "split", "group", *more])
    for split, photos in by_split(data):
        for photo in photos:
            file = absolute(photo.path)
            inside = file.is_relative_to(place.parent)
            written = file.relative_to(place.parent).as_posix() if inside else str(file)
            more = [] if label_issues is None else [label_issues.get(str(photo.path), "")]
            writer.writerow([written, data.classes[photo.label], split, photo.group, *more])
    try:
        content = table.getvalue().encode("utf-8")
    except UnicodeEncodeError as error:
        text = error.object[error.start : error.end]
        raise DataError(
            f"cannot write {str(place)!r}: a name with {text!r} is not valid text. Rename it."
        ) from error
    write_bytes(place, content)


def read_split(path: str | os.PathLike[str], data: PhotoData) -> PhotoData:
    """Split a data set by a table of `write_split`.

    Args:
        path: The table.
        data: The data set, with any split.

    Returns:
        The same photos with the table's splits and groups.

    Raises:
        DataError: The table cannot be read, or is of other photos or classes.
    """
    listed = open_table(path, classes=data.classes, val_fraction=0)
    known = {absolute(photo.path): photo for _, photos in by_split(data) for photo in photos}
    written = {absolute(photo.path): photo for _, photos in by_split(listed) for photo in photos}
    faults = {
        "not in it": [file for file in known if file not in written],
        "only in it": [file for file in written if file not in known],
        "of another class": [
            file for file, photo in written.items() if file in known and known[file].label != photo.label
        ],
    }
    told = [f"{len(files)} {what} (such as {str(files[0])!r})" for what, files in faults.items() if files]
    if told:
        raise DataError(
            f"split {os.fspath(path)!r} has other photos: {', '.join(told)}. Restore them, or write "
            "the split again."
        )
    parts = {
        split: tuple(dataclasses.replace(known[absolute(photo.path)], group=photo.group) for photo in photos)
        for split, photos in by_split(listed)
    }
    return dataclasses.replace(data, train=parts["train"], val=parts["val"], test=parts["test"])
