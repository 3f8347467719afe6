"""Augment training photos: crops and geometry one by one, color jitter on whole batches."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import default_collate
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2.functional import resize

from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError
from activitynet.serialization.records import check_record, read_record, to_plain

_TRIES = 10  # as in torchvision: then the largest centred crop of a shape within bounds


class SizedPhoto(Protocol):
    """A photo whose size is known before it is decoded: an `OpenPhoto` or a `CachedPhoto`."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the photo, upright."""

    def decode(self, *, at_least: tuple[int, int] | None = None) -> Image.Image | NDArray[np.uint8]:
        """Return an RGB image or uint8 (H, W, 3); if smaller, then not below this height and width."""


@dataclass(frozen=True)
class Crop:
    """A part of a photo, in shares of its sides, at whatever size it is decoded.

    Attributes:
        left: Left edge, as a share of the photo's width; at least 0.
        top: Top edge, as a share of its height.
        width: Width, as a share of the photo's; greater than 0, and ``left + width`` at most 1.
        height: Height, as a share of the photo's.
        mirrored: Whether left and right are swapped.
    """

    left: float
    top: float
    width: float
    height: float
    mirrored: bool = False

    def least_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width that the photo needs for the crop to have at least ``size``."""
        return math.ceil(size[0] / self.height - 1e-6), math.ceil(size[1] / self.width - 1e-6)

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom in pixels of a photo of this size, at least one pixel wide."""
        left, right = _span(self.left, self.width, width)
        top, bottom = _span(self.top, self.height, height)
        return left, top, right, bottom

    def read(self, photo: SizedPhoto, preprocess: Preprocess) -> torch.Tensor:
        """Decode a photo as large as the crop needs, cut the crop out, and resize it.

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
            pixels = image[top:bottom, left:right].copy()  # of a memory-mapped photo, only this is read
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
    """Draw a crop like torchvision's ``RandomResizedCrop`` (Szegedy et al. 2014), from torch's generator.

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


Policy = Literal["none", "trivial", "rand", "augmix"]

_Share = Annotated[float, Meta(ge=0, le=1)]
_Positive = Annotated[float, Meta(gt=0)]


@dataclasses.dataclass(frozen=True)
class Augment:
    """How training photos are augmented.

    The default suits photos of people: crops that keep most of the scene, mirroring and some color jitter.
    All draws come from torch's global generator. `AugmentedPhotos` applies crop and mirroring, then rotation,
    policy and erasing, then color jitter and noise.

    Attributes:
        scale: Least and greatest share of the photo's area that a crop keeps, in (0, 1].
        ratio: Least and greatest width / height of a crop; if photos are squashed, relative to the photo's
            own, so that training squashes things as evaluation does.
        flip: Probability of mirroring left and right.
        color: How far brightness, contrast and saturation vary, each by a factor in
            [1 - color, 1 + color]; 0 to 1.
        hue: Greatest rotation of the hues either way, as a share of the colour circle; 0 to 0.5.
        rotation: Greatest rotation of the photo either way, in degrees, 0 to 180.
        policy: ``"trivial"`` adds TrivialAugment (Müller and Hutter 2021,
            https://arxiv.org/abs/2103.10158), ``"rand"`` RandAugment (Cubuk et al. 2020,
            https://arxiv.org/abs/1909.13719), ``"augmix"`` AugMix (Hendrycks et al. 2020,
            https://arxiv.org/abs/1912.02781).
        operations: How many operations RandAugment chains, at least 1.
        magnitude: How strong RandAugment's operations are, a whole number from 0 to 30.
        noise: Greatest standard deviation of Gaussian noise on pixel values in [0, 1], drawn uniformly for
            each photo; 0 to 1. Noisy values are clamped to [0, 1].
        erasing: Probability of blanking out a rectangle (Zhong et al. 2020,
            https://arxiv.org/abs/1708.04896).

    Raises:
        DataError: A value outside its range.
    """

    scale: tuple[_Positive, _Share] = (0.35, 1.0)
    ratio: tuple[_Positive, _Positive] = (0.75, 1.333)
    flip: _Share = 0.5
    color: _Share = 0.2
    hue: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    rotation: Annotated[float, Meta(ge=0, le=180)] = 0.0
    policy: Policy = "none"
    operations: Annotated[int, Meta(ge=1)] = 2
    magnitude: Annotated[int, Meta(ge=0, le=30)] = 9
    noise: _Share = 0.0
    erasing: _Share = 0.0

    def __post_init__(self) -> None:
        check_record(self, DataError)
        for name in ("scale", "ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise DataError(f"Augment: field {name!r} must be two rising numbers, got {[low, high]}.")

    def draw_crop(self, size: tuple[int, int], *, squash: bool) -> Crop:
        """Draw a crop of a photo.

        Args:
            size: The photo's width and height.
            squash: Whether the whole photo is stretched to the input outside training.
        """
        shape = size[0] / size[1] if squash else 1.0
        ratio = (shape * self.ratio[0], shape * self.ratio[1])
        return draw_crop(size, scale=self.scale, ratio=ratio, flip=self.flip)

    def steps(self, fill: list[int]) -> list[Callable[[Any], Any]]:
        """Return the steps between crop and color jitter, each from uint8 (3, H, W) to the same.

        Args:
            fill: Colour of the pixels that a step leaves empty.
        """
        steps: list[Callable[[Any], Any]] = []
        if self.rotation:
            steps.append(v2.RandomRotation(self.rotation, InterpolationMode.BILINEAR, fill=fill))
        if self.policy == "trivial":
            steps.append(v2.TrivialAugmentWide(fill=fill))
        elif self.policy == "rand":
            steps.append(v2.RandAugment(self.operations, self.magnitude, fill=fill))
        elif self.policy == "augmix":
            steps.append(v2.AugMix(fill=fill))
        if self.erasing:
            steps.append(v2.RandomErasing(self.erasing, value=fill))
        return steps

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, value: object) -> Augment:
        """Make one from what `to_dict` returned.

        Raises:
            DataError: A field is unknown, missing or outside its range.
        """
        return read_record(value, cls, what="Augment", error=DataError, complete=True)


_GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as in torchvision
_CPU_CHUNK = 4  # photos


class PhotoSample(NamedTuple):
    """A cropped training photo, and the factors of a color jitter that is still to be applied.

    Attributes:
        pixels: uint8 (H, W, 3).
        factors: Factors of brightness, contrast and saturation; the rotation of the hues, as a share of the
            colour circle; the standard deviation of the noise and the mean grey, both in [0, 1].
        seed: Seed of its noise.
    """

    pixels: torch.Tensor
    factors: tuple[float, ...]
    seed: int


class PhotoBatch(NamedTuple):
    """A batch of `PhotoSample`, as worker processes send it: a quarter of its size in floats.

    Attributes:
        pixels: uint8 (N, H, W, 3).
        factors: float32 (N, 6). Factors and seeds are arrays, since each tensor takes a file to send.
        seeds: int64 (N,).
    """

    pixels: torch.Tensor
    factors: NDArray[np.float32]
    seeds: NDArray[np.int64]

    @classmethod
    def of(cls, photos: Sequence[PhotoSample]) -> PhotoBatch:
        """Collate photos of one size, in shared memory if this is a worker process."""
        pixels, factors, seeds = zip(*photos, strict=True)
        batch: torch.Tensor = default_collate(list(pixels))
        return cls(batch, np.array(factors, np.float32), np.array(seeds, np.int64))


class BatchColorJitter:
    """Draws color jitter for each photo, and applies it to a batch, with noise and normalisation.

    Brightness, contrast and saturation, in this order, are one linear map of a photo's colours, after which
    values are clamped to [0, 1]. Then hues are rotated, and noise is added.

    Args:
        augment: Gives the ranges of the factors.
        preprocess: Gives mean and standard deviation.
    """

    def __init__(self, augment: Augment, preprocess: Preprocess) -> None:
        color, hue, noise = augment.color, augment.hue, augment.noise
        self._color, self._hue, self._noise = color > 0, hue > 0, noise > 0
        self._least = (1 - color, 1 - color, 1 - color, -hue, 0.0)
        self._range = (2 * color, 2 * color, 2 * color, 2 * hue, noise)
        std = torch.tensor(preprocess.std).view(3, 1, 1)
        self._gain, self._shift = 1 / std, torch.tensor(preprocess.mean).view(3, 1, 1) / std

    def draw(self, pixels: torch.Tensor) -> PhotoSample:
        """Draw the factors of a photo from torch's generator.

        Args:
            pixels: uint8 (H, W, 3).
        """
        chance = torch.rand(5).tolist()
        drawn = [a + b * c for a, b, c in zip(self._least, self._range, chance, strict=True)]
        # A sum of integers is exact in any order.
        columns = pixels.flatten(1).sum(dim=0, dtype=torch.int32)
        sums = columns.view(-1, 3).sum(dim=0).tolist()
        grey = sum(map(operator.mul, sums, _GREY)) / (255 * pixels[..., 0].numel())
        return PhotoSample(pixels, (*drawn, grey), int(torch.randint(2**62, ())))

    def __call__(self, batch: PhotoBatch, device: torch.device | None = None) -> torch.Tensor:
        """Return a batch as the network's input.

        The result for a photo does not depend on the rest of its batch, to the bit. Noise differs between
        kinds of devices.

        Args:
            batch: The batch.
            device: Where to compute; by default the batch's.

        Returns:
            Normalised images, float32 (N, 3, H, W).
        """
        device = device or batch.pixels.device
        pixels = batch.pixels.to(device, non_blocking=True)
        factors, seeds = torch.from_numpy(batch.factors).to(device), batch.seeds.tolist()
        gain, shift = self._gain.to(device), self._shift.to(device)
        count, *size, _ = pixels.shape
        result = torch.empty(count, 3, *size, device=device)
        # On a CPU a few photos at a time, which stay in its cache between operations.
        chunk = _CPU_CHUNK if device.type == "cpu" else count
        for part in (slice(start, start + chunk) for start in range(0, count, chunk)):
            images = pixels[part].permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
            images = _recolor(images, factors[part]) if self._color else images.mul_(1 / 255)
            if self._hue:
                images = rotate_hues(images, factors[part, 3])
            if self._noise:
                _add_noise(images, factors[part, 4], seeds[part])
            torch.sub(images.mul_(gain), shift, out=result[part])
        return result


# Products and sums are separate operations: fused, a pixel would be rounded once or twice, depending on its
# place in the batch.


def _recolor(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Change brightness, contrast and saturation in place; values go from [0, 255] to [0, 1]."""
    brightness, contrast, saturation, _, _, mean = factors.view(-1, 6, 1, 1, 1).unbind(dim=1)
    grey = images[:, :1] * _GREY[0]
    for channel in (1, 2):
        grey.add_(images[:, channel : channel + 1] * _GREY[channel])
    # Each is a blend with grey: contrast with the photo's mean m, saturation with the pixel's own grey g.
    # s (c x + (1 - c) m) + (1 - s) (c g + (1 - c) m w) = c s x + c (1 - s) g + (1 - c) (s + (1 - s) w) m
    gain = brightness * contrast / 255
    shift = brightness * (1 - contrast) * (saturation + (1 - saturation) * sum(_GREY)) * mean
    grey.mul_(gain * (1 - saturation)).add_(shift)
    return images.mul_(gain * saturation).add_(grey).clamp_(0, 1)


def rotate_hues(images: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Rotate the hues of images in HSV (Smith 1978); saturation and value stay.

    Args:
        images: Float (N, 3, H, W), at least 0.
        angles: Float (N,), as shares of the colour circle.

    Returns:
        Float (N, 3, H, W).
    """
    value, least = images.amax(dim=1), images.amin(dim=1)
    chroma = value - least
    red, green, blue = (images / chroma.clamp_min(1e-12).unsqueeze(1)).unbind(dim=1)  # grey has no hue: 0
    is_red, is_green = images[:, 0] == value, images[:, 1] == value
    sector = torch.where(is_red, green - blue, torch.where(is_green, blue - red + 2, red - green + 4))
    sector = sector + 6 * angles.view(-1, 1, 1)
    channels = []
    for offset in (5, 3, 1):
        distance = (sector + offset) % 6
        channels.append(value - chroma * torch.minimum(distance, 4 - distance).clamp(0, 1))
    return torch.stack(channels, dim=1)


def _add_noise(images: torch.Tensor, deviations: torch.Tensor, seeds: Sequence[int]) -> None:
    """Add Gaussian noise to each image in place; values are clamped to [0, 1]."""
    generator = torch.Generator(images.device)
    for image, deviation, seed in zip(images, deviations, seeds, strict=True):
        generator.manual_seed(seed)
        image.add_(torch.randn(image.shape, generator=generator, device=image.device).mul_(deviation))
    images.clamp_(0, 1)
