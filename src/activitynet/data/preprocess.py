"""Turn a photo into a model's input: the same way in evaluation, prediction and export."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import torch
import torchvision.transforms.v2.functional as F
from msgspec import Meta
from PIL import Image
from torch import nn
from torchvision.transforms import InterpolationMode

from activitynet.errors import DataError
from activitynet.serialization.records import check_record, read_record, to_plain

Resize = Literal["crop", "squash", "pad"]
Interpolation = Literal["bicubic", "bilinear"]

MAX_SIZE = 4096
"""Longest side, in pixels, that a model's input may have."""

_Side = Annotated[int, Meta(ge=1, le=MAX_SIZE)]
_Positive = Annotated[float, Meta(gt=0)]


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """Turns an RGB photo into a normalised tensor.

    Attributes:
        size: Height and width of the result in pixels, each 1 to 4096.
        resize: ``"crop"`` keeps the aspect ratio and cuts out the centre, ``"squash"`` stretches the whole
            photo to the size, ``"pad"`` fits the whole photo in and fills the rest with the mean colour.
        crop_pct: For ``"crop"``: the share, in (0, 1], that is kept of the photo's largest centred rectangle
            of the target's shape.
        interpolation: ``"bicubic"`` or ``"bilinear"``.
        antialias: Smooth before shrinking.
        mean: Mean of each channel, for pixel values in [0, 1].
        std: Standard deviation of each channel, for pixel values in [0, 1].

    Raises:
        DataError: A value outside its range.
    """

    size: tuple[_Side, _Side] = (224, 224)
    resize: Resize = "crop"
    crop_pct: Annotated[float, Meta(gt=0, le=1)] = 0.875
    interpolation: Interpolation = "bicubic"
    antialias: bool = True
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[_Positive, _Positive, _Positive] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        check_record(self, DataError)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Turn a PIL image of mode RGB into a float32 tensor of shape (3, height, width)."""
        normal = self.normalize(self._resized(F.pil_to_tensor(image)))
        height, width = (self.size[0] - normal.shape[1], self.size[1] - normal.shape[2])
        if height == width == 0:
            return normal
        # Padded after normalising: 0 is the mean colour.
        return F.pad(normal, [width // 2, height // 2, width - width // 2, height - height // 2], fill=0.0)

    def normalize(self, image: torch.Tensor) -> torch.Tensor:
        """Scale a uint8 tensor (3, H, W) to [0, 1], then normalise it, as float32."""
        scaled = F.to_dtype(image, torch.float32, scale=True)
        return F.normalize(scaled, list(self.mean), list(self.std)).contiguous()

    def _resized(self, image: torch.Tensor) -> torch.Tensor:
        """Crop and resize in one step, so that long and thin photos need little memory."""
        top, left, height, width, *size = self.frame(*image.shape[-2:])
        return F.resized_crop(
            image,
            top=top,
            left=left,
            height=height,
            width=width,
            size=size,
            interpolation=InterpolationMode(self.interpolation),
            antialias=self.antialias,
        )

    def frame(self, height: int, width: int) -> tuple[int, int, int, int, int, int]:
        """Return which part of a photo is used, and the size it is resized to.

        Args:
            height: Height of the photo in pixels.
            width: Width of the photo in pixels.

        Returns:
            Top, left, height and width of the part, then the height and width it is resized to, before
            padding.
        """
        box_height, box_width = height, width
        new_height, new_width = self.size
        if self.resize == "crop":
            scale = self.crop_pct * min(height / new_height, width / new_width)
            box_height = min(height, max(1, round(new_height * scale)))
            box_width = min(width, max(1, round(new_width * scale)))
        elif self.resize == "pad":
            scale = min(new_height / height, new_width / width)
            new_height = max(1, round(height * scale))
            new_width = max(1, round(width * scale))
        top, left = (height - box_height) // 2, (width - box_width) // 2
        return top, left, box_height, box_width, new_height, new_width

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, value: object) -> Preprocess:
        """Create one from the result of `to_dict`.

        Raises:
            DataError: A field is unknown, missing or outside its range.
        """
        return read_record(value, cls, what="Preprocess", error=DataError, complete=True)

    @classmethod
    def from_model(
        cls, model: nn.Module, *, size: int | tuple[int, int] | None = None, resize: Resize = "crop"
    ) -> Preprocess:
        """Create the preprocessing of a model's configuration.

        Args:
            model: A model with timm's ``pretrained_cfg``.
            size: Side, or height and width, of the input; by default the model's own.
            resize: How a photo is resized.

        Raises:
            DataError: The size, or a value of the configuration, is out of range.
        """
        config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name in ("crop_pct", "interpolation", "mean", "std")
            if (value := config.get(name)) is not None
        }
        if size is None:
            _, height, width = config.get("input_size") or (3, *cls.size)
            size = (height, width)
        return cls(size=(size, size) if isinstance(size, int) else size, resize=resize, **values)


def scaled_size(size: tuple[int, int], share: float) -> tuple[int, int]:
    """Scale a height and width, in whole strides of 32 pixels, at least one.

    The remainder of a side modulo 32 is kept, since a network's padding may depend on it.
    """
    if share == 1:
        return size
    height, width = (max(1, round(side // 32 * share)) * 32 + side % 32 for side in size)
    return height, width


@dataclasses.dataclass(frozen=True)
class Views:
    """Several views of each photo, one for each preprocessing.

    Attributes:
        each: The preprocessings.
    """

    each: tuple[Preprocess, ...]

    def __call__(self, image: Image.Image) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Turn a PIL image of mode RGB into one tensor a view, or into the tensor if there is one view."""
        if len(self.each) == 1:
            return self.each[0](image)
        return tuple(preprocess(image) for preprocess in self.each)


Images: TypeAlias = torch.Tensor | Sequence[torch.Tensor]
"""A batch, float (N, 3, H, W), or one for each view."""


def views_for(images: Images) -> list[torch.Tensor]:
    """Return a batch as a list of views."""
    return [images] if isinstance(images, torch.Tensor) else list(images)


def as_images(views: Sequence[torch.Tensor]) -> Images:
    """Return the batch that `views_for` made a list of."""
    return views[0] if len(views) == 1 else views


def views_of(preprocesses: Sequence[Preprocess]) -> tuple[Views, tuple[int, ...]]:
    """Return the distinct views that models need, and the index of each model's view."""
    each = tuple(dict.fromkeys(preprocesses))
    return Views(each), tuple(each.index(preprocess) for preprocess in preprocesses)
