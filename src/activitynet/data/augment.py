"""Random variation of training photos, as one frozen record that round-trips through JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from activitynet.data.fields import are_numbers, check_choice, fields_from_json, fields_to_json, is_number
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError

Policy = Literal["none", "trivial", "rand"]


@dataclasses.dataclass(frozen=True)
class Augment:
    """What is varied in a training photo, and how far.

    The default suits photos of people: crops that keep most of the scene, mirroring, some change of
    light. Draws come from torch's global generator alone, so that seeding it fixes them.

    Attributes:
        scale: Least and greatest share of the photo's area that a crop keeps, in (0, 1].
        ratio: Least and greatest width / height of a crop.
        flip: Probability of mirroring left and right.
        color: How far brightness, contrast and saturation vary, each by a factor in
            [1 - color, 1 + color]; 0 to 1.
        rotation: Greatest rotation either way, in degrees, 0 to 180.
        policy: ``"trivial"`` adds TrivialAugment (Müller and Hutter 2021,
            https://arxiv.org/abs/2103.10158), ``"rand"`` RandAugment (Cubuk et al. 2020,
            https://arxiv.org/abs/1909.13719).
        erasing: Probability of blanking out a rectangle (Zhong et al. 2020,
            https://arxiv.org/abs/1708.04896).

    Raises:
        DataError: A value outside its range.
    """

    scale: tuple[float, float] = (0.35, 1.0)
    ratio: tuple[float, float] = (0.75, 1.333)
    flip: float = 0.5
    color: float = 0.2
    rotation: float = 0.0
    policy: Policy = "none"
    erasing: float = 0.0

    def __post_init__(self) -> None:
        if not (are_numbers(self.scale, 2) and 0 < self.scale[0] <= self.scale[1] <= 1):
            raise DataError(f"scale must be two rising numbers in (0, 1], got {self.scale!r}.")
        if not (are_numbers(self.ratio, 2) and 0 < self.ratio[0] <= self.ratio[1]):
            raise DataError(f"ratio must be two rising numbers greater than 0, got {self.ratio!r}.")
        for name, limit in (("flip", 1), ("color", 1), ("rotation", 180), ("erasing", 1)):
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value <= limit):
                raise DataError(f"{name} must lie from 0 to {limit}, got {value!r}.")
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
            v2.RandomResizedCrop(
                list(preprocess.size),
                scale=self.scale,
                ratio=self.ratio,
                interpolation=InterpolationMode(preprocess.interpolation),
                antialias=preprocess.antialias,
            ),
            v2.RandomHorizontalFlip(self.flip),
        ]
        if self.rotation:
            steps.append(v2.RandomRotation(self.rotation, InterpolationMode.BILINEAR, fill=fill))
        if self.color:
            steps.append(v2.ColorJitter(self.color, self.color, self.color))
        if self.policy == "trivial":
            steps.append(v2.TrivialAugmentWide(fill=fill))
        elif self.policy == "rand":
            steps.append(v2.RandAugment(fill=fill))
        steps.append(preprocess.normalize)
        if self.erasing:
            steps.append(v2.RandomErasing(self.erasing))
        return v2.Compose(steps)

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
