"""Files that run without this library: ONNX, OpenVINO and torch, with the preprocessing inside."""

from activitynet.export.contents import Contents
from activitynet.export.extras import installed, need
from activitynet.export.files import FORMATS, Format, export_model, is_exported
from activitynet.export.fold import fold_batch_norms
from activitynet.export.graph import LOGITS, network_graph, pixel_names, read_onnx
from activitynet.export.openvino_file import openvino_core, read_openvino

__all__ = [
    "FORMATS",
    "LOGITS",
    "Contents",
    "Format",
    "export_model",
    "fold_batch_norms",
    "installed",
    "is_exported",
    "need",
    "network_graph",
    "openvino_core",
    "pixel_names",
    "read_onnx",
    "read_openvino",
]
