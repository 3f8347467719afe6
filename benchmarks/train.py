"""How many photos a second a training step learns from, ours and timm's, in turns in one run.

    python benchmarks/train.py
    python benchmarks/train.py --models efficientnet_b0_se --sizes 224 --json train.json

A step is forward, cross-entropy, backward and AdamW, on random images that are in memory already: nothing is
decoded. Each network takes part in several settings, so that a peer is met at its best one. Every round
measures all of them once; a ratio is that of one round, given as the median and the range over the rounds.

Compiled settings compile before the first round; how long that took is in the table. What other programs
took of the processor meanwhile is told: much more than nothing, and the figures are not worth keeping.

The floor is what the convolutions' and matrix products' arithmetic alone would take at the speed of a large
bfloat16 matrix product, measured in every round too.
"""

from __future__ import annotations

import argparse
import gc
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from pairing import Others, timed, write
from torch import nn
from torch.nn import functional as F

from activitynet.blocks import set_fused
from activitynet.runtime.devices import keep_freed_memory
from activitynet.zoo import create_model
from activitynet.zoo.build import count_macs

PEERS = {"resnet18_se": "resnet18", "efficientnet_b0_se": "efficientnet_b0"}
CLASSES = 20
SIDE = 2048  # of the matrices whose product tells how fast the machine is


@dataclass(frozen=True)
class Setting:
    """A network and how it is trained."""

    make: Callable[[], nn.Module]
    bf16: bool
    channels_last: bool
    compiled: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 224], help="sides of the images")
    parser.add_argument("--batch", type=int, default=32, help="images a step (default: 32)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--compile-peers", action="store_true", help="meet peers compiled too: minutes each")
    parser.add_argument("--json", type=Path, help="write the results here too")
    arguments = parser.parse_args()

    keep_freed_memory()  # as training does
    results = [
        measure(model, size, arguments.batch, arguments.rounds, compile_peers=arguments.compile_peers)
        for model in arguments.models
        for size in arguments.sizes
    ]
    write(arguments.json, results, "timm")


def settings(model: str, *, compile_peers: bool) -> dict[str, Setting]:
    """Return the settings to measure by name: ours first, then its plain form, then the peer's."""

    def ours() -> nn.Module:
        return create_model(model, num_classes=CLASSES)

    def fused() -> nn.Module:
        network = ours()
        set_fused(network, True)
        return network

    def peer() -> nn.Module:
        return timm.create_model(PEERS[model], num_classes=CLASSES)

    can_fuse = set_fused(ours(), False)
    found = {"ours": Setting(fused if can_fuse else ours, bf16=True, channels_last=True)}
    if can_fuse:
        found["ours, compile = false"] = Setting(ours, bf16=True, channels_last=True)
    found["ours, eager fp32"] = Setting(ours, bf16=False, channels_last=False)
    for bf16 in (False, True):
        name = f"timm {PEERS[model]}, {'bf16' if bf16 else 'fp32'}"
        found[name] = Setting(peer, bf16=bf16, channels_last=False)
        found[f"{name}, channels-last"] = Setting(peer, bf16=bf16, channels_last=True)
        if compile_peers:
            found[f"{name}, channels-last, compiled"] = Setting(peer, bf16, channels_last=True, compiled=True)
    return found


def stepper(setting: Setting, images: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    torch.manual_seed(0)
    model = setting.make().train()
    if setting.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    forward = torch.compile(model) if setting.compiled else model

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=setting.bf16):
            logits = forward(images).float()
        F.cross_entropy(logits, labels).backward()
        optimizer.step()

    return step


def measure(model: str, size: int, batch: int, rounds: int, *, compile_peers: bool) -> dict[str, Any]:
    torch.manual_seed(0)
    images, labels = torch.randn(batch, 3, size, size), torch.randint(CLASSES, (batch,))
    steps, warmups, seconds = {}, {}, {}
    for name, setting in settings(model, compile_peers=compile_peers).items():
        steps[name] = stepper(setting, images, labels)
        warmups[name] = timed(steps[name])
        steps[name]()
        seconds[name] = []
    product, product_seconds = matrix_product(), []
    product()
    others = Others()
    for _ in range(rounds):
        product_seconds.append(timed(product))
        for name, step in steps.items():
            seconds[name].append(timed(step))
    share = others.share()
    flops = step_flops(model, size)
    speed = 2 * SIDE**3 / statistics.median(product_seconds)
    steps.clear()
    gc.collect()
    best_peer = min(
        (name for name in seconds if name.startswith("timm")), key=lambda n: statistics.median(seconds[n])
    )
    print(f"\n{model}, {size} pixels, batch {batch}; other programs took {share:.0%} of the processor")
    print(
        f"floor: {flops / 1e9:.2f} GFLOP an image, {speed / 1e9:.0f} GFLOP/s in a {SIDE}³ bfloat16 product: "
        f"at most {speed / flops:.0f} images/s"
    )
    print(f"{'':44} first step  images/s  ours is so many times as fast")
    rows = []
    for name, taken in seconds.items():
        ratios = sorted(theirs / ours for theirs, ours in zip(taken, seconds["ours"], strict=True))
        rows.append(
            {
                "name": name,
                "first_step_seconds": round(warmups[name], 2),
                "images_per_second": round(batch / statistics.median(taken), 1),
                "ours_times_as_fast": {"median": round(statistics.median(ratios), 2), "rounds": ratios},
            }
        )
        print(
            f"{name + (' (best)' if name == best_peer else ''):44} {warmups[name]:8.1f} s "
            f"{batch / statistics.median(taken):9.1f}  {statistics.median(ratios):5.2f}  "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )
    return {
        "model": model,
        "size": size,
        "batch": batch,
        "best_peer": best_peer,
        "others": round(share, 3),
        "floor": {
            "flops_per_image": flops,
            "flops_per_second": round(speed),
            "images_per_second": round(speed / flops, 1),
        },
        "rows": rows,
    }


def matrix_product() -> Callable[[], object]:
    factor = torch.randn(SIDE, SIDE, dtype=torch.bfloat16)
    return lambda: factor @ factor


def step_flops(model: str, size: int) -> int:
    """Return the floating-point operations of a step an image: forward, and twice that backward."""
    with torch.device("meta"):
        network = create_model(model, num_classes=CLASSES)
    return 3 * 2 * count_macs(network, (3, size, size))


if __name__ == "__main__":
    main()
