"""Selection of the photos of each step, as a function of seed and epoch."""

from __future__ import annotations

import itertools
import math
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from activitynet.data.augment import PhotoBatch
from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.loader import PhotoLoader
from activitynet.errors import TrainingError
from activitynet.runtime import distributed
from activitynet.runtime.seeds import derived_seed
from activitynet.training.recipe import Recipe


def epoch_order(
    labels: Sequence[int], sampler: Literal["all", "balanced", "sqrt"], seed: int, epoch: int
) -> list[int]:
    """Return the order of the photos in an epoch.

    ``"balanced"`` and ``"sqrt"`` cycle through the photos of each class and continue in the next epoch where
    they stopped. So the numbers of times that two photos of a class are shown never differ by more than one.

    Args:
        labels: Class index of every training photo, at least one.
        sampler: ``"all"`` shows each photo once, ``"balanced"`` each class equally often, ``"sqrt"`` in
            proportion to the square root of its number of photos.
        seed: Random seed.
        epoch: Number of the epoch, from 0.

    Returns:
        Indices into ``labels``, as many as there are labels.
    """
    shuffled = _permutation(len(labels), derived_seed(seed, "order", epoch))
    if sampler == "all":
        return shuffled.tolist()
    classes = torch.tensor(labels)
    permuted = _permutation(len(labels), derived_seed(seed, "classes"))
    by_class = permuted[classes[permuted].argsort(stable=True)]
    counts = classes.bincount().tolist()
    shares = [math.sqrt(count) if sampler == "sqrt" else float(count > 0) for count in counts]
    selected = [
        photos[(epoch * draws + torch.arange(draws)) % len(photos)]
        for photos, draws in zip(by_class.split(counts), _draws(shares, counts), strict=True)
        if draws
    ]
    return torch.cat(selected)[shuffled].tolist()


def _draws(shares: Sequence[float], counts: Sequence[int]) -> list[int]:
    """Return the number of draws per class in proportion to the shares, by the largest remainder method.

    Classes with more photos come first among equal remainders.
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


Part = tuple[PhotoBatch, NDArray[np.int64], NDArray[np.int64]]
"""Photos, labels and indices."""


class EpochBatches(Sampler[list[int]]):
    """Batch sampler that divides an epoch's photos into steps, parts of a step, and processes.

    The photos of a step do not depend on the number of processes and parts. The last, incomplete step of an
    epoch is dropped; the order and therefore the dropped photos differ between epochs.

    Args:
        labels: Class index of every photo.
        recipe: Gives the batch size, the parts and the sampler.
        seed: Random seed.

    Attributes:
        batch_size: Photos per step: the recipe's batch size, or less if there are fewer photos.
        steps: Steps per epoch.

    Raises:
        TrainingError: The batch cannot be divided evenly, or there are too few photos.
    """

    def __init__(self, labels: Sequence[int], recipe: Recipe, *, seed: int) -> None:
        self._labels, self._sampler, self._seed = labels, recipe.sampler, seed
        self._parts, self._ranks, self._rank = (
            recipe.grad_accum_steps,
            distributed.world_size(),
            distributed.rank(),
        )
        shares = self._parts * self._ranks
        if recipe.batch_size % shares:
            raise TrainingError(
                f"cannot divide a batch of {recipe.batch_size} evenly into {self._parts} parts on each of "
                f"{self._ranks} devices; choose a batch size that is a multiple of {shares}."
            )
        self._share = min(recipe.batch_size, len(labels)) // shares
        if self._share == 0:
            raise TrainingError(
                f"{len(labels)} photos are too few for {self._ranks} devices with {self._parts} parts each."
            )
        self.batch_size = self._share * shares
        self.steps = len(labels) // self.batch_size
        self._epoch, self._done = 1, 0

    def begin(self, epoch: int, done: int) -> None:
        """Set the epoch of the next iteration, and the number of its steps that are done."""
        self._epoch, self._done = epoch, done

    def __len__(self) -> int:
        return (self.steps - self._done) * self._parts

    def __iter__(self) -> Iterator[list[int]]:
        order = epoch_order(self._labels, self._sampler, self._seed, self._epoch)
        for step in range(self._done, self.steps):
            for part in range(self._parts):
                first = step * self.batch_size + (part * self._ranks + self._rank) * self._share
                yield order[first : first + self._share]


def training_loader(
    dataset: AugmentedPhotos, batches: EpochBatches, *, workers: int, device: torch.device
) -> PhotoLoader:
    """Return the loader of a run; its workers persist between epochs."""
    return PhotoLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=dataset.collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        worker_init_fn=_ignore_interrupts,
    )


def _ignore_interrupts(_: int) -> None:
    """Ignore Ctrl-C, which the terminal sends to every process; the main process handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def read_steps(parts: Iterable[Part], count: int) -> Iterator[list[Part]]:
    """Yield the parts of each step, ``count`` per step.

    Raises:
        ImageError: A photo can no longer be read.
        DataError: A loading process died.
    """
    batches = iter(parts)
    while step := list(itertools.islice(batches, count)):
        yield step
