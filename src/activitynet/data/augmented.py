"""Training photos: cut out, mirrored and varied, in a way that depends on seed, epoch and photo alone."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from activitynet.data.augment import Augment, Light, RawBatch, RawPhoto, SizedPhoto
from activitynet.data.cache import PhotoCache
from activitynet.data.dataset import Photo
from activitynet.data.decode import open_photo
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError


class AugmentedPhotos(Dataset[tuple[RawPhoto, int, int]]):
    """Labelled photos, varied anew each epoch.

    An item is ``(raw, label, index)``, where ``raw`` are uint8 pixels and the light that was drawn for them.
    `collate` makes a batch of items, and `light` the network's input of a batch. What is random in an item
    depends on the seed, the epoch and the index alone: not on the number of workers, nor on what was drawn
    before.

    The crop is drawn before the photo is decoded, and a JPEG is decoded no larger than the crop needs.

    Args:
        photos: The photos, in the order of their indices.
        augment: What is varied, and how far.
        preprocess: Gives interpolation, mean and deviation, and whether photos are squashed; its own crop is
            replaced by the random one.
        seed: Any whole number.
        size_at: Height and width of the images of epoch 1, 2 and so on; the last holds from there on. By
            default that of ``preprocess``.
        cache: Where photos are kept decoded. What is seen differs a little with it (see `PhotoCache`).

    Attributes:
        light: Turns a `RawBatch` into the network's input.

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
        self.light = Light(augment, preprocess)
        self._augment = augment
        self._steps = augment.steps(fill=[round(255 * mean) for mean in preprocess.mean])
        self._at = [dataclasses.replace(preprocess, size=size) for size in size_at or [preprocess.size]]
        self._open: Callable[[Path], SizedPhoto] = open_photo if cache is None else cache.open
        # In shared memory, so that workers that outlive an epoch learn of the next.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Draw anew: call before each epoch, counted from 1. What comes before looks like the first."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[RawPhoto, int, int]:
        """Return the photo, its label and its index.

        Raises:
            ImageError: The photo cannot be read.
        """
        epoch = int(self._epoch.item())
        preprocess = self._at[min(max(epoch, 1), len(self._at)) - 1]
        photo = self.photos[index]
        opened = self._open(photo.path)
        key = f"{self.seed} {epoch} {index}".encode()
        # The CPU's generator alone is seeded and restored: torch.manual_seed would reach the GPU's, too.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(
                int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big", signed=True)
            )
            crop = self._augment.draw_crop(opened.size, squash=preprocess.resize == "squash")
            pixels = crop.read(opened, preprocess)
            for step in self._steps:
                pixels = step(pixels)
            raw = self.light.draw(pixels.permute(1, 2, 0).contiguous())
        return raw, photo.label, index

    @staticmethod
    def collate(
        items: Sequence[tuple[RawPhoto, int, int]],
    ) -> tuple[RawBatch, NDArray[np.int64], NDArray[np.int64]]:
        """Return the batch, the labels and the indices of items."""
        photos, labels, indices = zip(*items, strict=True)
        return RawBatch.of(photos), np.array(labels), np.array(indices)
