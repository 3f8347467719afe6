"""What training minimises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from activitynet.training.recipe import Loss


def class_weights(labels: Sequence[int], num_classes: int, balance: float) -> torch.Tensor:
    """Weigh classes by how rare they are.

    Args:
        labels: Class index of every training photo.
        num_classes: Number of classes, with photos or not.
        balance: Exponent in [0, 1]: 0 weighs all alike, 1 inversely to their share of photos.

    Returns:
        Float32 (num_classes,) with mean 1 over the training photos; 1 for classes without photos.
    """
    counts = torch.bincount(torch.tensor(labels), minlength=num_classes).float()
    weights = torch.where(counts > 0, counts.clamp(min=1).pow(-balance), 0.0)
    weights = weights * counts.sum() / (weights * counts).sum()
    return torch.where(counts > 0, weights, 1.0)


def make_loss(config: Loss, labels: Sequence[int], num_classes: int) -> nn.CrossEntropyLoss:
    """Return the loss of a recipe for a set of training labels."""
    weights = class_weights(labels, num_classes, config.balance)
    # A plain mean over the batch, not torch's mean over weights, keeps rare classes' pull in every batch.
    return nn.CrossEntropyLoss(weight=weights, label_smoothing=config.smoothing, reduction="none")
