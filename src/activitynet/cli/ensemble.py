"""`activitynet ensemble` and `activitynet soup`: many trained models into one answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Column

from activitynet.cli import options
from activitynet.cli.output import RowPrinter, print_json
from activitynet.errors import printable

if TYPE_CHECKING:
    from activitynet.data.photos import Photo
    from activitynet.ensemble.build import Report, Row

Members = Annotated[
    list[str],
    typer.Argument(metavar="MODEL", help="Weights folders, org/name on the Hub, or folders of runs."),
]
Validation = Annotated[
    Path, typer.Option("--data", metavar="DATA", help="Labelled photos that no member has learned from.")
]
To = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where to write the result.")]
Split = Annotated[str, typer.Option(help="Which photos of DATA: val or test.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def ensemble(
    *,
    members: Members,
    data: Validation,
    to: To,
    method: Annotated[
        Literal["uniform", "greedy", "weights"],
        typer.Option(help="uniform takes all alike, greedy picks those that help, weights fits shares."),
    ] = "greedy",
    cascade: Annotated[
        float | None,
        typer.Option(
            metavar="LOSS",
            help="Fit a cascade as well, which may score so much lower in macro-F1 (0.003).",
            show_default=False,
        ),
    ] = None,
    split: Split = "val",
    workers: options.Workers = None,
    seed: options.Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Choose, weigh and calibrate an ensemble of trained models."""
    from activitynet.ensemble.build import build_ensemble  # noqa: PLC0415  --help needs no torch
    from activitynet.fitting import default_workers  # noqa: PLC0415

    photos, classes = _photos(members, data, split)
    built, report = build_ensemble(
        members,
        photos,
        classes,
        method=method,
        cascade_loss=cascade,
        workers=default_workers() if workers is None else workers,
        seed=seed,
    )
    built.save(to)
    if as_json:
        print_json(report.to_dict())
        return
    _print_report(report)
    print(printable(str(to)))


def soup(
    *,
    members: Members,
    data: Validation,
    to: To,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Add models, best first, only as long as macro-F1 does not fall.")
    ] = False,
    split: Split = "val",
    workers: options.Workers = None,
    as_json: AsJson = False,
) -> None:
    """Average the weights of models of one network, such as snapshots of a run, into one model."""
    from activitynet.ensemble.build import build_soup  # noqa: PLC0415  --help needs no torch
    from activitynet.fitting import default_workers  # noqa: PLC0415
    from activitynet.weights import save_weights  # noqa: PLC0415

    photos, classes = _photos(members, data, split)
    workers = default_workers() if workers is None else workers
    model, card, chosen = build_soup(members, photos, classes, greedy=greedy, workers=workers)
    save_weights(to, model, card)
    if as_json:
        print_json({"members": [str(folder) for folder in chosen], "metrics": dict(card.metrics)})
        return
    for folder in chosen:
        print(printable(f"in it: {folder}"))
    scores = card.metrics["val"]
    print(
        f"macro-F1 {scores['macro_f1']:.3f}, accuracy {scores['accuracy']:.3f} on {scores['photos']} photos"
    )
    print(printable(str(to)))


def _photos(members: list[str], data: Path, split: str) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    """Return the photos to fit on, and the members' classes: those of the first."""
    from activitynet.data.opening import open_data  # noqa: PLC0415  --help needs no torch
    from activitynet.data.splits import by_split  # noqa: PLC0415
    from activitynet.ensemble.build import find_members  # noqa: PLC0415
    from activitynet.weights import read_card  # noqa: PLC0415

    parts = ("val", "test")
    if split not in parts:
        raise typer.BadParameter(f"choose val or test, not {split!r}.", param_hint="--split")
    classes = read_card(next(find_members(members))).classes
    opened = open_data(data, classes=classes)
    photos = dict(by_split(opened))[split]
    if not photos:
        raise typer.BadParameter(f"{str(data)!r} has no {split!r} photos.", param_hint="--data")
    return photos, classes


def _print_report(report: Report) -> None:
    rows = [*report.candidates, report.ensemble, *([report.cascade] if report.cascade else [])]
    cheapest = min(row.macs for row in report.candidates)
    widths = {"macro-F1": 8, "accuracy": 8, "ECE": 12, "share": 5, "adds": 6, "cost": 5}
    printer = RowPrinter(
        Column("model", ratio=1, overflow="fold"),
        *(Column(name, width=width, justify="right") for name, width in widths.items()),
    )
    for row in rows:
        printer.row(*_cells(row, cheapest, is_candidate=row in report.candidates))
    print(f"fitted on {report.photos} photos: on others, expect a little less")


def _cells(row: Row, cheapest: float, *, is_candidate: bool) -> tuple[str, ...]:
    scores = (f"{row.macro_f1:.3f}", f"{row.accuracy:.3f}", f"{row.ece:.3f}→{row.ece_fitted:.3f}")
    own = (f"{row.share:.2f}", f"{row.adds:+.3f}") if is_candidate else ("", "")
    return (row.name, *scores, *own, f"{row.macs / cheapest:.2f}")
