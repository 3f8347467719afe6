"""Puts the table of registered models where a page asks for it, so that no page can fall behind the zoo."""

from __future__ import annotations

from typing import Any

from activitynet.zoo import list_models, model_info

_MARK = "<!-- models -->"


def _table() -> str:
    rows = ["| name | parameters | MACs | input |", "|---|---:|---:|---:|"]
    for name in list_models():
        info = model_info(name)
        side = "×".join(map(str, info.input_size[1:]))
        rows.append(f"| `{name}` | {info.parameters:,} | {info.macs / 1e6:,.0f} M | {side} |")
    return "\n".join(rows)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the table in; MkDocs calls this for each page."""
    return markdown.replace(_MARK, _table()) if _MARK in markdown else markdown
