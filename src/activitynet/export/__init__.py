"""Files that run without this library: ONNX, OpenVINO and torch, with the preprocessing inside."""

from activitynet.export.contents import Contents, installed, need
from activitynet.export.files import FORMATS, Format, export_model, is_exported
from activitynet.export.onnx import LOGITS, fold_batch_norms, network_graph, pixel_names, read_onnx
from activitynet.export.openvino import openvino_core, read_openvino

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
