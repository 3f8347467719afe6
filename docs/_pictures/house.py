"""Draw `docs/pictures/house.svg`: the rooms of the library, in the layers that import-linter checks.

Run it without arguments after rooms have moved or grown.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT, GAP = 720, 34, 8


def rooms() -> list[list[str]]:
    """Return the rooms of each layer, the top one first, as `pyproject.toml` lists them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in layer.split("|")] for layer in layers if layer != "__main__"]


def size(room: str) -> str:
    """Return a room's number of files and of lines."""
    place = ROOT / "src" / "activitynet" / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    lines = sum(len(file.read_text("utf-8").splitlines()) for file in files)
    return f"{len(files)} {'file' if len(files) == 1 else 'files'}, {lines:,} lines"


def main() -> None:
    """Write the picture."""
    layers = rooms()
    height = len(layers) * (HEIGHT + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'font-family="sans-serif" font-size="13">',
        "<style>text { fill: #222 } rect { fill: none; stroke: #777 } "
        "@media (prefers-color-scheme: dark) { text { fill: #ddd } }</style>",
        "<title>The rooms of activitynet: each imports only from the layers below it</title>",
    ]
    for row, layer in enumerate(layers):
        width = (WIDTH - GAP * (len(layer) + 1)) / len(layer)
        top = GAP + row * (HEIGHT + GAP)
        for column, room in enumerate(layer):
            left = GAP + column * (width + GAP)
            parts.append(
                f'<rect x="{left:.0f}" y="{top}" width="{width:.0f}" height="{HEIGHT}" rx="5"/>'
                f'<text x="{left + 10:.0f}" y="{top + 22}"><tspan font-weight="bold">{escape(room)}</tspan>'
                f'<tspan dx="10" opacity="0.7">{size(room)}</tspan></text>'
            )
    parts.append("</svg>\n")
    (ROOT / "docs" / "pictures" / "house.svg").write_text("\n".join(parts), "utf-8")


if __name__ == "__main__":
    main()
