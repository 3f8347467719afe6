"""Random variation of training photos, as one frozen record that round-trips through JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, get_args

from torchvision.transforms import InterpolationMode, v2

from activitynet.data.crops import Crop, draw_crop
from activitynet.data.fields import are_numbers, check_choice, fields_from_json, fields_to_json, is_number
from activitynet.errors import DataError

Policy = Literal["none", "trivial", "rand", "augmix"]

_LIMITS = {"flip": 1, "color": 1, "hue": 0.5, "rotation": 180, "noise": 1, "erasing": 1}


@dataclasses.dataclass(frozen=True)
class Augment:
    """What is varied in a training photo, and how far.

    The default suits photos of people: crops that keep most of the scene, mirroring, some change of
    light. Draws come from torch's global generator alone, so that seeding it fixes them. `AugmentedPhotos`
    applies it: first the crop and the mirroring, then rotation, policy and erasing, then the light and noise.

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
        """Return what happens to a crop before its light is changed, each from uint8 (3, H, W) to the same.

        Args:
            fill: The colour of what a step leaves empty.
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
        return fields_to_json(self)

    @classmethod
    def from_dict(cls, value: object) -> Augment:
        """Make one from what `to_dict` returned.

        Raises:
            DataError: A field is unknown, missing or outside its range.
        """
        return cls(**fields_from_json(cls, value))
