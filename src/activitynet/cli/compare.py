"""`activitynet compare`: reports of several runs side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column

from activitynet.cli.output import RowPrinter, print_json
from activitynet.errors import printable


def compare(
    *,
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Folders that `evaluate --report` wrote, or runs that hold one."),
    ],
    report: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a page and its JSON.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Set evaluations side by side; on the same photos, say whether the others differ from the first."""
    from activitynet.evaluation.side_by_side import (  # noqa: PLC0415  --help needs no torch
        comparison_table,
        read_report,
        write_comparison,
    )

    table = comparison_table([read_report(run) for run in runs])
    if report is not None:
        print(f"report: {printable(str(write_comparison(report, table)))}", file=sys.stderr)
    if as_json:
        print_json(table)
        return
    measures: dict[str, list[dict[str, float] | None]] = table["measures"]
    intervals = len(runs) == 2  # of more, they do not fit on a line
    columns = [Column(name, width=23 if intervals else 10, overflow="fold") for name in table["names"]]
    printer = RowPrinter(Column("measure", width=max(map(len, measures))), *columns)
    for name, row in measures.items():
        cells = [
            "–"
            if cell is None
            else f"{cell['value']:.3f}" + (f" ({cell['low']:.3f} to {cell['high']:.3f})" if intervals else "")
            for cell in row
        ]
        printer.row(name, *cells)
    for sentence in table["sentences"]:
        print(printable(sentence))
