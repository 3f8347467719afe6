"""Which photos each step learns from, on which device, and in how many parts."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from activitynet import ranks
from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.light import RawBatch
from activitynet.data.loading import batches_of
from activitynet.errors import TrainingError
from activitynet.training.order import epoch_order
from activitynet.training.recipe import Recipe

Part = tuple[RawBatch, NDArray[np.int64], NDArray[np.int64]]
"""Photos, labels and indices."""


class EpochBatches(Sampler[list[int]]):
    """Deals an epoch's photos out: to steps, then to the parts of a step, then to ranks.

    The photos of a step are the same however many ranks and parts share them. The few that do not fill a last
    step are left out, other ones each epoch.

    Args:
        labels: Class index of every photo.
        recipe: Gives the batch size, the parts and the sampler.
        seed: With the epoch, fixes the order.

    Attributes:
        batch_size: Photos a step: the recipe's, or all there are where they are fewer.
        steps: Steps an epoch.

    Raises:
        TrainingError: The batch cannot be dealt out evenly, or there are too few photos.
    """

    def __init__(self, labels: Sequence[int], recipe: Recipe, *, seed: int) -> None:
        self._labels, self._sampler, self._seed = labels, recipe.sampler, seed
        self._parts, self._ranks, self._rank = recipe.accumulate, ranks.count(), ranks.rank()
        shares = self._parts * self._ranks
        if recipe.batch_size % shares:
            raise TrainingError(
                f"a batch of {recipe.batch_size} cannot be dealt out evenly to {self._ranks} devices in "
                f"{self._parts} parts each; choose a batch size that {shares} divides."
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
        """Set the epoch that the next iteration goes through, and how many steps of it are done."""
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
) -> DataLoader[Any]:
    """Return the loader of a run; its workers live as long as it does."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=dataset.collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        worker_init_fn=_ignore_interrupts,
    )


def _ignore_interrupts(_: int) -> None:
    """Leave Ctrl-C, which reaches every process of the terminal, to the main one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def read_steps(parts: Iterable[Part], count: int) -> Iterator[list[Part]]:
    """Yield the parts of one step after the other, so many each.

    Raises:
        ImageError: A photo can no longer be read.
        DataError: A process that loads photos has died.
    """
    batches = batches_of(parts)
    while step := list(itertools.islice(batches, count)):
        yield step
