"""`activitynet study`: compare configurations over seeds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from activitynet.cli import options
from activitynet.cli.options import RowPrinter, print_json
from activitynet.errors import printable
from activitynet.serialization.paths import user_path

if TYPE_CHECKING:
    from activitynet.study import StudyResult


def study(
    *,
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY", help="A name that --list prints, or a TOML file.", show_default=False
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Argument(
            parser=user_path, metavar="DATA", help="Labelled photos, as for `train`.", show_default=False
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="FOLDER",
            help="The study's folder. The same command resumes it; several processes share the work.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Change a field of the study's file (epochs=3, data.photos_per_class=20); may be repeated.",
            show_default=False,
        ),
    ] = None,
    workers: options.Workers = None,
    skip_bad: options.SkipBad = False,
    group_duplicates: options.GroupDuplicates = False,
    cache: options.Cache = None,
    cache_gb: options.CacheGb = 20.0,
    report: Annotated[
        bool, typer.Option("--report", help="Write the report of the results so far, and train nothing.")
    ] = False,
    list_them: Annotated[
        bool, typer.Option("--list", help="List the included studies; with STUDY, print its file.")
    ] = False,
    no_progress: options.NoProgress = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare configurations: train each with every seed, test which differ, and write a report."""
    if list_them:
        _list(study, as_json=as_json)
        return
    if run is None:
        raise typer.BadParameter("name the study's folder.", param_hint="--run")
    from activitynet.study import read_study, run_study  # noqa: PLC0415  --help needs no torch
    from activitynet.training.signals import Interrupted  # noqa: PLC0415

    if report:
        result = read_study(run)
    elif study is None or data is None:
        missing = "STUDY" if study is None else "DATA"
        raise typer.BadParameter("it is missing; --list prints the included studies.", param_hint=missing)
    else:
        try:
            result = run_study(
                study,
                data,
                run=run,
                settings=options.read_settings(settings),
                workers=workers,
                skip_bad=skip_bad,
                group_duplicates=group_duplicates,
                cache=cache,
                cache_gb=cache_gb,
                progress=not no_progress,
            )
        except Interrupted as stop:
            print(f"{stop} Continue with the same command.", file=sys.stderr)
            raise typer.Exit(128 + stop.signum) from stop
    print(f"page: {printable(str(run / 'study.html'))}", file=sys.stderr)
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result)


def _list(study: str | None, *, as_json: bool) -> None:
    from activitynet.study.definition import STUDY_FILES, load_study  # noqa: PLC0415  --help needs no torch

    if study is not None:
        if as_json:
            print_json(load_study(study).to_dict())
        else:
            print(STUDY_FILES.read_text(study), end="")
        return
    described = {name: load_study(name).description for name in STUDY_FILES.names()}
    if as_json:
        print_json([{"name": name, "description": text} for name, text in described.items()])
        return
    printer = RowPrinter(
        Column("study", width=max(map(len, described))), Column("what it compares", ratio=1, overflow="fold")
    )
    for name, text in described.items():
        printer.row(name, text)


def _print(result: StudyResult) -> None:
    from activitynet.study.report import differing_cells  # noqa: PLC0415  --help needs no torch

    headings, table = differing_cells(result.rows, exclude=("MACs", "img/s"))  # too wide with them
    widths = [max(map(len, column)) for column in zip(headings, *table, strict=True)]
    printer = RowPrinter(
        Column("configuration", ratio=1, overflow="fold", min_width=16),
        *(
            Column(heading, width=width, justify="right")
            for heading, width in zip(headings, widths, strict=True)
        ),
    )
    for row, line in zip(result.rows, table, strict=True):
        label = row.label if row.state == "complete" else f"{row.label} ({row.state})"
        printer.row(label, *line)
    for sentence in result.sentences:
        print(printable(sentence))
