"""The process that tries things: it is started with their names, and writes a line of JSON for each."""

from __future__ import annotations

import copy
import io
import json
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

_SIDE, _CLASSES = 16, 3
_NEAR = 0.05  # what bfloat16 may move an answer of this network by

Details = dict[str, Any]


class _NothingToTryError(Exception):
    """There is no such device, or the package is not installed."""


def _torch() -> Details:
    import torch  # noqa: PLC0415  it is tried

    torch.ones(8, 8) @ torch.ones(8, 8)
    found: Details = {
        "torch": torch.__version__,
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "built for": f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU",
    }
    if getattr(torch.version, "hip", None):
        found["built for"] = f"ROCm {torch.version.hip}"
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    found["accelerator"] = str(accelerator) if accelerator else "none"
    if torch.cuda.is_available():
        found["cudnn"] = torch.backends.cudnn.version()
        found["GPUs"] = [_gpu(torch.cuda.get_device_properties(i)) for i in range(torch.cuda.device_count())]
    return found


def _gpu(properties: Any) -> str:
    return (
        f"{properties.name}, {properties.total_memory / 1e9:.0f} GB, "
        f"compute capability {properties.major}.{properties.minor}"
    )


def _torchvision() -> Details:
    import torch  # noqa: PLC0415
    from torchvision.ops import nms  # noqa: PLC0415  an operator of its own library, which has to fit torch

    nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    return {}


def _timm() -> Details:
    import timm  # noqa: PLC0415

    return {"description": f"{len(timm.list_models())} networks"}


def _photos() -> Details:
    from PIL import Image, features  # noqa: PLC0415

    from activitynet.data.decode import decode_image  # noqa: PLC0415

    can = ["jpeg", *(name for name in ("webp", "avif") if features.check(name))]
    for kind in [*can, "png"]:
        file = io.BytesIO()
        Image.new("RGB", (32, 24), (200, 40, 40)).save(file, kind)
        if decode_image(file.getvalue()).size != (32, 24):
            raise RuntimeError(f"a {kind} came out in another size")
    turbo = ", libjpeg-turbo" if features.check_feature("libjpeg_turbo") else ""
    return {"description": ", ".join([*can, "png"]) + turbo}


@cache
def _network() -> Any:
    import torch  # noqa: PLC0415

    import activitynet  # noqa: PLC0415

    torch.manual_seed(0)
    return activitynet.create_model("test_resnet_se", num_classes=_CLASSES).eval()


@cache
def _small() -> Any:
    """Return a network so small that its graph is made in a second or two."""
    import torch  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, _CLASSES)
    )
    network.num_classes = _CLASSES  # type: ignore[assignment]
    return network.eval()


def _networks() -> Details:
    import torch  # noqa: PLC0415

    from activitynet.runtime.devices import best_device, has_bf16  # noqa: PLC0415

    with torch.inference_mode():
        answers = _network()(torch.zeros(1, 3, 32, 32))
    if not answers.isfinite().all():
        raise RuntimeError("it answers with numbers that are not finite")
    bf16 = {kind: has_bf16(torch.device(kind)) for kind in ("cpu", best_device().type)}
    return {"bfloat16": ", ".join(kind for kind, has in bf16.items() if has) or "none"}


def _accelerator() -> Details:
    import torch  # noqa: PLC0415

    if not torch.accelerator.is_available():
        driver = Path("/proc/driver/nvidia/version").exists()
        raise _NothingToTryError(f"torch finds none{', though there is an NVIDIA driver' if driver else ''}")
    device = torch.accelerator.current_accelerator()
    network = copy.deepcopy(_small()).to(device)
    _compare(lambda images: network(images.to(device)).cpu())
    return {"description": str(device)}


def _engine(name: str) -> Callable[[], Details]:
    def tried() -> Details:
        from activitynet.export import installed  # noqa: PLC0415
        from activitynet.inference import engines  # noqa: PLC0415

        needed = () if name == "torch" else ("onnx", "onnxscript", name)
        if lacking := [package for package in needed if not installed(package)]:
            raise _NothingToTryError(f"{', '.join(lacking)} not installed")
        if name == "torch":
            engine: Any = engines.TorchEngine(_small())
        elif name == "onnxruntime":
            engine = engines.OnnxRuntimeEngine(_graph(), _CLASSES)
        else:
            engine = engines.OpenVinoEngine(_graph(), _CLASSES)
        _compare(engine)
        return {"description": engine.description}

    return tried


@cache
def _graph() -> bytes:
    from activitynet.export import network_graph  # noqa: PLC0415

    return network_graph(_small(), [(_SIDE, _SIDE)]).SerializeToString()


def _compare(run: Callable[[Any], Any]) -> None:
    import torch  # noqa: PLC0415

    images = torch.rand(2, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = _small()(images)
        answers = run(images)
    if not torch.allclose(answers, expected, atol=_NEAR):
        raise RuntimeError(f"its answers are off by {(answers - expected).abs().max():.3g}")


_TRIALS: dict[str, Callable[[], Details]] = {
    "torch": _torch,
    "torchvision": _torchvision,
    "timm": _timm,
    "photos": _photos,
    "networks": _networks,
    "accelerator": _accelerator,
    **{f"engine {name}": _engine(name) for name in ("torch", "onnxruntime", "openvino")},
}


def main(names: list[str]) -> None:
    """Try things by name, and write of each how it went."""
    for name in names:
        began = time.perf_counter()
        result: Details = {"name": name}
        try:
            result["details"] = _TRIALS[name]()
        except _NothingToTryError as nothing:
            result["skipped"] = str(nothing)
        except Exception as error:  # whatever it is, it is the answer
            said = " ".join(str(error).split()).rstrip(".")
            result["fault"] = f"{type(error).__name__}: {said}"[:300]
        result["seconds"] = round(time.perf_counter() - began, 3)
        print("\n" + json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
