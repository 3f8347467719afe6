"""`activitynet explain`: where a model looks in a photo."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Literal

import typer

from activitynet.cli import options
from activitynet.errors import printable


def explain(
    *,
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="One photo.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE.png", help="Where to write the overlay.")],
    weights: options.DefaultWeights = "default",
    label: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="The class to explain.", show_default="the most probable one"),
    ] = None,
    how: Annotated[
        Literal["grad-cam", "occlusion"],
        typer.Option(help="grad-cam is one pass; occlusion works for ensembles and exported files, too."),
    ] = "grad-cam",
    nearest: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="List the training photos of DATA that look most like it to the network.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a photo with what speaks for a class in colour, from dark blue to yellow."""
    from activitynet import atomic  # noqa: PLC0415  --help needs no torch

    if to.suffix.lower() != ".png":
        raise typer.BadParameter("it takes a file that ends in .png.", param_hint="--to")
    predictor = options.load_predictor(weights, engine=None, cascade=False)
    found = predictor.explain(photo, label=label, how=how)
    near = predictor.nearest(photo, nearest) if nearest is not None else []
    buffer = io.BytesIO()
    found.overlay.save(buffer, "PNG")
    atomic.write_bytes(to, buffer.getvalue())
    print(f"{printable(found.label)} {found.probability:.1%}: {printable(str(to))}")
    classes = predictor.classes or ()
    for like, cosine in near:
        print(printable(f"{cosine:.3f}  {classes[like.label]}  {like.path}"))
