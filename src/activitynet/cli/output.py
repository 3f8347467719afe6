"""What goes to the terminal: text that cannot harm it, tables for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Column, Table


def printable(text: str) -> str:
    r"""Return text with everything that does not print as a backslash escape.

    A file's name may hold newlines, terminal commands or marks that turn the direction of writing; here
    they become ``\n``, ``\x1b`` or ``\u202e``.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


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
