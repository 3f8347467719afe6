"""`activitynet models`: which networks there are, and what each costs."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.table import Column

import activitynet
from activitynet.cli.output import RowPrinter, print_json
from activitynet.errors import ModelError


def models(
    pattern: Annotated[
        str,
        typer.Argument(
            metavar="PATTERN", help="Names to list, with * and ? as wildcards; timm/… searches timm's."
        ),
    ] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List networks, with what each costs."""
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
