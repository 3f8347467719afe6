"""Randomness as a function of (seed, what, when), so that a resumed run needs no generator's state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


def derived_seed(seed: int, *parts: int | str) -> int:
    """Return a 63-bit seed that depends on all of its arguments and on nothing else."""
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


class EpochSampler(Sampler[int]):
    """Visits every photo once an epoch, in an order that is a function of (seed, epoch)."""

    def __init__(self, length: int, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Go on to another epoch's order; accelerate calls this by name."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "order", self.epoch))
        yield from torch.randperm(self.length, generator=generator).tolist()
