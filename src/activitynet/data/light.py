"""Light, noise and normalisation of training photos, on whole batches and on their device."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import default_collate

from activitynet.data.augment import Augment
from activitynet.data.preprocess import Preprocess

_GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as in torchvision
_AT_ONCE = 4


class RawPhoto(NamedTuple):
    """A training photo before its light is changed.

    Attributes:
        pixels: uint8 (H, W, 3).
        light: Factors of brightness, contrast and saturation; the turn of the hues, as a share of the colour
            circle; the noise's standard deviation and the mean grey of the pixels, both in [0, 1].
        seed: Where its noise comes from.
    """

    pixels: torch.Tensor
    light: tuple[float, ...]
    seed: int


class RawBatch(NamedTuple):
    """Training photos as processes hand them on: a quarter of the bytes that they have as floats.

    Attributes:
        pixels: uint8 (N, H, W, 3).
        light: float32 (N, 6). This and the seeds are no tensors: each of those comes by a file of its own.
        seeds: int64 (N,).
    """

    pixels: torch.Tensor
    light: NDArray[np.float32]
    seeds: NDArray[np.int64]

    @classmethod
    def of(cls, photos: Sequence[RawPhoto]) -> RawBatch:
        """Put photos of one size together, in shared memory where a process is to hand them on."""
        pixels, light, seeds = zip(*photos, strict=True)
        batch: torch.Tensor = default_collate(list(pixels))
        return cls(batch, np.array(light, np.float32), np.array(seeds, np.int64))


class Light:
    """Draws each photo's light, and applies it to a batch.

    Brightness, contrast and saturation are one linear map of each photo's colours, in this order; values are
    brought back to [0, 1] at its end. Then hues turn, and noise is added.

    Args:
        augment: Says how far light varies.
        preprocess: Gives mean and deviation.
    """

    def __init__(self, augment: Augment, preprocess: Preprocess) -> None:
        color, hue, noise = augment.color, augment.hue, augment.noise
        self._color, self._hue, self._noise = color > 0, hue > 0, noise > 0
        self._least = (1 - color, 1 - color, 1 - color, -hue, 0.0)
        self._range = (2 * color, 2 * color, 2 * color, 2 * hue, noise)
        std = torch.tensor(preprocess.std).view(3, 1, 1)
        self._gain, self._shift = 1 / std, torch.tensor(preprocess.mean).view(3, 1, 1) / std

    def draw(self, pixels: torch.Tensor) -> RawPhoto:
        """Draw the light of a photo from torch's generator.

        Args:
            pixels: uint8 (H, W, 3).
        """
        chance = torch.rand(5).tolist()
        drawn = [a + b * c for a, b, c in zip(self._least, self._range, chance, strict=True)]
        # Of whole numbers the sum is exact, in whatever order it is taken.
        columns = pixels.flatten(1).sum(dim=0, dtype=torch.int32)
        sums = columns.view(-1, 3).sum(dim=0).tolist()
        grey = sum(map(operator.mul, sums, _GREY)) / (255 * pixels[..., 0].numel())
        return RawPhoto(pixels, (*drawn, grey), int(torch.randint(2**62, ())))

    def __call__(self, raw: RawBatch, device: torch.device | None = None) -> torch.Tensor:
        """Return a batch of training photos as the network's input.

        What becomes of a photo does not depend on the others of its batch, to the bit. Noise is another on
        another kind of device.

        Args:
            raw: The batch.
            device: Where to compute; by default where the batch is.

        Returns:
            Normalised images, float32 (N, 3, H, W).
        """
        device = device or raw.pixels.device
        pixels = raw.pixels.to(device, non_blocking=True)
        light, seeds = torch.from_numpy(raw.light).to(device), raw.seeds.tolist()
        gain, shift = self._gain.to(device), self._shift.to(device)
        count, *size, _ = pixels.shape
        made = torch.empty(count, 3, *size, device=device)
        # On a CPU a few photos at a time, which stay in its cache from one operation to the next.
        share = _AT_ONCE if device.type == "cpu" else count
        for part in (slice(start, start + share) for start in range(0, count, share)):
            images = pixels[part].permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
            images = _recolor(images, light[part]) if self._color else images.mul_(1 / 255)
            if self._hue:
                images = turn_hues(images, light[part, 3])
            if self._noise:
                _add_noise(images, light[part, 4], seeds[part])
            torch.sub(images.mul_(gain), shift, out=made[part])
        return made


# Products and sums are steps of their own: fused, a pixel might be rounded once or twice, depending on where
# in a batch it lies.


def _recolor(images: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """Change brightness, contrast and saturation in place, and bring values from [0, 255] to [0, 1]."""
    brightness, contrast, saturation, _, _, mean = light.view(-1, 6, 1, 1, 1).unbind(dim=1)
    grey = images[:, :1] * _GREY[0]
    for channel in (1, 2):
        grey.add_(images[:, channel : channel + 1] * _GREY[channel])
    # Each is a blend with a grey: of contrast with the photo's mean m, of saturation with the pixel's own g.
    # s (c x + (1 - c) m) + (1 - s) (c g + (1 - c) m w) = c s x + c (1 - s) g + (1 - c) (s + (1 - s) w) m
    gain = brightness * contrast / 255
    shift = brightness * (1 - contrast) * (saturation + (1 - saturation) * sum(_GREY)) * mean
    grey.mul_(gain * (1 - saturation)).add_(shift)
    return images.mul_(gain * saturation).add_(grey).clamp_(0, 1)


def turn_hues(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn the hues of images in HSV (Smith 1978), and leave saturation and value.

    Args:
        images: Float (N, 3, H, W), from 0 on.
        turns: float (N,), as shares of the colour circle.

    Returns:
        Float (N, 3, H, W).
    """
    value, least = images.amax(dim=1), images.amin(dim=1)
    chroma = value - least
    red, green, blue = (images / chroma.clamp_min(1e-12).unsqueeze(1)).unbind(dim=1)  # grey has no hue: 0
    is_red, is_green = images[:, 0] == value, images[:, 1] == value
    sector = torch.where(is_red, green - blue, torch.where(is_green, blue - red + 2, red - green + 4))
    sector = sector + 6 * turns.view(-1, 1, 1)
    channels = []
    for offset in (5, 3, 1):
        distance = (sector + offset) % 6
        channels.append(value - chroma * torch.minimum(distance, 4 - distance).clamp(0, 1))
    return torch.stack(channels, dim=1)


def _add_noise(images: torch.Tensor, deviations: torch.Tensor, seeds: Sequence[int]) -> None:
    """Add Gaussian noise to each image of a batch, in place; values stay in [0, 1]."""
    generator = torch.Generator(images.device)
    for image, deviation, seed in zip(images, deviations, seeds, strict=True):
        generator.manual_seed(seed)
        image.add_(torch.randn(image.shape, generator=generator, device=image.device).mul_(deviation))
    images.clamp_(0, 1)
