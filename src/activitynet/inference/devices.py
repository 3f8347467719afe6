"""Which device there is, and what it computes in."""

from __future__ import annotations

import os

import torch
from torch import nn


def best_device() -> torch.device:
    """Return the machine's accelerator where it has one, this process's of several, or else the CPU."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device is None:
        return torch.device("cpu")
    return torch.device(device.type, int(os.environ.get("LOCAL_RANK", "0")))


def device_of(model: nn.Module) -> torch.device:
    """Return the device that the model's parameters are on: the CPU when it has none."""
    return next(model.parameters(), torch.empty(0)).device


def has_bf16(device: torch.device) -> bool:
    """Tell whether a device computes in bfloat16 rather than imitates it."""
    if device.type == "cpu":
        # No public name says it yet; without one, single precision is the safe answer.
        return any(
            getattr(torch.cpu, name, bool)()
            for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
