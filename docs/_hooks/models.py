"""Puts the table of registered models where a page asks for it, so that no page can fall behind the zoo."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import torch

from activitynet.zoo import create_model, list_models, model_info

_MARK = "<!-- models -->"
_BLOCKS = ("ResidualBlock", "MBConv", "Fire", "SEBlock")


def _table() -> str:
    rows = ["| name | parameters | MACs | input | blocks | source |", "|---|---:|---:|---:|---|---|"]
    for name in list_models():
        info = model_info(name)
        side = "×".join(map(str, info.input_size[1:]))
        costs = f"{info.parameters:,} | {info.macs / 1e6:,.0f} M"
        rows.append(f"| `{name}` | {costs} | {side} | {_blocks(name)} | {_linked(info.source)} |")
    return "\n".join(rows)


def _linked(source: str) -> str:
    return re.sub(r"([\w-]+), (https://[^\s,]+)", r"[\1](\2)", source)


def _blocks(name: str) -> str:
    """Say which building blocks a network is made of, and how many of each."""
    with torch.device("meta"):
        modules = create_model(name).modules()
    counts = Counter(type(module).__name__ for module in modules if type(module).__name__ in _BLOCKS)
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the table in; MkDocs calls this for each page."""
    return markdown.replace(_MARK, _table()) if _MARK in markdown else markdown
