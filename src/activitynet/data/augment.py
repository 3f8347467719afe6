"""Random variation of training photos, as one frozen record that round-trips through JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop, v2
from torchvision.transforms.v2.functional import gaussian_noise, resized_crop

from activitynet.data.fields import are_numbers, check_choice, fields_from_json, fields_to_json, is_number
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError

Policy = Literal["none", "trivial", "rand", "augmix"]

_LIMITS = {"flip": 1, "color": 1, "hue": 0.5, "rotation": 180, "noise": 1, "erasing": 1}


@dataclasses.dataclass(frozen=True)
class Augment:
    """What is varied in a training photo, and how far.

    The default suits photos of people: crops that keep most of the scene, mirroring, some change of
    light. Draws come from torch's global generator alone, so that seeding it fixes them.

    Attributes:
        scale: Least and greatest share of the photo's area that a crop keeps, in (0, 1].
        ratio: Least and greatest width / height of a crop; where photos are squashed, as a multiple of the
            photo's own, so that training squashes things like the evaluation does.
        flip: Probability of mirroring left and right.
        color: How far brightness, contrast and saturation vary, each by a factor in
            [1 - color, 1 + color]; 0 to 1.
        hue: How far hues turn either way, as a share of the colour circle; 0 to 0.5.
        rotation: Greatest rotation either way, in degrees, 0 to 180.
        policy: ``"trivial"`` adds TrivialAugment (Müller and Hutter 2021,
            https://arxiv.org/abs/2103.10158), ``"rand"`` RandAugment (Cubuk et al. 2020,
            https://arxiv.org/abs/1909.13719), ``"augmix"`` AugMix (Hendrycks et al. 2020,
            https://arxiv.org/abs/1912.02781).
        operations: How many operations RandAugment chains, at least 1.
        magnitude: How strong RandAugment's operations are, a whole number from 0 to 30.
        noise: Greatest standard deviation of Gaussian noise on pixel values in [0, 1], drawn evenly up to
            it for each photo; 0 to 1. Noisy values stay in [0, 1].
        erasing: Probability of blanking out a rectangle (Zhong et al. 2020,
            https://arxiv.org/abs/1708.04896).

    Raises:
        DataError: A value outside its range.
    """

    scale: tuple[float, float] = (0.35, 1.0)
    ratio: tuple[float, float] = (0.75, 1.333)
    flip: float = 0.5
    color: float = 0.2
    hue: float = 0.0
    rotation: float = 0.0
    policy: Policy = "none"
    operations: int = 2
    magnitude: int = 9
    noise: float = 0.0
    erasing: float = 0.0

    def __post_init__(self) -> None:
        if not (are_numbers(self.scale, 2) and 0 < self.scale[0] <= self.scale[1] <= 1):
            raise DataError(f"scale must be two rising numbers in (0, 1], got {self.scale!r}.")
        if not (are_numbers(self.ratio, 2) and 0 < self.ratio[0] <= self.ratio[1]):
            raise DataError(f"ratio must be two rising numbers greater than 0, got {self.ratio!r}.")
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value <= limit):
                raise DataError(f"{name} must lie from 0 to {limit}, got {value!r}.")
        if type(self.operations) is not int or self.operations < 1:
            raise DataError(f"operations must be a whole number from 1, got {self.operations!r}.")
        if type(self.magnitude) is not int or not 0 <= self.magnitude <= 30:
            raise DataError(f"magnitude must be a whole number from 0 to 30, got {self.magnitude!r}.")
        check_choice("policy", self.policy, get_args(Policy))

    def build(self, preprocess: Preprocess) -> Callable[[Image.Image], torch.Tensor]:
        """Return the transform of training photos that ends where ``preprocess`` ends.

        Args:
            preprocess: Gives size, interpolation, mean and deviation; its own crop is replaced by the
                random one.

        Returns:
            A callable from a PIL image of mode RGB to a float32 tensor of shape (3, height, width).
        """
        fill = [round(255 * mean) for mean in preprocess.mean]
        steps: list[Callable[[Any], Any]] = [
            v2.PILToTensor(),
            _Crop(self.scale, self.ratio, preprocess),
            v2.RandomHorizontalFlip(self.flip),
        ]
        if self.rotation:
            steps.append(v2.RandomRotation(self.rotation, InterpolationMode.BILINEAR, fill=fill))
        if self.color or self.hue:
            steps.append(v2.ColorJitter(self.color, self.color, self.color, self.hue))
        if self.policy == "trivial":
            steps.append(v2.TrivialAugmentWide(fill=fill))
        elif self.policy == "rand":
            steps.append(v2.RandAugment(self.operations, self.magnitude, fill=fill))
        elif self.policy == "augmix":
            steps.append(v2.AugMix(fill=fill))
        if self.noise:
            steps += [v2.ToDtype(torch.float32, scale=True), _Noise(self.noise)]
        steps.append(preprocess.normalize)
        if self.erasing:
            steps.append(v2.RandomErasing(self.erasing))
        return v2.Compose(steps)

    def pixels_needed(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width that a photo needs for its smallest crop not to be enlarged."""
        share = math.sqrt(self.scale[0] * min(1, self.ratio[0], 1 / self.ratio[1]))
        side = math.ceil(max(size) / share)
        return side, side

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return fields_to_json(self)

    @classmethod
    def from_dict(cls, value: object) -> Augment:
        """Make one from what `to_dict` returned.

        Raises:
            DataError: A field is unknown, missing or outside its range.
        """
        return cls(**fields_from_json(cls, value))


@dataclasses.dataclass(frozen=True)
class _Crop:
    """Cuts a random box out of an image and resizes it to what the preprocessing says."""

    scale: tuple[float, float]
    ratio: tuple[float, float]
    preprocess: Preprocess

    def box(self, image: torch.Tensor) -> tuple[int, int, int, int]:
        """Draw top, left, height and width of a crop."""
        height, width = image.shape[-2:]
        shape = width / height if self.preprocess.resize == "squash" else 1.0
        drawn: tuple[int, int, int, int] = RandomResizedCrop.get_params(
            image, list(self.scale), [shape * bound for bound in self.ratio]
        )
        return drawn

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        cut: torch.Tensor = resized_crop(
            image,
            *self.box(image),
            size=list(self.preprocess.size),
            interpolation=InterpolationMode(self.preprocess.interpolation),
            antialias=self.preprocess.antialias,
        )
        return cut


@dataclasses.dataclass(frozen=True)
class _Noise:
    """Adds Gaussian noise of a deviation drawn from [0, ``greatest``] to an image in [0, 1]."""

    greatest: float

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        noisy: torch.Tensor = gaussian_noise(image, sigma=self.greatest * torch.rand(()).item())
        return noisy


class GrowingTransform:
    """The transforms of training photos whose size changes from epoch to epoch.

    Args:
        augment: What is varied.
        preprocess: Gives interpolation, mean and deviation; its size is not used.
        size_at: Height and width of the images of epoch 1, 2 and so on; the last holds from there on.

    Raises:
        DataError: ``size_at`` is empty, or a size is out of range.
    """

    def __init__(self, augment: Augment, preprocess: Preprocess, size_at: Sequence[tuple[int, int]]) -> None:
        if not size_at:
            raise DataError("size_at must hold the size of one epoch or more, got none.")
        self._size_at = tuple(size_at)
        self._transforms = {
            size: augment.build(dataclasses.replace(preprocess, size=size))
            for size in dict.fromkeys(self._size_at)
        }

    def at(self, epoch: int) -> Callable[[Image.Image], torch.Tensor]:
        """Return the transform of an epoch, counted from 1; what comes before looks like the first."""
        return self._transforms[self._size_at[min(max(epoch, 1), len(self._size_at)) - 1]]
