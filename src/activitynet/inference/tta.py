"""Test-time augmentation: average the predictions over several views of a photo."""

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
    """Which views of a photo are predicted and averaged. The options multiply.

    Attributes:
        flip: Add the mirror image.
        crops: Use the four corners and the centre of the photo at 8/7 of the size; with ``flip`` the ten
            crops of Krizhevsky et al. 2012.
        scales: Input sizes relative to the model's own, rounded to strides of 32 pixels (Simonyan &
            Zisserman 2014, https://arxiv.org/abs/1409.1556).

    Raises:
        ModelError: A scale is outside [0.1, 4], or none is given.
    """

    flip: bool = False
    crops: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.scales or not all(0.1 <= scale <= 4 for scale in self.scales):
            raise ModelError(
                f"scales of test-time augmentation must be numbers in [0.1, 4], got {self.scales}."
            )

    @classmethod
    def of(cls, ways: Ways) -> TTA:
        """Return the augmentation with these names.

        Args:
            ways: ``"flip"``, ``"crops"``, ``"scales"`` (6/7, 1 and 8/7), or several of them.

        Raises:
            ModelError: A name is unknown.
        """
        if isinstance(ways, TTA):
            return ways
        names = (ways,) if isinstance(ways, str) else tuple(ways)
        for name in names:
            if name not in WAYS:
                raise ModelError(
                    f"unknown test-time augmentation {name!r}.{did_you_mean(str(name), WAYS)} Choose "
                    f"from: {', '.join(WAYS)}."
                )
        return cls("flip" in names, "crops" in names, _SCALES if "scales" in names else (1.0,))


def augmented(
    model: nn.Module, preprocess: Preprocess | Views, tta: TTA, *, temperature: float = 1.0
) -> tuple[nn.Module, Preprocess | Views]:
    """Return a model that averages over several views, and the preprocessing that makes its input.

    Args:
        model: Maps images to logits or log-probabilities.
        preprocess: Turns a photo into the model's input.
        tta: The views.
        temperature: Logits are divided by it before each view's softmax. The result's temperature is 1.

    Raises:
        ModelError: The model's input size is fixed, or too small for other scales.
    """
    each = preprocess.each if isinstance(preprocess, Views) else (preprocess,)
    scales = [tuple(scaled_size(one.size, scale) for one in each) for scale in tta.scales]
    own = tuple(one.size for one in each)
    if any(sizes != own for sizes in scales):
        _check_any_size(model)
    elif len(scales) > 1:
        raise ModelError(
            f"images of {own[0][0]} x {own[0][1]} pixels are too small for other scales; remove 'scales'."
        )
    enlarged = tuple(
        _resized(one, size, _ENLARGED if tta.crops else 1.0)
        for sizes in scales
        for one, size in zip(each, sizes, strict=True)
    )
    averaged = _AveragedViews(model, tta, scales, temperature)
    return averaged, enlarged[0] if len(enlarged) == 1 else Views(enlarged)


class _AveragedViews(nn.Module):
    """Runs a model on each view of a batch and averages the probabilities."""

    def __init__(
        self, model: nn.Module, tta: TTA, scales: Sequence[Sequence[tuple[int, int]]], temperature: float
    ) -> None:
        super().__init__()
        self.model, self.tta, self.scales, self.temperature = model, tta, scales, temperature
        self.train(model.training)

    def forward(self, images: Images) -> torch.Tensor:
        """Return log-probabilities of the average, float32 (N, classes)."""
        log_probs = [
            (self.model(view).float() / self.temperature).log_softmax(dim=1) for view in self._views(images)
        ]
        return torch.stack(log_probs).logsumexp(dim=0) - math.log(len(log_probs))

    def _views(self, images: Images) -> Iterator[Images]:
        left = views_for(images)
        for sizes in self.scales:
            scaled, left = left[: len(sizes)], left[len(sizes) :]
            for place in _PLACES if self.tta.crops else _PLACES[-1:]:
                view = [_cut(image, size, place) for image, size in zip(scaled, sizes, strict=True)]
                yield as_images(view)
                if self.tta.flip:
                    yield as_images([image.flip(-1) for image in view])


#: Position of a crop, vertical and horizontal: 0 is the top or left edge, 2 the other edge.
_PLACES = ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))


def _cut(image: torch.Tensor, size: tuple[int, int], place: tuple[int, int]) -> torch.Tensor:
    top, left = (
        (have - want) * at // 2 for have, want, at in zip(image.shape[-2:], size, place, strict=True)
    )
    return image[..., top : top + size[0], left : left + size[1]]


def _resized(preprocess: Preprocess, size: tuple[int, int], by: float) -> Preprocess:
    """Return a preprocessing for a larger image that also shows more of the photo where it can."""
    height, width = (round(side * by) for side in size)
    return dataclasses.replace(preprocess, size=(height, width), crop_pct=min(1.0, preprocess.crop_pct * by))


def _check_any_size(model: nn.Module) -> None:
    for part in model.modules():
        config = getattr(part, "pretrained_cfg", None)
        fixed = isinstance(config, dict) and config.get("fixed_input_size")
        if fixed or (isinstance(part, Engine) and not isinstance(part, TorchEngine)):
            name = part.description if isinstance(part, Engine) else type(part).__name__
            raise ModelError(
                f"{name} has a fixed input size: remove 'scales' from the test-time augmentation."
            )
