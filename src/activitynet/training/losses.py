"""Loss functions, class weights, and MixUp and CutMix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms import v2

from activitynet.training.recipe import Loss, Mix


class Mixer:
    """Apply MixUp or CutMix to a share of the batches.

    Random numbers come from torch's global generator only, so that seeding it fixes the result.

    Args:
        config: The alphas and the probability. At least one alpha must be greater than 0.
        num_classes: Number of classes.
    """

    def __init__(self, config: Mix, num_classes: int) -> None:
        self.probability = config.probability
        self.transforms: list[v2.Transform] = []
        if config.mixup:
            self.transforms.append(v2.MixUp(alpha=config.mixup, num_classes=num_classes))
        if config.cutmix:
            self.transforms.append(v2.CutMix(alpha=config.cutmix, num_classes=num_classes))

    def __call__(self, images: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix each photo of a batch with its neighbour.

        Args:
            images: Float (N, 3, H, W).
            targets: Labels, int64 (N,).

        Returns:
            The mixed images, and float32 probabilities (N, classes) in proportion to the pixels. A batch
            that is not selected, or has a single photo, is returned unchanged.
        """
        if len(targets) < 2 or torch.rand(()).item() >= self.probability:
            return images, targets
        transform = self.transforms[int(torch.randint(len(self.transforms), ()))]
        mixed, probabilities = transform(images, targets)
        return mixed, probabilities


def make_mixer(config: Mix, num_classes: int) -> Mixer | None:
    """Return the mixer of a recipe; `None` if it mixes nothing.

    Args:
        config: The configuration. The caller implements ``until`` by no longer calling the mixer.
        num_classes: Number of classes.
    """
    if config.probability == 0 or config.mixup == config.cutmix == 0:
        return None
    return Mixer(config, num_classes)


def class_weights(labels: Sequence[int], num_classes: int, config: Loss) -> torch.Tensor:
    """Return class weights that are larger for rare classes.

    Args:
        labels: Class index of every training photo.
        num_classes: Number of classes, including those without photos.
        config: Gives ``weighting``, ``balance`` and ``beta``.

    Returns:
        Float32 (num_classes,) with mean 1 over the training photos; 1 for classes without photos.
    """
    counts = _counts(labels, num_classes)
    if config.weighting == "effective_number":
        beta = torch.tensor(config.beta, dtype=torch.float64)
        weights = (1 - beta) / (1 - beta**counts)  # infinite without photos; replaced below
    else:
        weights = counts**-config.balance
    weights = torch.where(counts > 0, weights, 0.0)
    weights = weights * counts.sum() / (weights * counts).sum()
    return torch.where(counts > 0, weights, 1.0).float()


def make_loss(config: Loss, labels: Sequence[int], num_classes: int) -> nn.Module:
    """Return the loss function of a recipe, with label smoothing and class weights.

    Args:
        config: The loss and its parameters.
        labels: Class index of every training photo.
        num_classes: Number of classes, including those without photos.

    Returns:
        A module from logits and targets to one loss per photo. Average them with a plain mean: torch's
        weighted mean would cancel the weights in a batch of one class.
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
    """Focal loss (Lin et al. 2017, https://arxiv.org/abs/1708.02002), also for soft targets.

    The cross-entropy term of each class is multiplied by (1 - probability)^gamma.

    Args:
        weights: Weight of each class, float32 (classes,).
        smoothing: Label smoothing in [0, 1).
        gamma: Exponent, at least 0; larger values reduce the loss of easy photos more.
    """

    weights: torch.Tensor

    def __init__(self, weights: torch.Tensor, smoothing: float, gamma: float) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.smoothing = smoothing
        self.gamma = gamma

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return one loss per photo."""
        log_probabilities = logits.log_softmax(dim=1)
        # At 0, a power below 1 has no finite gradient.
        missing = (1 - log_probabilities.exp()).clamp(min=torch.finfo(logits.dtype).eps)
        shares = _smoothed(_probabilities(targets, logits), self.smoothing)
        return -(shares * self.weights * missing**self.gamma * log_probabilities).sum(dim=1)


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy for each class (Wightman et al. 2021, https://arxiv.org/abs/2110.00476).

    Losses are summed over the classes, not averaged. As in cross-entropy, the gradient of a logit is then
    its probability minus its target, so learning rates stay comparable. All terms of a photo have the weight
    of the photo's class: a weight per term would not change the optimum.

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
        """Return one loss per photo."""
        shares = _probabilities(targets, logits)
        losses = F.binary_cross_entropy_with_logits(
            logits, _smoothed(shares, self.smoothing), reduction="none"
        )
        return (shares @ self.weights) * losses.sum(dim=1)


class LogitAdjusted(nn.Module):
    """Logit-adjusted cross-entropy (Menon et al. 2021, https://arxiv.org/abs/2007.07314).

    Training adds tau * log(class frequency) to the logits; prediction does not.

    Args:
        weights: Weight of each class, float32 (classes,).
        smoothing: Label smoothing in [0, 1).
        counts: Photos of each class, (classes,). A class without photos counts as half a photo.
        tau: Strength of the adjustment, at least 0.
    """

    offset: torch.Tensor

    def __init__(self, weights: torch.Tensor, smoothing: float, counts: torch.Tensor, tau: float) -> None:
        super().__init__()
        self.cross_entropy = nn.CrossEntropyLoss(weight=weights, label_smoothing=smoothing, reduction="none")
        counts = counts.double().clamp(min=0.5)
        self.register_buffer("offset", (tau * (counts / counts.sum()).log()).float())

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return one loss per photo."""
        loss: torch.Tensor = self.cross_entropy(logits + self.offset, targets)
        return loss


def _counts(labels: Sequence[int], num_classes: int) -> torch.Tensor:
    return torch.bincount(torch.tensor(labels), minlength=num_classes).double()


def _probabilities(targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return labels as one-hot probabilities (N, classes); return probabilities unchanged."""
    if targets.is_floating_point():
        return targets
    return F.one_hot(targets, logits.shape[1]).to(logits.dtype)


def _smoothed(shares: torch.Tensor, smoothing: float) -> torch.Tensor:
    return shares * (1 - smoothing) + smoothing / shares.shape[1]
