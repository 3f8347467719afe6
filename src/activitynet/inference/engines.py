"""Inference engines: torch, ONNX Runtime and OpenVINO."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from activitynet.data.preprocess import Images, as_images, views_for
from activitynet.errors import ModelError, WeightsError, did_you_mean
from activitynet.export import (
    LOGITS,
    Contents,
    fold_batch_norms,
    installed,
    need,
    network_graph,
    openvino_core,
    pixel_names,
    read_onnx,
    read_openvino,
)
from activitynet.runtime.devices import has_bf16

Precision: TypeAlias = Literal["fp32", "bf16"]


class Engine(nn.Module, ABC):
    """A network compiled for inference.

    Attributes:
        description: Backend and precision, such as ``"openvino bf16"``.
        num_classes: Number of outputs.
    """

    description: str
    num_classes: int

    @abstractmethod
    def forward(self, pixels: Images) -> Tensor:
        """Turn float32 images (batch, 3, height, width) into float32 logits (batch, num_classes)."""


class TorchEngine(Engine):
    """torch with channels last, batch norms folded, and bfloat16 where the processor supports it.

    Args:
        model: The network. It is not changed; the engine uses its device.
        precision: ``"fp32"``, ``"bf16"``, or `None` for the processor's best.
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
        (pixels,) = views_for(pixels)
        return self._network(pixels.to(self._dtype, memory_format=torch.channels_last)).float()


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime on the CPU.

    Args:
        graph: An ONNX model from ``pixels`` to ``logits``, serialised.
        num_classes: Number of outputs.
        precision: ``"fp32"`` or `None`, which means the same.

    Raises:
        ModelError: The package is missing, or bfloat16 is requested, which it lacks on CPUs.
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
        except Exception as error:  # a foreign graph can fail in any way
            raise WeightsError(f"onnxruntime cannot run the network: {error}") from error

    def forward(self, pixels: Images) -> Tensor:
        """See `Engine`."""
        views = views_for(pixels)
        inputs = zip(pixel_names(len(views)), views, strict=True)
        (logits,) = self._session.run([LOGITS], {name: view.contiguous().numpy() for name, view in inputs})
        return torch.from_numpy(logits)


def openvino_has_bf16() -> bool:
    """Return whether OpenVINO computes in bfloat16 on this processor.

    Raises:
        ModelError: The package is missing.
    """
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU.

    Args:
        network: An OpenVINO model from ``pixels`` to ``logits``, or an ONNX one, serialised.
        num_classes: Number of outputs.
        precision: ``"fp32"``, ``"bf16"``, or `None` for the processor's best.

    Raises:
        ModelError: The package is missing, or the processor has no bfloat16 and it is asked for.
        WeightsError: It cannot run the network.
    """

    def __init__(self, network: Any, num_classes: int, precision: Precision | None = None) -> None:
        super().__init__()
        core = openvino_core()
        # Without support, OpenVINO accepts the hint and silently computes in float32.
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
        except Exception as error:  # a foreign network can fail in any way
            raise WeightsError(f"openvino cannot run the network: {error}") from error

    def forward(self, pixels: Images) -> Tensor:
        """See `Engine`."""
        views = [view.contiguous().numpy() for view in views_for(pixels)]
        results = self._request.infer(views, share_inputs=True)
        return torch.from_numpy(results[0].copy())


EngineName: TypeAlias = Literal["auto", "torch", "onnxruntime", "openvino"]

_Makers: TypeAlias = Mapping[str, Callable[[], Engine]]
_RACE_BATCH, _RACE_TURNS, _RACE_CALLS = 8, 2, 4
_log = logging.getLogger(__name__)


def compile_network(
    model: nn.Module, size: tuple[int, int], engine: EngineName = "auto", precision: Precision | None = None
) -> Engine:
    """Compile a network for fast inference.

    Args:
        model: A zoo model. It is not changed.
        size: Height and width of its input.
        engine: The backend; ``"auto"`` tries those installed and takes the fastest.
        precision: ``"fp32"`` or ``"bf16"``; `None` takes bfloat16 where engine and processor support it.

    Raises:
        ModelError: The engine is unknown, not installed, cannot run the network, or lacks bfloat16.
    """
    _check(engine, precision)
    on_cpu = next(model.parameters()).device.type == "cpu"
    if not on_cpu and engine not in ("auto", "torch"):
        raise ModelError(f"{engine} runs on the CPU, and the model is on another device: pass device='cpu'.")
    classes = int(model.num_classes)  # type: ignore[arg-type]

    @cache
    def graph() -> bytes:
        return network_graph(model, [size]).SerializeToString()

    makers: dict[str, Callable[[], Engine]] = {"torch": lambda: TorchEngine(model, precision)}
    if engine != "auto" or (on_cpu and installed("onnx", "onnxscript")):
        makers["onnxruntime"] = lambda: OnnxRuntimeEngine(graph(), classes, precision)
        makers["openvino"] = lambda: OpenVinoEngine(graph(), classes, precision)
    return _chosen(makers, engine, precision, [size])


def load_exported(
    path: Path, engine: EngineName = "auto", precision: Precision | None = None
) -> tuple[Engine, Contents]:
    """Load an exported file for inference.

    The engine runs the part between preprocessing and probabilities; the metadata give the rest. No pickle is
    read, and no other file except the ``.bin`` of an ``.xml``.

    Args:
        path: A file that ends in ``.onnx`` or ``.xml``.
        engine: The backend; an ``.xml`` runs on openvino only.
        precision: ``"fp32"`` or ``"bf16"``; `None` takes bfloat16 where engine and processor support it.

    Returns:
        The engine, from preprocessed photos to logits, and the file's contents.

    Raises:
        ModelError: The engine cannot run such files, is not installed, or lacks bfloat16.
        WeightsError: The file cannot be read, or is not one that activitynet exported.
    """
    _check(engine, precision)
    suffix, name = path.suffix.lower(), repr(str(path))
    if suffix == ".pt2":
        raise ModelError(
            f"{name} is not loaded: torch reads such files by unpickling, which can run code. Load the "
            "weights folder, or export to onnx or openvino."
        )
    if suffix == ".onnx":
        graph, contents = read_onnx(path)
        classes = len(contents.card.classes)
        makers: _Makers = {
            "onnxruntime": lambda: OnnxRuntimeEngine(graph, classes, precision),
            "openvino": lambda: OpenVinoEngine(graph, classes, precision),
        }
    elif suffix == ".xml":
        network, contents = read_openvino(path)
        classes = len(contents.card.classes)
        makers = {"openvino": lambda: OpenVinoEngine(network, classes, precision)}
    else:
        raise WeightsError(f"{name} is neither a weights folder nor a file that ends in .onnx or .xml.")
    if engine != "auto" and engine not in makers:
        raise ModelError(f"{engine} does not run {name}; choose {' or '.join(makers)}.")
    return _chosen(makers, engine, precision, contents.sizes), contents


def _check(engine: str, precision: str | None) -> None:
    for kind, name, choices in (
        ("engine", engine, get_args(EngineName)),
        ("precision", precision, (None, *get_args(Precision))),
    ):
        if name not in choices:
            known = [choice for choice in choices if choice is not None]
            raise ModelError(
                f"unknown {kind} {name!r}.{did_you_mean(str(name), known)} Choose from: {', '.join(known)}."
            )


def _chosen(
    makers: _Makers, engine: EngineName, precision: Precision | None, sizes: Sequence[tuple[int, int]]
) -> Engine:
    if engine != "auto":
        return makers[engine]()
    present = [name for name in makers if name == "torch" or installed(name)]
    if not present:
        raise ModelError(f"no engine is installed for this file: pip install {' or '.join(makers)}.")
    possible = [name for name in present if precision != "bf16" or _has_bf16(name)]
    if not possible:
        raise ModelError(f"no bfloat16 on this processor with {' or '.join(present)}; choose fp32.")
    engines = [makers[name]() for name in possible]
    if len(engines) == 1:
        _log.info("engine: %s", engines[0].description)
        return engines[0]
    rates = _rates(engines, sizes)
    best, *others = sorted(engines, key=lambda each: -rates[each.description])
    _log.info(
        "engine: %s, %.0f images a second (%s)",
        best.description,
        rates[best.description],
        ", ".join(f"{each.description} {rates[each.description]:.0f}" for each in others),
    )
    return best


def _has_bf16(engine: str) -> bool:
    """Return whether an engine runs in bfloat16 here. torch always does, slowly without hardware support."""
    return engine == "torch" or (engine == "openvino" and openvino_has_bf16())


def _rates(engines: list[Engine], sizes: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Return the images a second of each engine at its best, in turns of several calls.

    The first call of a turn is slow: the previous engine's threads still spin, and its data fill the caches.
    """
    generator = torch.Generator().manual_seed(0)
    device = next((tensor.device for engine in engines for tensor in engine.parameters()), "cpu")
    batch = as_images([torch.randn(_RACE_BATCH, 3, *size, generator=generator).to(device) for size in sizes])
    fastest = {engine.description: float("inf") for engine in engines}
    with torch.inference_mode():
        for engine in _RACE_TURNS * engines:
            for _ in range(_RACE_CALLS):
                began = time.perf_counter()
                engine(batch)
                fastest[engine.description] = min(fastest[engine.description], time.perf_counter() - began)
    return {name: _RACE_BATCH / seconds for name, seconds in fastest.items()}
