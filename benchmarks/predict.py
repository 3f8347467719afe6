"""How many images a second each engine looks at, next to the same network in eager float32.

    python benchmarks/predict.py
    python benchmarks/predict.py --models resnet18_se --sizes 224 --batches 1 --json results.json

Images are ready in memory: this is the forward pass alone. All ways take turns within one run, so that
whatever else the machine does is shared, and a ratio is the median of the turns' ratios. ``auto`` is what
``engine="auto"`` chose. Peak memory is that of a process of its own, which makes the way ready and runs it;
what it has after its imports is taken off.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pairing import Others, peak_memory, spread, write
from torch import Tensor

from activitynet import create_model
from activitynet.export import installed
from activitynet.inference import EngineName, compile_network

EAGER = "eager fp32"
ENGINES: tuple[EngineName, ...] = ("auto", "torch", "onnxruntime", "openvino")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["efficientnet_b0_se", "resnet18_se"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 224])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--turns", type=int, default=5, help="how often each way has its turn (default: 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn (default: 0.5)")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)  # engine, model, size, batch
    parser.add_argument("--json", type=Path, help="write the results here as well")
    arguments = parser.parse_args()

    if arguments.child:
        engine, name, size, batch = arguments.child
        print(json.dumps(memory_of(engine, name, int(size), int(batch))))
        return
    results, others = [], Others()
    print(
        f"{'model':20} {'px':>4} {'batch':>5} {'way':18} {'img/s':>8} {'ratio':>6}  least..greatest  peak MiB"
    )
    for name in arguments.models:
        torch.manual_seed(0)
        model = create_model(name, num_classes=20).eval()
        for size in arguments.sizes:
            ways = make_ways(model, size)
            for batch in arguments.batches:
                images = torch.randn(batch, 3, size, size)
                turns = [
                    {way: rate(run, images, arguments.seconds) for way, run in ways.items()}
                    for _ in range(arguments.turns)
                ]
                for way in ways:
                    peak = peak_of(way, name, size, batch)
                    ratio = spread([turn[way] / turn[EAGER] for turn in turns])
                    result = {
                        "model": name,
                        "size": size,
                        "batch": batch,
                        "way": way,
                        "images_per_second": statistics.median(turn[way] for turn in turns),
                        "ratio": ratio,
                        "peak_memory": peak,
                    }
                    results.append(result)
                    print(
                        f"{name:20} {size:4} {batch:5} {way:18} {result['images_per_second']:8.1f} "
                        f"{ratio['median']:6.2f}  {ratio['least']:.2f}..{ratio['greatest']:.2f}"
                        f"  {peak >> 20:15}",
                        flush=True,
                    )
    write(arguments.json, {"rows": results, "others": others.tell()}, "onnxruntime", "openvino")


def make_ways(model: torch.nn.Module, size: int) -> dict[str, Callable[[Tensor], Any]]:
    """Return every way to run the model that is installed here."""
    ways: dict[str, Callable[[Tensor], Any]] = {EAGER: model}
    for engine in ENGINES:
        if engine in ("auto", "torch") or installed(engine, "onnx", "onnxscript"):
            compiled = compile_network(model, (size, size), engine)
            name = compiled.description
            ways[f"auto ({name})" if engine == "auto" else name] = compiled
    return ways


def peak_of(way: str, name: str, size: int, batch: int) -> int:
    """Return the peak memory of one way, in bytes, from a process of its own."""
    engine = way.partition(" ")[0]
    done = subprocess.run(  # noqa: S603  this very program
        [sys.executable, __file__, "--child", engine, name, str(size), str(batch)],
        check=True,
        stdout=subprocess.PIPE,
    )
    return int(json.loads(done.stdout.splitlines()[-1]))


def memory_of(engine: str, name: str, size: int, batch: int) -> int:
    """Return by how much this process's peak grows when a way is made ready and runs."""
    before = peak_memory()
    model = create_model(name, num_classes=20).eval()
    run = model if engine == "eager" else compile_network(model, (size, size), engine)  # type: ignore[arg-type]
    with torch.inference_mode():
        for _ in range(3):
            run(torch.randn(batch, 3, size, size))
    return peak_memory() - before


def rate(run: Callable[[Tensor], Any], images: Tensor, seconds: float) -> float:
    """Return images a second, over at least ``seconds``."""
    with torch.inference_mode():
        run(images)
        done, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            run(images)
            done += len(images)
        return done / passed


if __name__ == "__main__":
    main()
