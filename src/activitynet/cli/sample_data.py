"""`activitynet sample-data`: a drawn data set to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import activitynet
from activitynet.errors import printable


def sample_data(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to draw into.")],
    train_per_class: Annotated[int, typer.Option(min=1, help="Training drawings of each class.")] = 40,
    val_per_class: Annotated[int, typer.Option(min=0, help="Validation drawings of each class.")] = 10,
    size: Annotated[int, typer.Option(help="Side of a drawing in pixels.")] = 128,
    seed: Annotated[int, typer.Option(help="The same seed gives the same drawings.")] = 0,
) -> None:
    """Draw a small data set: 20 activities as pictograms, not photos."""
    path = activitynet.draw_sample_data(
        folder, train_per_class=train_per_class, val_per_class=val_per_class, size=size, seed=seed
    )
    print(f"drawn: {printable(str(path))}")
