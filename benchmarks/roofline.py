"""How near to this machine's own limits our networks predict and learn, and what the rest is spent on.

    python benchmarks/roofline.py
    python benchmarks/roofline.py --models resnet18_se --sizes 224 --json roofline.json

A layer takes at least as long as its arithmetic does at the speed of a large bfloat16 matrix product, and at
least as long as reading its input and weights and writing its output does at the speed of a large copy. The
sum over the layers of the greater of the two is the floor. A network that fuses layers, or keeps maps in the
cache, may go below it. A training step is counted as three forward passes.

Both speeds are measured in every round, in turns with the networks.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pairing import Others, in_turns, timed, write
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from train import CLASSES, SIDE, Setting, matrix_product, stepper

from activitynet.blocks import set_fused
from activitynet.inference import compile_network
from activitynet.runtime.devices import keep_freed_memory
from activitynet.zoo import create_model

MODELS = ("resnet18_se", "efficientnet_b0_se")
COPIED = 2**28  # bytes, far more than any cache holds
WIDTH = 2  # bytes of a bfloat16 number


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 224], help="sides of the images")
    parser.add_argument("--batch", type=int, default=32, help="images at once (default: 32)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--json", type=Path, help="write the results here too")
    arguments = parser.parse_args()
    keep_freed_memory()
    results = [
        measure(model, size, arguments.batch, arguments.rounds)
        for model in arguments.models
        for size in arguments.sizes
    ]
    write(arguments.json, results, "openvino")


def measure(name: str, size: int, batch: int, rounds: int) -> dict[str, Any]:
    """Measure one network at one size beside the floor."""
    torch.manual_seed(0)
    images, labels = torch.randn(batch, 3, size, size), torch.randint(CLASSES, (batch,))
    model = create_model(name, num_classes=CLASSES).eval()
    layers = costs(model, images)
    engine = compile_network(model, (size, size))

    def learner() -> nn.Module:
        network = create_model(name, num_classes=CLASSES)
        set_fused(network, True)
        return network

    learn = stepper(Setting(learner, bf16=True, channels_last=True), images, labels)
    ways: dict[str, Callable[[], object]] = {
        "product": matrix_product(),
        "copy": copying(),
        "predict": lambda: engine(images),
        "learn": learn,
    }
    with torch.inference_mode(False):
        for run in ways.values():
            run()
            run()
        others = Others()
        seconds = in_turns({way: lambda run=run: timed(run) for way, run in ways.items()}, rounds)
        share = others.share()
    product, copy, predict, step = (statistics.median(taken) for taken in seconds.values())
    speed, width = 2 * SIDE**3 / product, 2 * COPIED / copy  # a copy reads and writes
    floor = sum(max(flops / speed, moved / width) for flops, moved in layers)
    flops, moved = (sum(column) for column in zip(*layers, strict=True))
    print(f"\n{name}, {size} pixels, batch {batch}; other programs took {share:.0%} of the processor")
    print(f"machine: {speed / 1e9:.0f} GFLOP/s in bfloat16, {width / 1e9:.1f} GB/s")
    print(f"an image: {flops / batch / 1e9:.2f} GFLOP, {moved / batch / 1e6:.0f} MB moved layer by layer")
    rows = []
    for what, least, taken in (("predict", floor, predict), ("learn", 3 * floor, step)):
        rows.append({"way": what, "floor_seconds": least, "seconds": taken})
        print(
            f"{what:8} {batch / taken:7.0f} images/s, floor {batch / least:7.0f}: "
            f"{taken / least:.2f} times as long ({engine.description if what == 'predict' else 'torch'})"
        )
    spent = where_time_goes(learn)
    print("a step is spent on " + ", ".join(f"{what} {part:.0%}" for what, part in spent.items()))
    return {
        "model": name,
        "size": size,
        "batch": batch,
        "others": round(share, 3),
        "flops_per_second": speed,
        "bytes_per_second": width,
        "flops": flops,
        "bytes": moved,
        "rows": rows,
        "step": spent,
    }


def costs(model: nn.Module, images: torch.Tensor) -> list[tuple[int, int]]:
    """Return floating-point operations and bytes moved of each layer, forward, in bfloat16."""
    found: list[tuple[int, int]] = []
    counter = FlopCounterMode(display=False)
    before: dict[nn.Module, int] = {}

    def enter(layer: nn.Module, _: Any) -> None:
        before[layer] = counter.get_total_flops()

    def leave(layer: nn.Module, inputs: Any, output: Any) -> None:
        numbers = sum(tensor.numel() for tensor in (*inputs, output) if isinstance(tensor, torch.Tensor))
        numbers += sum(weight.numel() for weight in layer.parameters())
        found.append((counter.get_total_flops() - before[layer], WIDTH * numbers))

    leaves = [layer for layer in model.modules() if not any(layer.children())]
    handles = [layer.register_forward_pre_hook(enter) for layer in leaves]
    handles += [layer.register_forward_hook(leave) for layer in leaves]
    with counter, torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    return found


def copying() -> Callable[[], object]:
    """Return what copies `COPIED` bytes."""
    source, target = torch.zeros(COPIED // 4), torch.zeros(COPIED // 4)
    return lambda: target.copy_(source)


KINDS = {
    "convolutions": ("conv", "mm", "linear"),
    "norms, activations and gates": (
        "norm",
        "mish",
        "silu",
        "sigmoid",
        "hardtanh",
        "relu",
        "mean",
        "graph",
        "fused",
    ),
    "the optimiser": ("adam", "foreach", "lerp", "addcmul", "addcdiv", "sqrt"),
    "moving and converting": ("copy", "::to", "contiguous", "empty", "zero", "fill", "clone"),
}


def where_time_goes(step: Callable[[], None]) -> dict[str, float]:
    """Return the shares of kinds of operations in a step's own time."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        step()
    spent: Counter[str] = Counter()
    for event in found.key_averages():
        name = event.key.lower()
        kind = next(
            (kind for kind, words in KINDS.items() if any(word in name for word in words)), "the rest"
        )
        spent[kind] += event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: round(time / total, 3) for kind, time in spent.most_common()}


if __name__ == "__main__":
    main()
