"""Batches whose photos are blended with one another, and their labels with them."""

from __future__ import annotations

import torch
from torchvision.transforms import v2

from activitynet.training.recipe import Mix


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
