"""Write predictions to a file row by row, so that a killed run can resume."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TextIO

from activitynet.errors import DataError, printable
from activitynet.inference.predict import Prediction
from activitynet.serialization.atomic import cannot_write, replaced_file
from activitynet.serialization.paths import user_path
from activitynet.serialization.records import parse

_BLOCK = 1 << 16  # bytes read at once to find the end of the last whole line
_ROW_GROUP = 10_000  # of a Parquet file


class Tally(NamedTuple):
    """Counts of rows in a file of predictions.

    Attributes:
        kept: Rows that were there before.
        predicted: Rows that were added.
        failed: Rows among both whose photo could not be read.
    """

    kept: int = 0
    predicted: int = 0
    failed: int = 0


class PredictionFile:
    """A file with one row a photo, in the order of the photos.

    ``.csv`` has a header and a line a photo (characters that do not print are escaped), ``.jsonl`` has the
    object of `Prediction.to_dict` a line, ``.parquet`` has the same fields as columns. Every row is written
    at once. A Parquet file is readable only when complete, so its rows are kept in a ``.parquet.jsonl``
    beside it until the last photo.

    Args:
        path: The file; its extension gives the format.
        top: Number of classes a row lists.
        resume: Continue after the existing rows. A last row that is cut off is written again.

    Attributes:
        tally: Counts of the rows so far.

    Raises:
        DataError: The extension is unknown, the file exists and ``resume`` is false, its rows are not
            predictions, or pyarrow is missing.
        StorageError: The file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, top: int, resume: bool = False) -> None:
        self.path = user_path(path)
        suffix = self.path.suffix.lower()
        if suffix not in (".csv", ".jsonl", ".parquet"):
            raise DataError(f"unknown format of {str(path)!r}: use the extension .csv, .jsonl or .parquet.")
        self._parquet = suffix == ".parquet"
        if self._parquet:
            _pyarrow()
        self._lines_path = self.path.with_name(f"{self.path.name}.jsonl") if self._parquet else self.path
        self._format: _Format = _Csv(top) if suffix == ".csv" else _JsonLines(top)
        self.tally = Tally()
        if not resume and (self.path.exists() or self._lines_path.exists()):
            raise DataError(
                f"{str(path)!r} exists. Continue it (resume=True, --resume), or choose another name."
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self._parquet and self.path.exists() and not self._lines_path.exists():
                _lines_of_parquet(self.path, self._lines_path)
            if self._lines_path.exists():
                _drop_half_line(self._lines_path)
            self._file: TextIO = self._lines_path.open("a", encoding="utf-8", newline="\n", buffering=1)
            if self._file.tell() == 0:
                self._file.write(self._format.header)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def sources(self) -> Iterator[str]:
        """Yield the source of each existing row, which `stream_predictions` then skips.

        Raises:
            DataError: A line is not a row of predictions, or lists another number of classes.
        """
        with self._lines_path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            if self._format.header and next(lines, "") != self._format.header:
                raise self._bad_row(1)
            for number, line in enumerate(lines, start=2 if self._format.header else 1):
                try:
                    source, error = self._format.read(line)
                except (ValueError, KeyError, TypeError, csv.Error) as damage:
                    raise self._bad_row(number) from damage
                kept, predicted, failed = self.tally
                self.tally = Tally(kept + 1, predicted, failed + bool(error))
                yield source

    def _bad_row(self, number: int) -> DataError:
        return DataError(
            f"cannot resume: line {number} of {str(self._lines_path)!r} is not such a row. Use "
            "the same --top and weights as before, or choose another name."
        )

    def write(self, prediction: Prediction) -> None:
        """Add a row.

        Raises:
            StorageError: The disk is full.
        """
        try:
            self._file.write(self._format.line(prediction))
        except OSError as error:
            raise cannot_write(self.path, error) from error
        kept, predicted, failed = self.tally
        self.tally = Tally(kept, predicted + 1, failed + (prediction.error is not None))

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._parquet and kind is None:
            _parquet_of_lines(self._lines_path, self.path)
            self._lines_path.unlink()


class _Format(ABC):
    """Converts rows to lines of text and back."""

    header = ""

    def __init__(self, top: int) -> None:
        self.top = top

    @abstractmethod
    def line(self, prediction: Prediction) -> str: ...

    @abstractmethod
    def read(self, line: str) -> tuple[str, str | None]:
        """Return the row's source and error."""


class _JsonLines(_Format):
    def line(self, prediction: Prediction) -> str:
        return json.dumps(prediction.to_dict(), allow_nan=False) + "\n"

    def read(self, line: str) -> tuple[str, str | None]:
        row = parse(line)
        if row["error"] is None and len(row["top"]) != self.top:
            raise ValueError("another number of classes")
        return str(row["source"]), row["error"]


class _Csv(_Format):
    def __init__(self, top: int) -> None:
        super().__init__(top)
        self.header = csv_line(csv_header(top))

    def line(self, prediction: Prediction) -> str:
        return csv_line(csv_cells(prediction, self.top))

    def read(self, line: str) -> tuple[str, str | None]:
        (cells,) = csv.reader([line], strict=True)
        if len(cells) != 2 + 2 * self.top:
            raise ValueError("another number of classes")
        return cells[0], cells[1] or None


def csv_header(top: int) -> list[str]:
    """Return the column names: source, error, and label and probability of each listed class."""
    ranks = ("" if rank == 1 else f"_{rank}" for rank in range(1, top + 1))
    return ["source", "error", *(f"{name}{rank}" for rank in ranks for name in ("label", "probability"))]


def csv_cells(prediction: Prediction, top: int) -> list[Any]:
    """Return a row for `csv_header`. Characters that do not print are escaped."""
    cells = [cell for label, probability in prediction.top for cell in (printable(label), probability)]
    if prediction.unknown:
        cells[0] = ""
    cells += [""] * (2 * top - len(cells))
    return [printable(prediction.source), printable(prediction.error or ""), *cells]


def csv_line(cells: list[Any]) -> str:
    """Return cells as one line of CSV, with its line end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _drop_half_line(path: Path) -> None:
    """Cut a file after its last whole line."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(0, end - _BLOCK)
            file.seek(begin)
            if (newline := file.read(end - begin).rfind(b"\n")) >= 0:
                end = begin + newline + 1
                break
            end = begin
        file.truncate(end)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise DataError("Parquet needs pyarrow: pip install 'activitynet[tables]'.") from error
    return pyarrow, parquet


def _parquet_of_lines(lines_path: Path, path: Path) -> None:
    pa, parquet = _pyarrow()
    ranked = pa.struct([("label", pa.string()), ("probability", pa.float64())])
    fields = {
        "source": pa.string(),
        "label": pa.string(),
        "probability": pa.float64(),
        "top": pa.list_(ranked),
        "error": pa.string(),
        "unknown": pa.bool_(),
    }
    schema = pa.schema(list(fields.items()))
    with (
        lines_path.open(encoding="utf-8") as lines,
        replaced_file(path) as temporary,
        parquet.ParquetWriter(temporary, schema) as writer,
    ):
        while group := [parse(line) for line in itertools.islice(lines, _ROW_GROUP)]:
            for row in group:
                row["source"] = printable(row["source"])  # Arrow's text is UTF-8; a file name may not be
            writer.write_table(pa.Table.from_pylist(group, schema))


def _lines_of_parquet(path: Path, lines_path: Path) -> None:
    pa, parquet = _pyarrow()
    try:
        with (
            parquet.ParquetFile(path) as file,
            replaced_file(lines_path) as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as lines,
        ):
            for batch in file.iter_batches(_ROW_GROUP):
                lines.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())
    except pa.ArrowInvalid as error:
        raise DataError(f"cannot resume: {str(path)!r} is not a Parquet file.") from error
