"""`activitynet push`, `pull` and `weights`: weights to the Hub, from it, and which there are."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column

from activitynet.cli.output import RowPrinter, print_json
from activitynet.errors import printable


def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Weights folder, such as RUN/model.")],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="Repository on the Hub, as org/name.")],
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--public",
            help="Who sees a repository that is made.",
            show_default="the account's",
        ),
    ] = None,
    revision: Annotated[str, typer.Option(metavar="BRANCH", help="Branch to commit to.")] = "main",
    message: Annotated[
        str | None, typer.Option(help="The commit's message.", show_default="the folder's name")
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
        typer.Option(metavar="FOLDER", help="Copy the weights here.", show_default="the Hub's cache"),
    ] = None,
) -> None:
    """Fetch weights, check them, and print the folder that they are in."""
    from activitynet.weights import pull_weights  # noqa: PLC0415  --help needs no torch

    print(printable(str(pull_weights(source, to))))


def weights(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the package's own weights, released ones, and what is cached."""
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
        Column("licence", ratio=1, overflow="fold"),
    )
    for entry in known:
        here = "yes" if entry.cached else "no"
        size = f"{entry.size / 1e6:,.1f} MB"
        printer.row(entry.name, str(entry.classes or "–"), size, here, entry.source, entry.licence or "–")
