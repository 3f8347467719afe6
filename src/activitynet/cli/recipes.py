"""`activitynet recipes`: which recipes there are, and what is in one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column

from activitynet.cli.output import RowPrinter, print_json


def recipes(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE", help="A recipe to print whole, as TOML; without one, all are listed."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List recipes, or print one with every field."""
    from activitynet.training.recipe_files import (  # noqa: PLC0415  --help needs no torch
        format_recipe,
        list_recipes,
        load_recipe,
    )

    if recipe is not None:
        chosen = load_recipe(recipe)
        if as_json:
            print_json(chosen.to_dict())
        else:
            print(format_recipe(chosen), end="")
        return
    described = {name: load_recipe(name).description for name in list_recipes()}
    if as_json:
        print_json([{"name": name, "description": text} for name, text in described.items()])
        return
    printer = RowPrinter(
        Column("recipe", width=max(map(len, described))), Column("what it is for", ratio=1, overflow="fold")
    )
    for name, text in described.items():
        printer.row(name, text)
