"""The data set of augmented training photos: a function of seed, epoch and photo."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from activitynet.data.augment import Augment, BatchColorJitter, PhotoBatch, PhotoSample, SizedPhoto
from activitynet.data.cache import PhotoCache
from activitynet.data.dataset import Photo
from activitynet.data.decode import open_photo
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError
from activitynet.runtime.seeds import hash_seed


class AugmentedPhotos(Dataset[tuple[PhotoSample, int, int]]):
    """Labelled photos, augmented anew each epoch.

    An item is ``(sample, label, index)``, with a `PhotoSample`. `collate` makes a batch of items, and
    `color_jitter` turns a `PhotoBatch` into the network's input. Randomness depends on seed, epoch and index
    alone, not on the number of workers or on earlier draws.

    The crop is drawn before the photo is decoded, and a JPEG is decoded no larger than the crop needs.

    Args:
        photos: The photos, in the order of their indices.
        augment: How they are augmented.
        preprocess: Gives interpolation, mean and standard deviation, and whether photos are squashed. The
            random crop replaces its own.
        seed: Any whole number.
        size_at: Height and width of the images of epoch 1, 2 and so on; the last one applies to all later
            epochs. By default that of ``preprocess``.
        cache: Where photos are kept decoded. Pixels differ slightly with it (see `PhotoCache`).

    Attributes:
        color_jitter: Turns a `PhotoBatch` into the network's input.

    Raises:
        DataError: ``size_at`` is empty, or a size is out of range.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        augment: Augment,
        preprocess: Preprocess,
        *,
        seed: int = 0,
        size_at: Sequence[tuple[int, int]] | None = None,
        cache: PhotoCache | None = None,
    ) -> None:
        if size_at is not None and not size_at:
            raise DataError("size_at must hold the size of one epoch or more, got none.")
        self.photos = tuple(photos)
        self.seed = seed
        self.color_jitter = BatchColorJitter(augment, preprocess)
        self._augment = augment
        self._steps = augment.steps(fill=[round(255 * mean) for mean in preprocess.mean])
        self._at = [dataclasses.replace(preprocess, size=size) for size in size_at or [preprocess.size]]
        self._open: Callable[[Path], SizedPhoto] = open_photo if cache is None else cache.open
        # In shared memory, so that persistent workers see the next epoch.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 1, before iterating over it. Before the first call, it is the first epoch."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[PhotoSample, int, int]:
        """Return the photo, its label and its index.

        Raises:
            ImageError: The photo cannot be read.
        """
        epoch = int(self._epoch.item())
        preprocess = self._at[min(max(epoch, 1), len(self._at)) - 1]
        photo = self.photos[index]
        opened = self._open(photo.path)
        # Only the CPU's generator is seeded and restored: torch.manual_seed would reach the GPU's, too.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(hash_seed(f"{self.seed} {epoch} {index}"))
            crop = self._augment.draw_crop(opened.size, squash=preprocess.resize == "squash")
            pixels = crop.read(opened, preprocess)
            for step in self._steps:
                pixels = step(pixels)
            sample = self.color_jitter.draw(pixels.permute(1, 2, 0).contiguous())
        return sample, photo.label, index

    @staticmethod
    def collate(
        items: Sequence[tuple[PhotoSample, int, int]],
    ) -> tuple[PhotoBatch, NDArray[np.int64], NDArray[np.int64]]:
        """Return a batch with its labels and indices."""
        photos, labels, indices = zip(*items, strict=True)
        return PhotoBatch.of(photos), np.array(labels), np.array(indices)
