"""A model's outputs on labelled photos: what every score, plot and report is computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageStat
from torch import nn
from torch.utils.data import Dataset

from activitynet.data.dataset import Photo, SkippedPhoto, group_numbers
from activitynet.data.decode import decode_image
from activitynet.evaluation.metrics import Scores, score
from activitynet.evaluation.stats import Floats, Ints, log_softmax
from activitynet.inference.predict import forward_items


@dataclass(frozen=True, eq=False)
class Outputs:
    """A model's outputs on labelled photos.

    Attributes:
        photos: The photos, in the order of the rows.
        classes: Class names in the order of the columns.
        logits: The model's outputs before the temperature, float32 (N, classes).
        temperature: Logits are divided by it before the softmax.
        sizes: Width and height of each photo in pixels, int64 (N, 2).
        brightness: Mean luminance of each photo, float32 (N,), from 0 (black) to 1 (white).
        skipped: Photos without outputs, because they cannot be read.
    """

    photos: tuple[Photo, ...]
    classes: tuple[str, ...]
    logits: NDArray[np.float32]
    temperature: float
    sizes: Ints
    brightness: NDArray[np.float32]
    skipped: tuple[SkippedPhoto, ...] = ()

    @property
    def labels(self) -> Ints:
        """True class indices, (N,)."""
        return np.array([photo.label for photo in self.photos], dtype=np.int64)

    @property
    def groups(self) -> Ints:
        """Numbers of the photos' groups, (N,); a photo without one is a group of its own."""
        return group_numbers(self.photos)

    @property
    def predicted(self) -> Ints:
        """Index of the most probable class, (N,)."""
        return self.logits.argmax(axis=1)

    @property
    def log_probabilities(self) -> Floats:
        """Logarithms of probabilities, float64 (N, classes)."""
        return log_softmax(self.logits.astype(np.float64) / self.temperature)

    def scores(self) -> Scores:
        """Return accuracy, F1 and confusion."""
        return score(self.labels, self.predicted, self.classes, skipped=self.skipped)


class _InputsWithFacts(Dataset[tuple[Any, int, torch.Tensor]]):
    """Model inputs with what photos are sliced by: width, height and brightness."""

    def __init__(self, photos: Sequence[Photo], preprocess: Callable[[Image.Image], Any]) -> None:
        self._photos = photos
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> tuple[Any, int, torch.Tensor]:
        photo = self._photos[index]
        image = decode_image(photo.path)
        (mean,) = ImageStat.Stat(image.reduce(max(1, min(image.size) // 64)).convert("L")).mean
        facts = torch.tensor([*image.size, mean / 255], dtype=torch.float64)
        return self._preprocess(image), photo.label, facts


def collect_outputs(
    model: nn.Module,
    photos: Sequence[Photo],
    preprocess: Callable[[Image.Image], Any],
    classes: Sequence[str],
    *,
    temperature: float = 1.0,
    batch_size: int = 64,
    workers: int = 0,
) -> Outputs:
    """Run a model on labelled photos, in float32.

    Photos are read in batches and not kept. In a distributed run every process calls this at the same time,
    computes a share, and gets all outputs.

    Args:
        model: A zoo model with one output a class.
        photos: Labelled photos, at least one.
        preprocess: Turns a photo into the model's input.
        classes: Class names in the order of the outputs.
        temperature: Logits are divided by it before the softmax.
        batch_size: Photos a forward pass.
        workers: Processes that decode.

    Raises:
        ImageError: A photo cannot be read.
    """
    logits, (_, facts) = forward_items(
        model, _InputsWithFacts(photos, preprocess), batch_size=batch_size, workers=workers, shared=True
    )
    return Outputs(
        photos=tuple(photos),
        classes=tuple(classes),
        logits=logits.numpy(),
        temperature=temperature,
        sizes=facts[:, :2].long().numpy(),
        brightness=facts[:, 2].float().numpy(),
    )
