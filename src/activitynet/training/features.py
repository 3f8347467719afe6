"""What a network's classifier is given: the features that were pooled from its last map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from activitynet.errors import TrainingError


@contextmanager
def pooled_features(model: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Note the features, (N, ``head_hidden_size``), of each pass of a model inside the ``with``.

    Dropout has been applied to them, and gradients flow back through them.

    Args:
        model: A zoo model.

    Yields:
        A list that each pass adds its features to.

    Raises:
        TrainingError: The model has no single classifier.
    """
    seen: list[torch.Tensor] = []

    def note(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0].flatten(1))

    handle = _classifier(model).register_forward_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def _classifier(model: nn.Module) -> nn.Module:
    classifier = model.get_classifier()  # type: ignore[operator]
    if not isinstance(classifier, nn.Module):  # of timm's distilled transformers there are two
        raise TrainingError(
            f"the features of {type(model).__name__} cannot be compared, for it has two classifiers. "
            "Set the recipe's distill.features to 0."
        )
    return classifier


class WithFeatures(nn.Module):
    """A network that gives its pooled features behind its logits: (N, classes + ``head_hidden_size``).

    Args:
        model: A zoo model; it is not changed.

    Raises:
        TrainingError: The model has no single classifier.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        _classifier(model)
        self.model = model
        self.num_classes = int(model.num_classes) + int(model.head_hidden_size)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Turn images (N, 3, H, W) into logits and, behind them, features."""
        features = self.model.forward_head(self.model.forward_features(images), pre_logits=True)  # type: ignore[operator]
        return torch.cat([self.model.get_classifier()(features), features.flatten(1)], dim=1)  # type: ignore[operator]
