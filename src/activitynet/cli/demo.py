"""`activitynet demo`: a web page to try a model on."""

from __future__ import annotations

from typing import Annotated

import typer

from activitynet.cli import options
from activitynet.errors import printable


def demo(
    *,
    weights: options.DefaultWeights = "default",
    device: options.Device = None,
    engine: options.EngineName = None,
    host: Annotated[
        str,
        typer.Option(
            help="Listen on this address; with 0.0.0.0, anyone who reaches this machine can use the page."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Listen on this port; 0 takes a free one.")
    ] = 7860,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = False,
    unknown_below: options.UnknownBelow = None,
    max_mb: Annotated[float, typer.Option(min=0.001, help="Largest upload in megabytes.")] = 64,
    max_photos: Annotated[int, typer.Option(min=1, help="Most photos per upload.")] = 100,
    max_megapixels: Annotated[float, typer.Option(min=0.001, help="Largest photo in megapixels.")] = 64,
) -> None:
    """Serve a page to try a model on, with photos or the camera, until Ctrl-C."""
    from activitynet.demo import Limits, serve  # noqa: PLC0415  --help needs no torch

    name = "the model that comes with activitynet" if weights == "default" else weights
    limits = Limits(bytes=round(max_mb * 1e6), photos=max_photos, pixels=round(max_megapixels * 1e6))
    serve(
        options.load_predictor(weights, device=device, engine=engine),
        name=name,
        host=host,
        port=port,
        limits=limits,
        unknown_below=unknown_below,
        open_browser=open_browser,
        ready=lambda address: print(
            f"{printable(name)} answers at {address} until Ctrl-C ends it.", flush=True
        ),
    )
