"""Export a model to a file of any format."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

import torch
from torch import nn

from activitynet import __version__
from activitynet.data.dataset import Photo
from activitynet.data.preprocess import Views
from activitynet.errors import ModelError, did_you_mean
from activitynet.export.contents import Contents, need, quiet
from activitynet.export.onnx import (
    PHOTO_AXES,
    PixelViews,
    example_photos,
    first_cause,
    fold_batch_norms,
    network_graph,
    whole_graph,
)
from activitynet.export.openvino import write_openvino
from activitynet.export.quantize import quantized
from activitynet.serialization import atomic
from activitynet.serialization.paths import user_path
from activitynet.weights import Card, EnsembleCard

Format: TypeAlias = Literal["onnx", "openvino", "torch"]

#: File extension of each format.
FORMATS: Mapping[Format, str] = MappingProxyType({"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"})


def export_model(
    model: nn.Module,
    card: Card | EnsembleCard,
    path: str | os.PathLike[str],
    format: Format = "onnx",
    *,
    views: Views | None = None,
    calibrate: Sequence[Photo] | None = None,
) -> Path:
    """Write a file that maps photos to probabilities without this library.

    Args:
        model: A module from (batch, 3, height, width), or several such inputs, to logits (batch, classes). It
            is not changed.
        card: Its classes, preprocessing and temperature, stored in the file's metadata.
        views: Preprocessing of each input of an ensemble. `None` takes the card's.
        path: The file: ``.onnx``, ``.xml`` (its tensors go into a ``.bin`` beside it) or ``.pt2``.
        format: ``"onnx"``, ``"openvino"`` or ``"torch"`` (`torch.export`).
        calibrate: Photos to calibrate 8-bit quantisation with, for ``"onnx"`` and ``"openvino"``; `None`
            keeps float32.

    Returns:
        The path.

    Raises:
        ModelError: The format is unknown, the extension does not match, the model cannot be traced, or a
            package is missing.
        ImageError: A photo of ``calibrate`` cannot be read.
        StorageError: The file cannot be written.
    """
    path = user_path(path)
    if format not in FORMATS:
        raise ModelError(
            f"unknown format {format!r}.{did_you_mean(str(format), FORMATS)} Use {', '.join(FORMATS)}."
        )
    if path.suffix.lower() != FORMATS[format]:
        raise ModelError(f"{str(path)!r} is not named like {format}: use the extension {FORMATS[format]}.")
    if views is None:
        if isinstance(card, EnsembleCard):
            raise ModelError("an ensemble's card has no preprocessing: pass its views.")
        views = Views((card.preprocess,))
    contents = Contents(dataclasses.replace(card, library_version=__version__), views)
    if format == "torch":
        if calibrate is not None:
            raise ModelError("8-bit quantisation works for the formats onnx and openvino only.")
        _write_torch(model, contents, path)
        return path
    if format == "openvino":
        need("openvino")  # before the work
    network = network_graph(model, contents.sizes)
    if calibrate is not None:
        network = quantized(network, calibrate, views)
    graph = whole_graph(network, contents).SerializeToString()
    if format == "onnx":
        atomic.write_bytes(path, graph)
    else:
        write_openvino(graph, contents, path)
    return path


def is_exported(source: str | os.PathLike[str]) -> bool:
    """Return whether a source means an exported file, existing or not, rather than a folder or repository."""
    path = user_path(source)
    return path.is_file() or path.suffix.lower() in FORMATS.values()


class _PhotosToProbabilities(nn.Module):
    def __init__(self, model: nn.Module, contents: Contents) -> None:
        super().__init__()
        self.pixels = PixelViews(contents.views)
        self.model = model
        self.temperature = contents.card.temperature

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (self.model(self.pixels(images)) / self.temperature).softmax(dim=1)


def _write_torch(model: nn.Module, contents: Contents, path: Path) -> None:
    whole = _PhotosToProbabilities(fold_batch_norms(model).to("cpu", torch.float32), contents).eval()
    lengths = {axis: torch.export.Dim(name) for axis, name in enumerate(PHOTO_AXES)}
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(whole, (example_photos(),), dynamic_shapes=(lengths,))
    except Exception as error:  # tracing fails in many ways
        raise ModelError(f"{type(model).__name__} cannot be exported: {first_cause(error)}") from error
    buffer = io.BytesIO()
    with quiet():
        torch.export.save(program, buffer, extra_files=contents.to_metadata())
    atomic.write_bytes(path, buffer.getvalue())
