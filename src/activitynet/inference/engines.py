"""Engines: what a network runs on when it only predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from activitynet.data.views import Images, looks_of
from activitynet.errors import ModelError, WeightsError
from activitynet.export import LOGITS, fold_batch_norms, need, openvino_core, pixel_names
from activitynet.inference.devices import has_bf16

Precision: TypeAlias = Literal["fp32", "bf16"]


class Engine(nn.Module, ABC):
    """A network made ready to predict, and for nothing else.

    Attributes:
        description: What it runs on and in which numbers, such as ``"openvino bf16"``.
        num_classes: Its outputs.
    """

    description: str
    num_classes: int

    @abstractmethod
    def forward(self, pixels: Images) -> Tensor:
        """Turn float32 images (batch, 3, height, width) into float32 logits (batch, num_classes)."""


class TorchEngine(Engine):
    """torch with channels last, batch norms folded, and bfloat16 where the processor computes in it.

    Args:
        model: The network; it is not changed, and the engine stays on its device.
        precision: ``"fp32"``, ``"bf16"``, or `None` for what suits the processor.
    """

    def __init__(self, model: nn.Module, precision: Precision | None = None) -> None:
        super().__init__()
        device = next(model.parameters()).device
        precision = precision or ("bf16" if has_bf16(device) else "fp32")
        self.description = f"torch {precision}"
        self.num_classes = int(model.num_classes)  # type: ignore[arg-type]
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._network = fold_batch_norms(model).to(self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pixels: Images) -> Tensor:
        """See `Engine`."""
        (pixels,) = looks_of(pixels)
        return self._network(pixels.to(self._dtype, memory_format=torch.channels_last)).float()


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime on the CPU.

    Args:
        graph: An ONNX model from ``pixels`` to ``logits``, serialised.
        num_classes: Its outputs.
        precision: ``"fp32"`` or `None`, which is the same here.

    Raises:
        ModelError: The package is missing, or bfloat16 is asked for, which it lacks on CPUs.
        WeightsError: It cannot run the graph.
    """

    def __init__(self, graph: bytes, num_classes: int, precision: Precision | None = None) -> None:
        super().__init__()
        if precision == "bf16":
            raise ModelError("onnxruntime has no bfloat16 on CPUs; choose fp32, or another engine.")
        runtime: Any = need("onnxruntime")
        self.description = "onnxruntime fp32"
        self.num_classes = num_classes
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        try:
            self._session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # a graph from elsewhere can be wrong in any way
            raise WeightsError(f"onnxruntime cannot run the network: {error}") from error

    def forward(self, pixels: Images) -> Tensor:
        """See `Engine`."""
        looks = looks_of(pixels)
        inputs = zip(pixel_names(len(looks)), looks, strict=True)
        (logits,) = self._session.run([LOGITS], {name: look.contiguous().numpy() for name, look in inputs})
        return torch.from_numpy(logits)


def openvino_has_bf16() -> bool:
    """Tell whether OpenVINO computes in bfloat16 on this processor.

    Raises:
        ModelError: The package is missing.
    """
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU.

    Args:
        network: An OpenVINO model from ``pixels`` to ``logits``, or an ONNX one, serialised.
        num_classes: Its outputs.
        precision: ``"fp32"``, ``"bf16"``, or `None` for what suits the processor.

    Raises:
        ModelError: The package is missing, or bfloat16 is asked for where the processor has none.
        WeightsError: It cannot run the network.
    """

    def __init__(self, network: Any, num_classes: int, precision: Precision | None = None) -> None:
        super().__init__()
        core = openvino_core()
        # Elsewhere OpenVINO takes the hint, says nothing, and computes in float32.
        if precision == "bf16" and not openvino_has_bf16():
            raise ModelError(
                "openvino has no bfloat16 on this processor; choose fp32, or leave the precision out."
            )
        if precision is None:
            precision = "bf16" if openvino_has_bf16() else "fp32"
        self.description = f"openvino {precision}"
        self.num_classes = num_classes
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            if isinstance(network, bytes):
                network = core.read_model(network)
            self._request = core.compile_model(network, "CPU", options).create_infer_request()
        except Exception as error:  # a network from elsewhere can be wrong in any way
            raise WeightsError(f"openvino cannot run the network: {error}") from error

    def forward(self, pixels: Images) -> Tensor:
        """See `Engine`."""
        looks = [look.contiguous().numpy() for look in looks_of(pixels)]
        results = self._request.infer(looks, share_inputs=True)
        return torch.from_numpy(results[0].copy())
