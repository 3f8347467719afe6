"""Test-time augmentation: a photo is looked at in several ways, and the answers are averaged."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import nn

from activitynet.data.preprocess import Images, Preprocess, Views, as_images, scaled_size, views_for
from activitynet.errors import ModelError, did_you_mean
from activitynet.inference.engines import Engine, TorchEngine

WAYS = ("flip", "crops", "scales")

Ways: TypeAlias = "TTA | str | Iterable[str]"
"""A `TTA`, or names of `WAYS`."""

_SCALES = (6 / 7, 1.0, 8 / 7)  # of 224 pixels: one stride of 32 less, and one more
_ENLARGED = 8 / 7  # as 256 pixels of which 224 are cut


@dataclasses.dataclass(frozen=True)
class TTA:
    """In which ways a photo is looked at; those that are on multiply.

    Attributes:
        flip: The mirror image as well.
        crops: The four corners and the middle of the photo at 8/7 of the size, instead of all of it (the
            ten crops of Krizhevsky et al. 2012, with ``flip``).
        scales: Sizes of the whole photo as shares of the model's own, in whole strides of 32 pixels (Simonyan
            & Zisserman 2014, https://arxiv.org/abs/1409.1556).

    Raises:
        ModelError: A scale outside 0.1 to 4, or none.
    """

    flip: bool = False
    crops: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.scales or not all(0.1 <= scale <= 4 for scale in self.scales):
            raise ModelError(
                f"scales of test-time augmentation must be one or more from 0.1 to 4, got {self.scales}."
            )

    @classmethod
    def of(cls, ways: Ways) -> TTA:
        """Return the augmentation of this name, or of all these names.

        Args:
            ways: ``"flip"``; ``"crops"``; ``"scales"``, which are 6/7, 1 and 8/7; or several of them.

        Raises:
            ModelError: An unknown name.
        """
        if isinstance(ways, TTA):
            return ways
        names = (ways,) if isinstance(ways, str) else tuple(ways)
        for name in names:
            if name not in WAYS:
                raise ModelError(
                    f"unknown test-time augmentation {name!r}.{did_you_mean(str(name), WAYS)} There "
                    f"are: {', '.join(WAYS)}."
                )
        return cls("flip" in names, "crops" in names, _SCALES if "scales" in names else (1.0,))


def augmented(
    model: nn.Module, preprocess: Preprocess | Views, tta: TTA, *, temperature: float = 1.0
) -> tuple[nn.Module, Preprocess | Views]:
    """Return a model that looks at photos in several ways, and what turns a photo into its input.

    Args:
        model: From images to logits, or to logarithms of probabilities.
        preprocess: What turns a photo into its input.
        tta: The ways.
        temperature: Logits are divided by it before each way's softmax, and the average is left as it is: the
            result's temperature is 1.

    Raises:
        ModelError: Scales are asked for, and the model takes images of one size only, or so small ones that
            they have no other scale.
    """
    each = preprocess.each if isinstance(preprocess, Views) else (preprocess,)
    scales = [tuple(scaled_size(one.size, scale) for one in each) for scale in tta.scales]
    own = tuple(one.size for one in each)
    if any(sizes != own for sizes in scales):
        _check_any_size(model)
    elif len(scales) > 1:
        raise ModelError(
            f"images of {own[0][0]} x {own[0][1]} pixels have no other scale; leave out 'scales'."
        )
    enlarged = tuple(
        _resized(one, size, _ENLARGED if tta.crops else 1.0)
        for sizes in scales
        for one, size in zip(each, sizes, strict=True)
    )
    looks = _Looks(model, tta, scales, temperature)
    return looks, enlarged[0] if len(enlarged) == 1 else Views(enlarged)


class _Looks(nn.Module):
    """Asks a model about each look at a batch, one after the other, and averages the probabilities."""

    def __init__(
        self, model: nn.Module, tta: TTA, scales: Sequence[Sequence[tuple[int, int]]], temperature: float
    ) -> None:
        super().__init__()
        self.model, self.tta, self.scales, self.temperature = model, tta, scales, temperature
        self.train(model.training)

    def forward(self, images: Images) -> torch.Tensor:
        """Return the logarithms of the mean probabilities, float32 (N, classes)."""
        answers = [
            (self.model(look).float() / self.temperature).log_softmax(dim=1) for look in self._looks(images)
        ]
        return torch.stack(answers).logsumexp(dim=0) - math.log(len(answers))

    def _looks(self, images: Images) -> Iterator[Images]:
        left = views_for(images)
        for sizes in self.scales:
            scaled, left = left[: len(sizes)], left[len(sizes) :]
            for place in _PLACES if self.tta.crops else _PLACES[-1:]:
                look = [_cut(image, size, place) for image, size in zip(scaled, sizes, strict=True)]
                yield as_images(look)
                if self.tta.flip:
                    yield as_images([image.flip(-1) for image in look])


#: Where a crop lies, down and across: 0 is at the upper or left edge, 2 at the other.
_PLACES = ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))


def _cut(image: torch.Tensor, size: tuple[int, int], place: tuple[int, int]) -> torch.Tensor:
    top, left = (
        (have - want) * at // 2 for have, want, at in zip(image.shape[-2:], size, place, strict=True)
    )
    return image[..., top : top + size[0], left : left + size[1]]


def _resized(preprocess: Preprocess, size: tuple[int, int], by: float) -> Preprocess:
    """Return what makes an image larger than a size, and shows as much more of the photo where it can."""
    height, width = (round(side * by) for side in size)
    return dataclasses.replace(preprocess, size=(height, width), crop_pct=min(1.0, preprocess.crop_pct * by))


def _check_any_size(model: nn.Module) -> None:
    for part in model.modules():
        config = getattr(part, "pretrained_cfg", None)
        fixed = isinstance(config, dict) and config.get("fixed_input_size")
        if fixed or (isinstance(part, Engine) and not isinstance(part, TorchEngine)):
            name = part.description if isinstance(part, Engine) else type(part).__name__
            raise ModelError(
                f"{name} takes images of one size only: leave out 'scales' from test-time augmentation."
            )
