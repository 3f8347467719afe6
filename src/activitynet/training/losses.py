"""What training minimises: one loss a photo, for labels and for mixtures of labels alike.

Every loss is called ``loss(logits, targets)`` with float32 logits (N, classes) and targets that are either
int64 labels (N,) or float32 probabilities (N, classes). It returns float32 (N,).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from activitynet.training.recipe import Loss


def class_weights(labels: Sequence[int], num_classes: int, config: Loss) -> torch.Tensor:
    """Weigh classes by how rare they are.

    Args:
        labels: Class index of every training photo.
        num_classes: Number of classes, with photos or not.
        config: Says how: ``weighting``, and its ``balance`` or ``beta``.

    Returns:
        Float32 (num_classes,) with mean 1 over the training photos; 1 for classes without photos.
    """
    counts = _counts(labels, num_classes)
    if config.weighting == "effective_number":
        beta = torch.tensor(config.beta, dtype=torch.float64)
        weights = (1 - beta) / (1 - beta**counts)  # without photos infinite, and replaced below
    else:
        weights = counts**-config.balance
    weights = torch.where(counts > 0, weights, 0.0)
    weights = weights * counts.sum() / (weights * counts).sum()
    return torch.where(counts > 0, weights, 1.0).float()


def make_loss(config: Loss, labels: Sequence[int], num_classes: int) -> nn.Module:
    """Return the loss of a recipe for a set of training labels.

    Smoothing and class weights apply to every loss.

    Args:
        config: Which loss, and its numbers.
        labels: Class index of every training photo.
        num_classes: Number of classes, with photos or not.

    Returns:
        A module from logits and targets to one loss a photo. Their plain mean, not torch's mean over
        weights, keeps rare classes' pull in every batch.
    """
    weights = class_weights(labels, num_classes, config)
    if config.name == "focal":
        return FocalLoss(weights, config.smoothing, config.gamma)
    if config.name == "bce":
        return BinaryCrossEntropy(weights, config.smoothing)
    if config.name == "logit_adjusted":
        return LogitAdjusted(weights, config.smoothing, _counts(labels, num_classes), config.tau)
    return nn.CrossEntropyLoss(weight=weights, label_smoothing=config.smoothing, reduction="none")


class FocalLoss(nn.Module):
    """Cross-entropy that counts what is already known for less (Lin et al. 2017).

    https://arxiv.org/abs/1708.02002

    Each class's term is multiplied by (1 - its probability)^gamma, so that with labels it is the paper's
    loss, and with gamma 0 plain cross-entropy.

    Args:
        weights: Weight of each class, float32 (classes,).
        smoothing: Label smoothing in [0, 1).
        gamma: How far easy photos are discounted, from 0.
    """

    weights: torch.Tensor

    def __init__(self, weights: torch.Tensor, smoothing: float, gamma: float) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.smoothing = smoothing
        self.gamma = gamma

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return one loss a photo."""
        log_probabilities = logits.log_softmax(dim=1)
        # Away from 0, where a power below 1 has no finite slope.
        missing = (1 - log_probabilities.exp()).clamp(min=torch.finfo(logits.dtype).eps)
        shares = _smoothed(_probabilities(targets, logits), self.smoothing)
        return -(shares * self.weights * missing**self.gamma * log_probabilities).sum(dim=1)


class BinaryCrossEntropy(nn.Module):
    """One yes-or-no question a class (Wightman et al. 2021, https://arxiv.org/abs/2110.00476).

    Losses are summed over the classes, not averaged: the gradient of a logit is then, as in cross-entropy,
    its probability less its target, and learning rates stay comparable. A photo, with all of its questions,
    has the weight of its class: a weight on the question would not move its answer.

    Args:
        weights: Weight of each class, float32 (classes,).
        smoothing: Label smoothing in [0, 1).
    """

    weights: torch.Tensor

    def __init__(self, weights: torch.Tensor, smoothing: float) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.smoothing = smoothing

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return one loss a photo."""
        shares = _probabilities(targets, logits)
        answers = F.binary_cross_entropy_with_logits(
            logits, _smoothed(shares, self.smoothing), reduction="none"
        )
        return (shares @ self.weights) * answers.sum(dim=1)


class LogitAdjusted(nn.Module):
    """Cross-entropy that leaves to the classes' shares what follows from them alone (Menon et al. 2021).

    https://arxiv.org/abs/2007.07314

    Logits are learned beside tau * log(share), which is not there when the model predicts.

    Args:
        weights: Weight of each class, float32 (classes,).
        smoothing: Label smoothing in [0, 1).
        counts: Photos of each class, (classes,). A class without any counts as half a photo.
        tau: How far the shares are counted in, from 0.
    """

    offset: torch.Tensor

    def __init__(self, weights: torch.Tensor, smoothing: float, counts: torch.Tensor, tau: float) -> None:
        super().__init__()
        self.cross_entropy = nn.CrossEntropyLoss(weight=weights, label_smoothing=smoothing, reduction="none")
        counts = counts.double().clamp(min=0.5)
        self.register_buffer("offset", (tau * (counts / counts.sum()).log()).float())

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return one loss a photo."""
        loss: torch.Tensor = self.cross_entropy(logits + self.offset, targets)
        return loss


def _counts(labels: Sequence[int], num_classes: int) -> torch.Tensor:
    return torch.bincount(torch.tensor(labels), minlength=num_classes).double()


def _probabilities(targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return labels as probabilities (N, classes); probabilities stay as they are."""
    if targets.is_floating_point():
        return targets
    return F.one_hot(targets, logits.shape[1]).to(logits.dtype)


def _smoothed(shares: torch.Tensor, smoothing: float) -> torch.Tensor:
    return shares * (1 - smoothing) + smoothing / shares.shape[1]
