"""Random crops that are drawn before a photo is decoded, so that no more of it is decoded than they need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

from activitynet.data.preprocess import Preprocess

_TRIES = 10  # as in torchvision: then the largest centred crop of a shape within bounds


class SizedPhoto(Protocol):
    """A photo whose size is known before it is decoded: an `OpenPhoto`, or one from a `PhotoCache`."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole photo, upright."""

    def decode(self, *, at_least: tuple[int, int] | None = None) -> Image.Image | NDArray[np.uint8]:
        """Return it as an RGB image or uint8 (H, W, 3), perhaps smaller: not below the height and width."""


@dataclass(frozen=True)
class Crop:
    """A part of a photo, whatever size the photo is decoded at.

    Attributes:
        left: Where it begins, as a share of the photo's width; at least 0.
        top: The same of the height.
        width: Its own width as a share of the photo's; greater than 0, and ``left + width`` at most 1.
        height: The same of the height.
        mirrored: Whether left and right change places.
    """

    left: float
    top: float
    width: float
    height: float
    mirrored: bool = False

    def least_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width that the whole photo needs for the crop to have ``size``, or more."""
        return math.ceil(size[0] / self.height - 1e-6), math.ceil(size[1] / self.width - 1e-6)

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom in whole pixels of a photo of this size; one pixel at least."""
        left, right = _span(self.left, self.width, width)
        top, bottom = _span(self.top, self.height, height)
        return left, top, right, bottom

    def read(self, photo: SizedPhoto, preprocess: Preprocess) -> torch.Tensor:
        """Decode as much of a photo as the crop needs, cut it out, and resize it.

        Args:
            photo: What to decode.
            preprocess: Gives size and interpolation.

        Returns:
            A uint8 tensor (3, height, width).

        Raises:
            ImageError: The photo cannot be read.
        """
        image = photo.decode(at_least=self.least_size(preprocess.size))
        if isinstance(image, Image.Image):
            pixels = np.array(image.crop(self.box(*image.size)))
        else:
            left, top, right, bottom = self.box(image.shape[1], image.shape[0])
            pixels = image[top:bottom, left:right].copy()  # all that is read of a memory-mapped photo
        cut: torch.Tensor = resize(
            torch.from_numpy(pixels).permute(2, 0, 1),
            list(preprocess.size),
            interpolation=InterpolationMode(preprocess.interpolation),
            antialias=preprocess.antialias,
        )
        return cut.flip(-1) if self.mirrored else cut


def _span(start: float, length: float, pixels: int) -> tuple[int, int]:
    first = min(round(start * pixels), pixels - 1)
    return first, max(first + 1, min(round((start + length) * pixels), pixels))


def draw_crop(
    size: tuple[int, int], *, scale: tuple[float, float], ratio: tuple[float, float], flip: float
) -> Crop:
    """Draw a crop as torchvision's ``RandomResizedCrop`` does (Szegedy et al. 2014), from torch's generator.

    Args:
        size: The photo's width and height; only their ratio matters.
        scale: Least and greatest share of the photo's area.
        ratio: Least and greatest width / height.
        flip: Probability of mirroring.
    """
    shape = size[0] / size[1]
    mirrored = torch.rand(()).item() < flip
    low, high = (math.log(bound / shape) for bound in ratio)
    for area, stretch, left, top in torch.rand(_TRIES, 4).tolist():
        share = scale[0] + (scale[1] - scale[0]) * area
        relative = math.exp(low + (high - low) * stretch)  # of width to height, as shares of the photo's
        width, height = math.sqrt(share * relative), math.sqrt(share / relative)
        if width <= 1 and height <= 1:
            return Crop(left * (1 - width), top * (1 - height), width, height, mirrored)
    relative = min(max(1.0, math.exp(low)), math.exp(high))
    width, height = min(1.0, relative), min(1.0, 1 / relative)
    return Crop((1 - width) / 2, (1 - height) / 2, width, height, mirrored)
