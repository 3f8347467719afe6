from __future__ import annotations

import torch
from torch import nn

from activitynet import create_model
from activitynet.data.preprocess import Preprocess
from activitynet.weights import Card

CLASSES = ("cook", "dance", "run", "swim")


def member(
    name: str, seed: int, size: int = 32, classes: tuple[str, ...] = CLASSES, temperature: float = 1.0
) -> tuple[nn.Module, Card]:
    """Return a small model whose answers vary with the image, and its card."""
    torch.manual_seed(seed)
    model = create_model(name, num_classes=len(classes)).eval()
    with torch.no_grad():
        model.get_classifier().weight.mul_(20)
    card = Card(
        architecture=name,
        classes=classes,
        preprocess=Preprocess(size=(size, size), resize="squash"),
        temperature=temperature,
        license="apache-2.0",
    )
    return model, card
