"""Listen to a run with a callback, and train with a loss of your own in a loop of your own.

    python examples/own_loss_and_callback.py [FOLDER]

Recipes have four losses (`loss.name`). For another one, a network is a plain module, and photos are a plain
data set: write the loop that you would write anyway.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from activitynet import Classifier, draw_sample_data
from activitynet.data.loader import PhotoDataset
from activitynet.data.open import open_data
from activitynet.training import Event


def print_epochs(event: Event) -> None:
    """What `callbacks=` takes: a function of an event."""
    if event.kind == "epoch" and event.scores is not None:
        print(
            f"epoch {event.epoch}/{event.epochs}: macro-F1 {event.scores['macro_f1']:.3f}, best {event.best}"
        )


def poly_loss(logits: Tensor, labels: Tensor, epsilon: float = 1.0) -> Tensor:
    """Cross-entropy with its first polynomial term weighted up (Leng et al. 2022, arXiv 2204.12511)."""
    right = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    return (
        torch.nn.functional.cross_entropy(logits, labels, reduction="none") + epsilon * (1 - right)
    ).mean()


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "own-loss")
    drawings = draw_sample_data(folder / "drawings", train_per_class=4, val_per_class=2, size=64)
    classifier = Classifier("test_resnet_se", image_size=32, model_args={"norm": "batch"})
    classifier.fit(drawings, recipe="quick", epochs=1, workers=0, progress=False, callbacks=[print_epochs])

    model = classifier.model.train()
    loader = DataLoader(
        PhotoDataset(open_data(drawings).train, classifier.preprocess), batch_size=16, shuffle=True
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for images, labels, _ in loader:
        loss = poly_loss(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"own loss: {loss.item():.3f}. {classifier.evaluate(drawings, workers=0).summary()}")
    classifier.save(folder / "model", training_data="Drawings.", license="Apache-2.0")


if __name__ == "__main__":
    main()
