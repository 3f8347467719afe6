"""`activitynet evaluate`: the scores of trained weights, class by class."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.table import Column

from activitynet.cli import options
from activitynet.cli.output import RowPrinter, print_json
from activitynet.errors import printable


def evaluate(
    *,
    weights: options.Weights,
    data: options.Data,
    split: Annotated[str, typer.Option(help="train, val, test, or all.")] = "val",
    skip_bad: options.SkipBad = False,
    group_duplicates: options.GroupDuplicates = False,
    engine: options.EngineName = None,
    cascade: options.Cascade = False,
    tta: options.Tta = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write a page with figures, plots and thumbnails, and the same as JSON.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Score trained weights on labelled photos."""
    from activitynet import ranks  # noqa: PLC0415  --help needs no torch
    from activitynet.evaluation.report import make_report, write_report  # noqa: PLC0415

    predictor = options.load_predictor(weights, engine=engine, cascade=cascade)
    photos = options.open_for(predictor, data, group_duplicates=group_duplicates)
    answers = predictor.answer(photos, split=split, skip_bad=skip_bad, tta=tta or None)
    if not ranks.is_main():
        return
    scores = answers.scores()
    if report is not None:
        made = make_report(answers, name=weights, split=split, unknown_below=predictor.unknown_below)
        print(f"report: {printable(str(write_report(report, made)))}", file=sys.stderr)
    if as_json:
        print_json(scores.to_dict())
        return
    present = [entry for entry in scores.classes if entry.support]
    printer = RowPrinter(
        Column("class", width=max(cell_len(printable(entry.name)) for entry in present)),
        *(Column(name, width=9, justify="right") for name in ("photos", "precision", "recall", "F1")),
    )
    for entry in present:
        rates = (f"{rate:.3f}" for rate in (entry.precision, entry.recall, entry.f1))
        printer.row(entry.name, str(entry.support), *rates)
    if absent := [entry.name for entry in scores.classes if not entry.support]:
        print(f"without photos: {printable(', '.join(absent))}")
    print(scores.summary())
