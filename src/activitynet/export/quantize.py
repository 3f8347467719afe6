"""8-bit quantisation of ONNX graphs, calibrated on photos."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from activitynet.data.dataset import Photo
from activitynet.data.loader import PhotoDataset
from activitynet.data.preprocess import Views, views_for
from activitynet.errors import DataError
from activitynet.export.contents import need, quiet
from activitynet.export.onnx import pixel_names

if TYPE_CHECKING:
    import onnx

MAX_PHOTOS = 256
"""Largest number of calibration photos, taken evenly from those given."""

# The first convolutions have few weights, and their errors reach all later layers: with them in 8 bits the
# package's model changed the label of 12 % of 400 photos, without the first five 3 % (AVX-512).
_IN_FLOAT = 5


def quantized(network: onnx.ModelProto, photos: Sequence[Photo], views: Views) -> onnx.ModelProto:
    """Return a network's graph with convolutions and matrix products in 8-bit integers.

    The first convolutions stay in float32. Weights are quantised by channel, to 7 of the 8 bits, so that the
    graph answers alike on all processors; activations by their minimum and maximum on the photos.

    Args:
        network: A graph from `pixel_names` to ``logits``.
        photos: Photos like those the model will see.
        views: Preprocessing of each input.

    Raises:
        DataError: There are no photos.
        ImageError: A photo cannot be read.
    """
    if not photos:
        raise DataError("there are no photos to calibrate with.")
    quantization: Any = need("onnxruntime.quantization")
    dataset = PhotoDataset([photos[i] for i in _evenly(len(photos))], views)
    names = pixel_names(len(views.each))

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[dict[str, np.ndarray]] = (
                {name: view[None].numpy() for name, view in zip(names, views_for(dataset[i][0]), strict=True)}
                for i in range(len(dataset))
            )

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "network.onnx"
        quantization.quantize_static(
            network,
            path,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            # Processors without VNNI add two products in 16 bits, which overflow with weights of all 8 bits.
            reduce_range=True,
            nodes_to_exclude=_first_convolutions(network),
        )
        return need("onnx").load(str(path))


def _evenly(count: int) -> list[int]:
    kept = min(count, MAX_PHOTOS)
    return [index * count // kept for index in range(kept)]


def _first_convolutions(network: onnx.ModelProto) -> list[str]:
    """Return the names of the first convolutions of each network in the graph."""
    names: list[str] = []
    depths: dict[str, int] = {}
    for node in network.graph.node:  # in topological order
        depth = max((depths.get(name, 0) for name in node.input), default=0)
        if node.op_type == "Conv":
            depth += 1
            if depth <= _IN_FLOAT:
                names.append(node.name)
        depths.update(dict.fromkeys(node.output, depth))
    return names
