"""Puts what each command takes where a page asks for it, out of the command itself."""

from __future__ import annotations

from typing import Any

import typer
from typer.cli import get_docs_for_click

from activitynet.cli.main import command_line

_MARK = "<!-- commands -->"


def _commands() -> str:
    group = typer.main.get_command(command_line)
    context = group.make_context("activitynet", [], resilient_parsing=True)
    told = [
        get_docs_for_click(
            obj=group.get_command(context, name), ctx=context, indent=1, call_prefix="activitynet"
        )
        for name in group.list_commands(context)
    ]
    return "\n".join(told).replace("```console", "```text")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the commands in; MkDocs calls this for each page."""
    return markdown.replace(_MARK, _commands()) if _MARK in markdown else markdown
