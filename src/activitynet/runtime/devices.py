"""Devices, cores and memory of this machine."""

from __future__ import annotations

import ctypes
import os
import sys

import torch
from torch import nn

from activitynet.errors import ModelError


def best_device() -> torch.device:
    """Return the accelerator of this process (by ``LOCAL_RANK``), or the CPU if the machine has none."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device is None:
        return torch.device("cpu")
    return torch.device(device.type, int(os.environ.get("LOCAL_RANK", "0")))


def resolve_device(name: str | None) -> torch.device:
    """Return the device of a name; `None` takes `best_device`.

    Raises:
        ModelError: This machine has no such device.
    """
    if name is None:
        return best_device()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"{name!r} is not a device; use 'cpu', 'cuda', 'cuda:1' or 'mps'.") from error
    if device.type == "cpu":
        return device
    found = best_device().type
    if device.type != found:
        raise ModelError(f"this machine has no {device.type!r} device that torch can use; use {found!r}.")
    if device.index is not None and device.index >= (count := torch.accelerator.device_count()):
        raise ModelError(f"there is no {name!r}: this machine has {count} {found!r} device(s), from 0.")
    return device


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the model's parameters; the CPU for a model without any."""
    return next(model.parameters(), torch.empty(0)).device


def has_bf16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 natively, without emulation."""
    if device.type == "cpu":
        # torch has no public function for this yet. If these are removed, float32 is the safe choice.
        return any(
            getattr(torch.cpu, name, bool)()
            for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers() -> int:
    """Return the default number of loading processes: half the usable cores, between 1 and 8."""
    return min(8, max(1, usable_cores() // 2))


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Make glibc keep freed blocks of any size instead of returning them to the system.

    By default glibc maps, zeroes and unmaps the megabytes of each activation, at every layer of every batch.
    That takes a third of the time of a forward pass on a CPU. The setting lasts as long as the process, which
    then keeps its peak memory. Without glibc, this does nothing.
    """
    if sys.platform != "linux":
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    except (OSError, AttributeError):  # another C library
        return
