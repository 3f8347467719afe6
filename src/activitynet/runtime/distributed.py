"""Processes of a distributed run: ranks and collective operations.

Without `torchrun` (or another launcher) there is one process, and every function returns at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

import torch
import torch.distributed as dist

_Value = TypeVar("_Value")


def initialize(device: torch.device) -> None:
    """Join the process group, if a launcher started this process."""
    if "RANK" in os.environ and not dist.is_initialized():
        from accelerate import PartialState  # noqa: PLC0415  slow to import, rarely needed

        PartialState(cpu=device.type == "cpu")


def rank() -> int:
    """Return the rank of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main_process() -> bool:
    """Return whether this is the process that writes files and prints."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process reaches this call."""
    if world_size() > 1:
        dist.barrier()


def all_reduce_max(value: int, device: torch.device) -> int:
    """Return the maximum of a value over all processes."""
    if world_size() == 1:
        return value
    found = torch.tensor(value, device=device)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found.item())


def all_reduce_mean(value: torch.Tensor) -> torch.Tensor:
    """Return the mean of a tensor over all processes."""
    if world_size() > 1:
        dist.all_reduce(value, dist.ReduceOp.SUM)
        value /= world_size()
    return value


def broadcast_from_main(compute: Callable[[], _Value]) -> _Value:
    """Call ``compute`` in the main process only, and return its result in every process."""
    if world_size() == 1:
        return compute()
    box = [compute() if is_main_process() else None]
    dist.broadcast_object_list(box, src=0)
    return cast(_Value, box[0])


def broadcast_tensors(tensors: Iterable[torch.Tensor]) -> None:
    """Overwrite tensors with those of the main process."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def all_gather_interleaved(rows: torch.Tensor, total: int, device: torch.device) -> torch.Tensor:
    """Gather the rows of all processes, where each has computed every n-th row.

    Args:
        rows: Rows r, r + n, r + 2n, … of the result, for rank r of n.
        total: Number of rows of the result.
        device: Device for the communication between processes.

    Returns:
        All rows in order, on the CPU, without duplicates; the same in every process.
    """
    n = world_size()
    if n == 1:
        return rows
    longest = -(-total // n)
    padded = torch.zeros(longest, *rows.shape[1:], dtype=rows.dtype, device=device)
    padded[: len(rows)] = rows.to(device)
    gathered = [torch.empty_like(padded) for _ in range(n)]
    dist.all_gather(gathered, padded)
    return torch.stack(gathered, dim=1).flatten(0, 1)[:total].cpu()
