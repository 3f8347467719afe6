"""Devices, cores and memory of this machine."""

from __future__ import annotations

import ctypes
import os
import sys

import torch
from torch import nn

from activitynet.errors import ModelError


def best_device() -> torch.device:
    """Return the machine's accelerator where it has one, this process's of several, or else the CPU."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device is None:
        return torch.device("cpu")
    return torch.device(device.type, int(os.environ.get("LOCAL_RANK", "0")))


def resolve_device(name: str | None) -> torch.device:
    """Return a device by its name; `None` takes `best_device`.

    Raises:
        ModelError: There is no such device on this machine.
    """
    if name is None:
        return best_device()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"{name!r} is no device; use 'cpu', 'cuda', 'cuda:1' or 'mps'.") from error
    if device.type == "cpu":
        return device
    found = best_device().type
    if device.type != found:
        raise ModelError(f"this machine has no {device.type!r} device that torch can use; use {found!r}.")
    if device.index is not None and device.index >= (count := torch.accelerator.device_count()):
        raise ModelError(f"there is no {name!r}: this machine has {count} {found!r} device(s), from 0.")
    return device


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


def default_workers() -> int:
    """Return how many processes load photos by default: half the usable cores, from one to eight."""
    return min(8, max(1, usable_cores() // 2))


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Tell glibc to keep freed blocks, however large, for the next batch instead of giving them back.

    A network's activations are blocks of megabytes. By default each is mapped, zeroed page by page and
    unmapped again, at every layer of every batch: a third of the time of a forward pass on a CPU. It holds
    for the rest of the process, which afterwards keeps the memory of its largest moment. Does nothing where
    there is no glibc.
    """
    if sys.platform != "linux":
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    except (OSError, AttributeError):  # another C library
        return
