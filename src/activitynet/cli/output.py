"""What goes to the terminal: text that cannot harm it, tables for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from activitynet.errors import printable


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a JSON value to stdout, in ASCII: nothing in it can harm a terminal or its encoding."""
    print(json.dumps(value, indent=indent, allow_nan=False))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - called while the error is handled; rich itself would end the process here


class RowPrinter:
    """A table that prints each row as it comes, since nobody waits for the last of many.

    Args:
        columns: With a fixed width each, or a ratio of what is left of the line.
    """

    def __init__(self, *columns: Column) -> None:
        self._columns = columns
        self._expand = any(column.ratio for column in columns)
        # Markup stays off, for names may look like it.
        self._console = _Console(markup=False, emoji=False, highlight=False)
        self._print([str(column.header) for column in columns], style="bold")

    def _print(self, cells: list[str], style: str = "") -> None:
        columns = (column.copy() for column in self._columns)
        grid = Table.grid(*columns, padding=(0, 2, 0, 0), expand=self._expand)
        grid.add_row(*cells, style=style)
        self._console.print(grid)

    def row(self, *cells: str, style: str = "") -> None:
        """Print one row, in colour where stdout is a terminal."""
        self._print([printable(cell) for cell in cells], style)


class PhotoProgress:
    """A bar with photos a second and the time that is left, where stderr is a terminal.

    Args:
        photos: Gives every photo that is to come; called only to count them.
    """

    def __init__(self, photos: Callable[[], Iterable[object]]) -> None:
        from rich import progress  # noqa: PLC0415  slow to import, seldom needed

        console = Console(stderr=True)
        self._progress = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        total = sum(1 for _ in photos()) if console.is_terminal else None
        self._task = self._progress.add_task("", total=total, rate="")

    def __enter__(self) -> PhotoProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, done: int) -> None:
        """Say how many photos are done, those of a run before included."""
        task = self._progress.tasks[self._task]
        if not task.completed:
            self._progress.reset(self._task, completed=done - 1)  # what a run before did is no speed
        rate = f"{task.speed:.0f} img/s" if task.speed else ""
        self._progress.update(self._task, completed=done, rate=rate)


class _StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is at that moment: a live display puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(self.format(record)), file=sys.stderr)


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Print what the library logs, from INFO on, to stderr."""
    logger, handler = logging.getLogger("activitynet"), _StderrHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
