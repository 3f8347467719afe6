"""`activitynet export`: a trained model or an ensemble as one file that runs without this library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from activitynet.cli import options
from activitynet.errors import printable


def export(
    weights: options.Weights,
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="What to write: its name ends in .onnx, .xml or .pt2.")
    ],
    format: Annotated[
        Literal["onnx", "openvino", "torch"] | None, typer.Option(show_default="by the name's end")
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Use 8-bit numbers, whose ranges these photos choose: smaller, and faster on some "
            "processors. Evaluate the file afterwards.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a model or an ensemble, its preprocessing inside, for ONNX Runtime, OpenVINO or torch."""
    from activitynet.export import FORMATS, Format  # noqa: PLC0415  --help needs no torch

    formats: dict[str, Format] = {end: form for form, end in FORMATS.items()}
    form = format or formats.get(path.suffix.lower(), "onnx")
    written = options.load_trained(weights).export(path, form, calibrate=calibrate)
    print(printable(str(written)))
