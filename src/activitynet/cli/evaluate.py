"""`evaluate`, `compare`, `calibrate` and `explain`."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.cells import cell_len
from rich.table import Column

from activitynet.cli import options
from activitynet.cli.options import RowPrinter, print_json
from activitynet.errors import printable
from activitynet.serialization.paths import user_path


def evaluate(
    *,
    weights: options.Weights,
    data: options.Data,
    split: Annotated[str, typer.Option(help="Score these photos: train, val, test, or all.")] = "val",
    skip_bad: options.SkipBad = False,
    group_duplicates: options.GroupDuplicates = False,
    device: options.Device = None,
    engine: options.EngineName = None,
    cascade: options.Cascade = False,
    tta: options.Tta = None,
    report: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="FOLDER",
            help="Write an HTML report with plots and thumbnails, and its JSON.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Score trained weights on labelled photos."""
    from activitynet.evaluation.report import make_report, write_report  # noqa: PLC0415
    from activitynet.runtime import distributed  # noqa: PLC0415  --help needs no torch

    predictor = options.load_predictor(weights, device=device, engine=engine, cascade=cascade)
    photos = options.open_for(predictor, data, device=device, group_duplicates=group_duplicates)
    answers = predictor.collect_outputs(photos, split=split, skip_bad=skip_bad, tta=tta or None)
    if not distributed.is_main_process():
        return
    scores = answers.scores()
    if report is not None:
        made = make_report(answers, name=weights, split=split, unknown_below=predictor.unknown_below)
        print(f"report: {printable(str(write_report(report, made)))}", file=sys.stderr)
    if as_json:
        print_json({**scores.to_dict(), "ignored": options.described(photos)["ignored"]})
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


def compare(
    *,
    runs: Annotated[
        list[Path],
        typer.Argument(
            parser=user_path, metavar="RUN", help="Reports of `evaluate --report`, or run folders with one."
        ),
    ],
    report: Annotated[
        Path | None,
        typer.Option(
            parser=user_path, metavar="FOLDER", help="Write an HTML report and its JSON.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare evaluation reports, and test whether the others differ from the first."""
    from activitynet.evaluation.report import comparison_table, read_report, write_comparison  # noqa: PLC0415  --help needs no torch

    table = comparison_table([read_report(run) for run in runs])
    if report is not None:
        print(f"report: {printable(str(write_comparison(report, table)))}", file=sys.stderr)
    if as_json:
        print_json(table)
        return
    measures: dict[str, list[dict[str, float] | None]] = table["measures"]
    intervals = len(runs) == 2  # more do not fit on a line
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


def calibrate(
    *,
    weights: options.Weights,
    data: options.Data,
    to: Annotated[
        Path, typer.Option("--to", parser=user_path, metavar="FOLDER", help="Write the weights folder here.")
    ],
    split: Annotated[str, typer.Option(help="Photos that were not trained on: val, test, or all.")] = "val",
    method: Annotated[
        Literal["temperature", "vector"],
        typer.Option(help="temperature keeps the predicted classes; vector scales each class."),
    ] = "temperature",
    risk: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Also fit a threshold for unknown photos that leaves at most this share of errors (0.1).",
            show_default=False,
        ),
    ] = None,
    skip_bad: options.SkipBad = False,
    device: options.Device = None,
    workers: options.Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the calibration as JSON.")] = False,
) -> None:
    """Calibrate probabilities on labelled photos, and write the calibrated weights."""
    from activitynet import Classifier  # noqa: PLC0415  --help needs no torch
    from activitynet.runtime import distributed  # noqa: PLC0415
    from activitynet.weights import find_weights  # noqa: PLC0415

    classifier = Classifier.load(find_weights(weights), device=device)
    found = classifier.calibrate(
        data, split=split, method=method, risk=risk, workers=workers, skip_bad=skip_bad
    )
    if not distributed.is_main_process():
        return
    classifier.save(to)
    if as_json:
        print_json(found.to_dict())
        return
    print(f"{printable(str(to))}: {found.summary()}")


def explain(
    *,
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="One photo.")],
    to: Annotated[
        Path, typer.Option("--to", parser=user_path, metavar="FILE.png", help="Write the heat map here.")
    ],
    weights: options.DefaultWeights = "default",
    label: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="The class to explain.", show_default="the most probable one"),
    ] = None,
    device: options.Device = None,
    how: Annotated[
        Literal["grad-cam", "occlusion"],
        typer.Option(help="grad-cam is one pass; occlusion also works for ensembles and exported files."),
    ] = "grad-cam",
    nearest: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="DATA",
            help="List the training photos of DATA with the most similar features.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a heat map of the evidence for a class, from dark blue to yellow."""
    from activitynet.serialization import atomic  # noqa: PLC0415  --help needs no torch

    if to.suffix.lower() != ".png":
        raise typer.BadParameter("it takes a file that ends in .png.", param_hint="--to")
    predictor = options.load_predictor(weights, device=device)
    found = predictor.explain(photo, label=label, how=how)
    near = predictor.nearest(photo, nearest) if nearest is not None else []
    buffer = io.BytesIO()
    found.overlay.save(buffer, "PNG")
    atomic.write_bytes(to, buffer.getvalue())
    print(f"{printable(found.label)} {found.probability:.1%}: {printable(str(to))}")
    classes = predictor.classes or ()
    for like, cosine in near:
        print(printable(f"{cosine:.3f}  {classes[like.label]}  {like.path}"))
