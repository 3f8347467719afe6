"""`models`, `ensemble`, `soup`, `export`, `push` and `pull`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Column

import activitynet
from activitynet.cli import options
from activitynet.cli.options import RowPrinter, print_json
from activitynet.errors import ModelError, printable
from activitynet.serialization.paths import user_path

if TYPE_CHECKING:
    from activitynet.data.dataset import Photo
    from activitynet.ensemble.build import Report, Row


def models(
    pattern: Annotated[
        str,
        typer.Argument(
            metavar="PATTERN", help="Names to list, with * and ? as wildcards; timm/* lists those of timm."
        ),
    ] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List networks with their parameters, multiply-adds and input sizes."""
    names = activitynet.list_models(pattern)
    if not names:
        raise ModelError(f"no model's name is {pattern!r}. Put * around a part of a name to search for it.")
    infos = (activitynet.model_info(name) for name in names)
    if as_json:
        print_json([dataclasses.asdict(info) for info in infos])
        return
    printer = RowPrinter(
        Column("model", width=max(len(name) for name in names)),
        *(Column(name, width=13, justify="right") for name in ("parameters", "MACs", "input")),
    )
    for info in infos:
        size = "×".join(str(number) for number in info.input_size)
        printer.row(info.name, f"{info.parameters:,}", f"{info.macs / 1e6:,.0f} M", size)


Members = Annotated[
    list[str],
    typer.Argument(metavar="MODEL", help="Weights folders, org/name on the Hub, or folders of runs."),
]
Validation = Annotated[
    Path,
    typer.Option(
        "--data", parser=user_path, metavar="DATA", help="Labelled photos that no member was trained on."
    ),
]
To = Annotated[Path, typer.Option("--to", parser=user_path, metavar="FOLDER", help="Write the result here.")]
Split = Annotated[str, typer.Option(help="Which photos of DATA: val or test.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def ensemble(
    *,
    members: Members,
    data: Validation,
    to: To,
    method: Annotated[
        Literal["uniform", "greedy", "weights"],
        typer.Option(
            help="uniform averages all, greedy selects those that help, weights fits a weight for each."
        ),
    ] = "greedy",
    cascade: Annotated[
        float | None,
        typer.Option(
            metavar="LOSS",
            help="Also fit a cascade, which may lose this much macro-F1 (0.003).",
            show_default=False,
        ),
    ] = None,
    split: Split = "val",
    device: options.Device = None,
    workers: options.Workers = None,
    seed: options.Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Select, weight and calibrate an ensemble of trained models."""
    from activitynet.ensemble.build import build_ensemble  # noqa: PLC0415  --help needs no torch
    from activitynet.runtime.devices import default_workers, resolve_device  # noqa: PLC0415

    photos, classes = _photos(members, data, split)
    built, report = build_ensemble(
        members,
        photos,
        classes,
        method=method,
        cascade_loss=cascade,
        workers=default_workers() if workers is None else workers,
        device=resolve_device(device),
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
        bool, typer.Option("--greedy", help="Add models, best first, only while macro-F1 does not fall.")
    ] = False,
    split: Split = "val",
    device: options.Device = None,
    workers: options.Workers = None,
    as_json: AsJson = False,
) -> None:
    """Average the weights of models of the same network, such as snapshots of a run."""
    from activitynet.ensemble.build import build_soup  # noqa: PLC0415  --help needs no torch
    from activitynet.runtime.devices import default_workers, resolve_device  # noqa: PLC0415
    from activitynet.weights import save_weights  # noqa: PLC0415

    photos, classes = _photos(members, data, split)
    workers = default_workers() if workers is None else workers
    model, card, chosen = build_soup(
        members, photos, classes, greedy=greedy, workers=workers, device=resolve_device(device)
    )
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
    """Return the photos to fit on, and the classes of the first member."""
    from activitynet.data.dataset import by_split  # noqa: PLC0415
    from activitynet.data.open import open_data  # noqa: PLC0415  --help needs no torch
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


def export(
    weights: options.Weights,
    path: Annotated[
        Path,
        typer.Argument(
            parser=user_path, metavar="FILE", help="File to write, which ends in .onnx, .xml or .pt2."
        ),
    ],
    format: Annotated[
        Literal["onnx", "openvino", "torch"] | None,
        typer.Option(help="Format of the file.", show_default="by its extension"),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="DATA",
            help="Quantize to 8 bits, calibrated on these photos: smaller, and faster on some processors. "
            "Evaluate the file afterwards.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = None,
) -> None:
    """Export a model or an ensemble with its preprocessing to ONNX, OpenVINO or torch."""
    from activitynet.export import FORMATS, Format  # noqa: PLC0415  --help needs no torch

    formats: dict[str, Format] = {end: form for form, end in FORMATS.items()}
    form = format or formats.get(path.suffix.lower(), "onnx")
    written = options.load_trained(weights, device=device).export(path, form, calibrate=calibrate)
    print(printable(str(written)))


def push(
    folder: Annotated[
        Path, typer.Argument(parser=user_path, metavar="FOLDER", help="Weights folder, such as RUN/model.")
    ],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="Repository on the Hub, as org/name.")],
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--public",
            help="Visibility of a repository that is created.",
            show_default="the account's",
        ),
    ] = None,
    revision: Annotated[str, typer.Option(metavar="BRANCH", help="Branch to commit to.")] = "main",
    message: Annotated[
        str | None, typer.Option(help="Commit message.", show_default="the folder's name")
    ] = None,
) -> None:
    """Publish a weights folder on the Hub, after checking that it loads."""
    from activitynet.weights import push_weights  # noqa: PLC0415  --help needs no torch

    print(push_weights(folder, repository, private=private, revision=revision, message=message))


def pull(
    source: Annotated[
        str, typer.Argument(metavar="REPO", help="org/name, org/name@revision, or released weights.")
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            parser=user_path, metavar="FOLDER", help="Copy the weights here.", show_default="the Hub's cache"
        ),
    ] = None,
) -> None:
    """Download weights, check them, and print their folder."""
    from activitynet.weights import pull_weights  # noqa: PLC0415  --help needs no torch

    print(printable(str(pull_weights(source, to))))


def weights(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List included, released and cached weights."""
    from activitynet.weights import list_weights  # noqa: PLC0415  --help needs no torch

    known = list_weights()
    if as_json:
        print_json([dataclasses.asdict(entry) for entry in known])
        return
    printer = RowPrinter(
        Column("weights", ratio=3, overflow="fold"),
        Column("classes", width=7, justify="right"),
        Column("size", width=10, justify="right"),
        Column("here", width=6),
        Column("from", ratio=3, overflow="fold"),
        Column("license", ratio=1, overflow="fold"),
    )
    for entry in known:
        here = "yes" if entry.cached else "no"
        size = f"{entry.size / 1e6:,.1f} MB"
        printer.row(entry.name, str(entry.classes or "–"), size, here, entry.source, entry.license or "–")
