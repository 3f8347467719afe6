"""Batches whose photos are blended with one another, and their labels with them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms import v2

from activitynet.training.recipe import Loss, Mix


class Mixer:
    """Mixes a batch by MixUp or CutMix, or leaves it as it is.

    What happens is drawn from torch's global generator alone, so that seeding it fixes the batch.

    Args:
        config: The alphas, and how often a batch is mixed. At least one alpha is greater than 0.
        num_classes: Number of classes.
    """

    def __init__(self, config: Mix, num_classes: int) -> None:
        self.probability = config.probability
        self.ways: list[v2.Transform] = []
        if config.mixup:
            self.ways.append(v2.MixUp(alpha=config.mixup, num_classes=num_classes))
        if config.cutmix:
            self.ways.append(v2.CutMix(alpha=config.cutmix, num_classes=num_classes))

    def __call__(self, images: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix each photo of a batch with its neighbour.

        Args:
            images: Float (N, 3, H, W).
            targets: Labels, int64 (N,).

        Returns:
            The images, and as targets float32 probabilities (N, classes) in the proportions of the
            pixels. A batch that is not drawn, or of a single photo, comes back as it is.
        """
        if len(targets) < 2 or torch.rand(()).item() >= self.probability:
            return images, targets
        way = self.ways[int(torch.randint(len(self.ways), ()))]
        mixed, probabilities = way(images, targets)
        return mixed, probabilities


def make_mixer(config: Mix, num_classes: int) -> Mixer | None:
    """Return what mixes a recipe's batches, or `None` when nothing does.

    Args:
        config: What to mix. ``until`` is left to the caller, who stops calling the mixer.
        num_classes: Number of classes.
    """
    if config.probability == 0 or config.mixup == config.cutmix == 0:
        return None
    return Mixer(config, num_classes)


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
