"""One photo, made ready for models that want to see it in different ways."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import torch
from PIL import Image

from activitynet.data.preprocess import Preprocess


@dataclasses.dataclass(frozen=True)
class Views:
    """Several preprocessings, each run once a photo.

    Attributes:
        each: What makes each view.
    """

    each: tuple[Preprocess, ...]

    def __call__(self, image: Image.Image) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Turn a PIL image of mode RGB into one tensor a view, or into the tensor where there is one view."""
        if len(self.each) == 1:
            return self.each[0](image)
        return tuple(preprocess(image) for preprocess in self.each)


Images: TypeAlias = torch.Tensor | Sequence[torch.Tensor]
"""A batch, float (N, 3, H, W), or one for each of the ways in which a model looks at photos."""


def looks_of(images: Images) -> list[torch.Tensor]:
    """Return a batch as a list, of one where there is one view."""
    return [images] if isinstance(images, torch.Tensor) else list(images)


def as_images(looks: Sequence[torch.Tensor]) -> Images:
    """Return the batch that `looks_of` made a list of."""
    return looks[0] if len(looks) == 1 else looks


def views_of(preprocesses: Sequence[Preprocess]) -> tuple[Views, tuple[int, ...]]:
    """Return the views that models need, and which of them each model looks at."""
    each = tuple(dict.fromkeys(preprocesses))
    return Views(each), tuple(each.index(preprocess) for preprocess in preprocesses)
