"""Predictions in a file, written as they come, so that a run that was killed can go on."""

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
from activitynet.serialization.records import parse

_BLOCK = 1 << 16  # bytes read at once when the end of the last whole line is looked for
_ROW_GROUP = 10_000  # of a Parquet file


class Tally(NamedTuple):
    """What is in a file of predictions.

    Attributes:
        kept: Rows that were there before.
        predicted: Rows that were added.
        failed: Rows, of both, whose photo could not be read.
    """

    kept: int = 0
    predicted: int = 0
    failed: int = 0


class PredictionFile:
    """A file that holds a row a photo, in the photos' order.

    ``.csv`` has a header and a line a photo (what does not print in a name is escaped), ``.jsonl`` the object
    of `Prediction.to_dict` a line, ``.parquet`` the same fields as columns. Every row is handed to the system
    at once. A Parquet file cannot be read before its end is written: until the last photo, its rows lie in a
    ``.parquet.jsonl`` beside it.

    Args:
        path: The file; its ending says the format.
        top: How many guesses a row has room for.
        resume: Go on with the rows that are there; of the last one, which may be half written, only if it is
            whole.

    Attributes:
        tally: What is in the file so far.

    Raises:
        DataError: Another ending; or there are rows already, and they are not to be gone on with, or are not
            such rows; or pyarrow is missing.
        StorageError: The file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, top: int, resume: bool = False) -> None:
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in (".csv", ".jsonl", ".parquet"):
            raise DataError(f"cannot tell the format of {str(path)!r}: end it in .csv, .jsonl or .parquet.")
        self._parquet = suffix == ".parquet"
        if self._parquet:
            _pyarrow()
        self._lines_path = self.path.with_name(f"{self.path.name}.jsonl") if self._parquet else self.path
        self._format: _Format = _Csv(top) if suffix == ".csv" else _JsonLines(top)
        self.tally = Tally()
        if not resume and (self.path.exists() or self._lines_path.exists()):
            raise DataError(
                f"{str(path)!r} is there already. Go on with it (resume=True, --resume), or choose another "
                "name."
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
        """Yield the source of each row that is there, for `stream_predictions` to pass over.

        Raises:
            DataError: A line is no such row, or has another number of guesses.
        """
        with self._lines_path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            if self._format.header and next(lines, "") != self._format.header:
                raise self._no_row(1)
            for number, line in enumerate(lines, start=2 if self._format.header else 1):
                try:
                    source, error = self._format.read(line)
                except (ValueError, KeyError, TypeError, csv.Error) as damage:
                    raise self._no_row(number) from damage
                kept, predicted, failed = self.tally
                self.tally = Tally(kept + 1, predicted, failed + bool(error))
                yield source

    def _no_row(self, number: int) -> DataError:
        return DataError(
            f"cannot go on: line {number} of {str(self._lines_path)!r} is no row of such predictions. Give "
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
    """How a row is a line of text."""

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
            raise ValueError("another number of guesses")
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
            raise ValueError("another number of guesses")
        return cells[0], cells[1] or None


def csv_header(top: int) -> list[str]:
    """Return the names of the columns: source, error, and label and probability of each guess."""
    ranks = ("" if rank == 1 else f"_{rank}" for rank in range(1, top + 1))
    return ["source", "error", *(f"{name}{rank}" for rank in ranks for name in ("label", "probability"))]


def csv_cells(prediction: Prediction, top: int) -> list[Any]:
    """Return a row under `csv_header`; what does not print is escaped."""
    guesses = [cell for label, probability in prediction.top for cell in (printable(label), probability)]
    if prediction.unknown:
        guesses[0] = ""
    guesses += [""] * (2 * top - len(guesses))
    return [printable(prediction.source), printable(prediction.error or ""), *guesses]


def csv_line(cells: list[Any]) -> str:
    """Return cells as one line of CSV, with its end."""
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
    guess = pa.struct([("label", pa.string()), ("probability", pa.float64())])
    fields = {
        "source": pa.string(),
        "label": pa.string(),
        "probability": pa.float64(),
        "top": pa.list_(guess),
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
                row["source"] = printable(row["source"])  # Arrow's text is UTF-8, and a name may be none
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
        raise DataError(f"cannot go on: {str(path)!r} is no Parquet file.") from error
