"""`activitynet predict`: one row for each photo, as soon as it is known."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len
from rich.table import Column

import activitynet
from activitynet.cli import options
from activitynet.cli.options import PhotoProgress, RowPrinter, print_json
from activitynet.errors import printable
from activitynet.serialization.paths import user_path

if TYPE_CHECKING:
    from activitynet.inference import Ways
    from activitynet.predictor import Predictor

SOME_FAILED = 1

_Print = Callable[["activitynet.Prediction"], None]


def predict(
    *,
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="Photos, folders or globs.")],
    weights: options.DefaultWeights = "default",
    device: options.Device = None,
    engine: options.EngineName = None,
    cascade: options.Cascade = False,
    tta: options.Tta = None,
    top: Annotated[int, typer.Option(min=1, help="List this many classes per photo.")] = 5,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per photo, with its exact name.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, with unprintable characters in names escaped.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="FILE",
            help="Write rows into this .csv, .jsonl or .parquet file instead of printing them.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue --output after an interrupted run.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode photos.", show_default="one per core")
    ] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch photos given as http(s) URLs.")
    ] = False,
    unknown_below: options.UnknownBelow = None,
    submission: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="FILE",
            help="Take PHOTO as a contest's folder, and write predictions for its test photos into this CSV.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Predict the class of photos. The exit code is 1 if one of them could not be read."""
    outputs = {"--json": as_json, "--csv": as_csv, "--output": output, "--submission": submission}
    asked = [name for name, value in outputs.items() if value]
    if len(asked) > 1:
        raise typer.BadParameter("choose one of them.", param_hint=" and ".join(asked))
    if resume and output is None:
        raise typer.BadParameter("it needs --output FILE, the file to continue.", param_hint="--resume")
    predictor = options.load_predictor(weights, device=device, engine=engine, cascade=cascade)
    if submission is not None:
        if len(photos) != 1:
            raise typer.BadParameter("it takes one PHOTO, the contest's folder.", param_hint="--submission")
        return _submit(predictor, user_path(photos[0]), submission, tta or None)
    if output is not None:
        from activitynet.data.inputs import iter_photos  # noqa: PLC0415  --help needs no torch

        with PhotoProgress(lambda: iter_photos(photos, allow_urls=allow_urls)) as progress:
            tally = predictor.predict_to(
                output,
                photos,
                top=top,
                workers=workers,
                unknown_below=unknown_below,
                allow_urls=allow_urls,
                tta=tta or None,
                resume=resume,
                progress=lambda so_far: progress.show(so_far.kept + so_far.predicted),
            )
        kept = f" ({tally.kept} were there)" if tally.kept else ""
        print(f"{tally.kept + tally.predicted} photos{kept}: {printable(str(output))}")
        return _outcome(tally.failed, tally.kept + tally.predicted)
    classes = predictor.classes or ()
    top = min(top, len(classes))
    found = predictor.predict(
        photos,
        top=top,
        workers=workers,
        unknown_below=unknown_below,
        allow_urls=allow_urls,
        tta=tta or None,
    )
    show = _json if as_json else _csv_printer(top) if as_csv else _row_printer(classes, top)
    seen = failed = 0
    for prediction in found:
        show(prediction)
        seen += 1
        failed += prediction.error is not None
    return _outcome(failed, seen)


def _outcome(failed: int, seen: int) -> int:
    if failed:
        print(f"{failed} of {seen} photos could not be read.", file=sys.stderr)
    return SOME_FAILED if failed else 0


def _submit(predictor: Predictor, folder: Path, path: Path, tta: Ways | None) -> int:
    from activitynet.data.contest import TEST, photos_to_answer, write_submission  # noqa: PLC0415  --help

    if folder.name == TEST:
        folder = folder.parent
    photos = photos_to_answer(folder)
    write_submission(path, predictor.predict(photos, top=1, unknown_below=0, tta=tta), folder)
    print(f"{len(photos)} answers: {printable(str(path))}")
    return 0


def _json(prediction: activitynet.Prediction) -> None:
    print_json(prediction.to_dict(), indent=None)


def _csv_printer(top: int) -> _Print:
    from activitynet.inference.writers import csv_cells, csv_header, csv_line  # noqa: PLC0415  --help

    print(csv_line(csv_header(top)), end="")
    return lambda prediction: print(csv_line(csv_cells(prediction, top)), end="")


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
