"""Randomness as a function of (seed, what, when), so that a resumed run needs no generator's state."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Literal

import torch


def derived_seed(seed: int, *parts: int | str) -> int:
    """Return a 63-bit seed that depends on all of its arguments and on nothing else."""
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def epoch_order(
    labels: Sequence[int], sampler: Literal["all", "balanced", "sqrt"], seed: int, epoch: int
) -> list[int]:
    """Return which photos an epoch shows, in order.

    A sampler that takes classes unevenly goes round each class's photos and goes on in the next epoch
    where it stopped. So how often two photos of a class have been shown never differs by more than one,
    within an epoch and over many.

    Args:
        labels: Class index of every training photo, at least one.
        sampler: ``"all"`` shows each photo once, ``"balanced"`` each class as often as another,
            ``"sqrt"`` in proportion to the square root of its number of photos.
        seed: Where the order comes from.
        epoch: Number of the epoch, from 0.

    Returns:
        As many indices into ``labels`` as it has entries.
    """
    shuffled = _permutation(len(labels), derived_seed(seed, "order", epoch))
    if sampler == "all":
        return shuffled.tolist()
    classes = torch.tensor(labels)
    mixed = _permutation(len(labels), derived_seed(seed, "classes"))
    by_class = mixed[classes[mixed].argsort(stable=True)]
    counts = classes.bincount().tolist()
    shares = [math.sqrt(count) if sampler == "sqrt" else float(count > 0) for count in counts]
    taken = [
        photos[(epoch * draws + torch.arange(draws)) % len(photos)]
        for photos, draws in zip(by_class.split(counts), _draws(shares, counts), strict=True)
        if draws
    ]
    return torch.cat(taken)[shuffled].tolist()


def _draws(shares: Sequence[float], counts: Sequence[int]) -> list[int]:
    """Split as many draws as there are photos by the classes' shares, by largest remainders.

    Of equal remainders, those of the classes with more photos come first.
    """
    total, whole = sum(counts), math.fsum(shares)
    exact = [total * share / whole for share in shares]
    draws = [math.floor(value) for value in exact]
    ranked = sorted(range(len(draws)), key=lambda label: (draws[label] - exact[label], -counts[label]))
    for label in ranked[: total - sum(draws)]:
        draws[label] += 1
    return draws


def _permutation(length: int, seed: int) -> torch.Tensor:
    return torch.randperm(length, generator=torch.Generator().manual_seed(seed))
