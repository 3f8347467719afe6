"""`activitynet predict`: what is in photos, one row each, as they come."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len
from rich.table import Column

import activitynet
from activitynet.cli import options
from activitynet.cli.output import RowPrinter, print_json, printable

if TYPE_CHECKING:
    from activitynet.predictor import Predictor

SOME_FAILED = 1

_Print = Callable[["activitynet.Prediction"], None]


def predict(
    *,
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="Photos, folders or globs.")],
    weights: Annotated[
        str,
        typer.Option(
            metavar="WEIGHTS",
            help="Weights folder, such as RUN/model; org/name on the Hub; or an exported .onnx or .xml file.",
        ),
    ],
    engine: options.EngineName = None,
    cascade: options.Cascade = False,
    top: Annotated[int, typer.Option(min=1, help="How many guesses to list for a photo.")] = 5,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each photo, with its exact name.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV; what does not print in a name is escaped.")
    ] = False,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch photos given as http(s) URLs.")
    ] = False,
    unknown_below: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=0,
            max=1,
            help="Call a photo unknown whose most probable class is less probable; 0 never does.",
            show_default="as calibrated",
        ),
    ] = None,
    submission: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PHOTO is a contest's folder: write the answers for its test photos into this CSV file.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Say what is in photos. The exit code is 1 when one of them could not be read."""
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv.", param_hint="--csv")
    predictor = options.load_predictor(weights, engine=engine, cascade=cascade)
    if submission is not None:
        if len(photos) != 1:
            raise typer.BadParameter("it takes one PHOTO, the contest's folder.", param_hint="--submission")
        return _submit(predictor, Path(photos[0]), submission)
    classes = predictor.classes or ()
    top = min(top, len(classes))
    show = _json if as_json else _csv_printer(top) if as_csv else _row_printer(classes, top)
    seen = failed = 0
    found = predictor.predict(photos, top=top, unknown_below=unknown_below, allow_urls=allow_urls)
    for prediction in found:
        show(prediction)
        seen += 1
        failed += prediction.error is not None
    if failed:
        print(f"{failed} of {seen} photos could not be read.", file=sys.stderr)
    return SOME_FAILED if failed else 0


def _submit(predictor: Predictor, folder: Path, path: Path) -> int:
    from activitynet.data.contest import TEST, photos_to_answer, write_submission  # noqa: PLC0415  --help

    if folder.name == TEST:
        folder = folder.parent
    photos = photos_to_answer(folder)
    write_submission(path, predictor.predict(photos, top=1, unknown_below=0), folder)
    print(f"{len(photos)} answers: {printable(str(path))}")
    return 0


def _json(prediction: activitynet.Prediction) -> None:
    print_json(prediction.to_dict(), indent=None)


def _csv_printer(top: int) -> _Print:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    ranks = ("" if rank == 1 else f"_{rank}" for rank in range(1, top + 1))
    writer.writerow(
        ["source", "error", *(f"{name}{rank}" for rank in ranks for name in ("label", "probability"))]
    )

    def show(prediction: activitynet.Prediction) -> None:
        guesses = [cell for label, probability in prediction.top for cell in (printable(label), probability)]
        if prediction.unknown:
            guesses[0] = ""
        guesses += [""] * (2 * top - len(guesses))
        writer.writerow([printable(prediction.source), printable(prediction.error or ""), *guesses])

    return show


def _row_printer(classes: tuple[str, ...], top: int) -> _Print:
    widest = max(cell_len(printable(name)) for name in (*classes, "label"))
    columns = [
        Column("photo", ratio=3, overflow="fold"),
        Column("label", width=min(widest, 30), overflow="fold"),
        Column("probability", width=len("probability"), justify="right"),
        Column("then" if top > 1 else "", ratio=4, overflow="fold"),
    ]
    printer = RowPrinter(*columns)

    def show(prediction: activitynet.Prediction) -> None:
        if prediction.error is not None:
            printer.row(prediction.source, "–", "–", prediction.error, style="red")
            return
        (label, probability), *others = prediction.top
        if prediction.unknown:
            printer.row(prediction.source, "unknown", "–", f"perhaps {label} {probability:.1%}", style="dim")
            return
        then = ", ".join(f"{name} {share:.1%}" for name, share in others)
        printer.row(prediction.source, label, f"{probability:.1%}", then)

    return show
