"""The processes of one distributed run: which of them this is, and what they tell one another.

Without `torchrun` (or another launcher) there is one, and everything here is a matter of course.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

import torch
import torch.distributed as dist

_Value = TypeVar("_Value")


def initialize(device: torch.device) -> None:
    """Meet the other processes of this run, if a launcher started several."""
    if "RANK" in os.environ and not dist.is_initialized():
        from accelerate import PartialState  # noqa: PLC0415  slow to import, seldom needed

        PartialState(cpu=device.type == "cpu")


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main_process() -> bool:
    """Tell whether this is the process that writes and prints."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process has come here."""
    if world_size() > 1:
        dist.barrier()


def all_reduce_max(value: int, device: torch.device) -> int:
    """Return the greatest of all processes' values."""
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
    """Return what the main process computes, in every process; the others wait for it."""
    if world_size() == 1:
        return compute()
    box = [compute() if is_main_process() else None]
    dist.broadcast_object_list(box, src=0)
    return cast(_Value, box[0])


def broadcast_tensors(tensors: Iterable[torch.Tensor]) -> None:
    """Overwrite the tensors with the main process's."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def all_gather_interleaved(rows: torch.Tensor, total: int, device: torch.device) -> torch.Tensor:
    """Put together the rows of all processes, of which each has computed every n-th.

    Args:
        rows: This process's: rows r, r + n, r + 2n, … of the whole, for rank r of n.
        total: Rows of the whole.
        device: What the processes talk over.

    Returns:
        All rows in their order, on the CPU; the same in every process, and none twice.
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
