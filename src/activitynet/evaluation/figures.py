"""The one style of all pictures: palette, axes, and how a figure becomes a file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activitynet import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette stays apart for colour-blind readers (https://jfly.uni-koeln.de/color/).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"

_STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.wspace": 0.06,
    "figure.constrained_layout.hspace": 0.06,
    "figure.dpi": 120,
    "font.size": 10,
    "grid.alpha": 0.3,
    "lines.linewidth": 2,
    "svg.fonttype": "none",  # text that can be searched, and read aloud
    "svg.hashsalt": "activitynet",  # the same picture is the same file
    "text.parse_math": False,  # a dollar sign in a class name is a dollar sign
}


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """Yield a figure that belongs to no window system and no global state.

    Args:
        width: In inches.
        height: In inches.
    """
    import matplotlib  # noqa: PLC0415  heavy, and only plots need it
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format that the path's suffix names: ``.png`` or ``.svg``.

    Raises:
        StorageError: The picture cannot be written.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
    atomic.write_bytes(path, buffer.getvalue())


def one_line(name: str, longest: int = 30) -> str:
    """Return a name on one line, cut where it would leave no room for the picture."""
    line = " ".join(name.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
