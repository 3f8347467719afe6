"""Graphs in 8-bit numbers, whose ranges are chosen by photos."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from activitynet.data.photos import Photo, PhotoDataset
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError
from activitynet.export.extras import need
from activitynet.export.quiet import quiet

if TYPE_CHECKING:
    import onnx

MAX_PHOTOS = 256
"""Photos that are looked at, evenly over those given."""


def quantized(network: onnx.ModelProto, photos: Sequence[Photo], preprocess: Preprocess) -> onnx.ModelProto:
    """Return a network's graph with its convolutions and matrix products in 8-bit whole numbers.

    Weights are quantised by channel, activations by the least and greatest values on the photos.

    Args:
        network: A graph from ``pixels`` to ``logits``.
        photos: Photos such as those it will see.
        preprocess: What turns a photo into ``pixels``.

    Raises:
        DataError: There are no photos.
        ImageError: A photo cannot be read.
    """
    if not photos:
        raise DataError("there are no photos to calibrate with.")
    quantization: Any = need("onnxruntime.quantization")
    dataset = PhotoDataset([photos[i] for i in _evenly(len(photos))], preprocess)

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[dict[str, np.ndarray]] = (
                {"pixels": dataset[i][0][None].numpy()} for i in range(len(dataset))
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
        )
        return need("onnx").load(str(path))


def _evenly(count: int) -> list[int]:
    kept = min(count, MAX_PHOTOS)
    return [index * count // kept for index in range(kept)]
