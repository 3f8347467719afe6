"""Teach a pretrained network your own labels, see how well it does, and use it.

    python examples/own_photos.py PHOTOS [--run FOLDER] [--model NAME] [--init-from FOLDER]

PHOTOS holds one folder a class: PHOTOS/cats/1.jpg, PHOTOS/dogs/2.jpg. A fifth of each class is held out to
score by, unless there are PHOTOS/train and PHOTOS/val.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from activitynet import ActivityNetError, Classifier

MODEL = "timm/tf_efficientnet_lite0"


def main() -> None:
    parser = argparse.ArgumentParser(description="Fine-tune a network on your own photos.")
    parser.add_argument("photos", type=Path, help="folder with one folder a class")
    parser.add_argument("--run", type=Path, default=Path("runs/own-photos"), help="where the run goes")
    parser.add_argument("--model", default=MODEL, help=f"network ({MODEL})")
    parser.add_argument("--init-from", help="pretrained weights: a folder, or timm/NAME (those of the model)")
    parser.add_argument("--epochs", type=int, help="passes over the photos (the recipe's)")
    options = parser.parse_args()

    classifier = Classifier(options.model, init_from=options.init_from or options.model)
    result = classifier.fine_tune(options.photos, run=options.run, epochs=options.epochs)
    print(f"Best epoch: {result.best_epoch}")

    scores = classifier.evaluate(options.photos)
    print(scores.summary())
    for entry in sorted(scores.classes, key=lambda entry: entry.f1):
        if entry.support:
            print(f"  F1 {entry.f1:.2f} on {entry.support:4} photos  {entry.name}")

    # What you write into the card travels with the weights: say what they learned from, and what is allowed.
    weights = classifier.save(
        options.run / "model",
        training_data=f"My photos in {options.photos.name}.",
        license="all rights reserved",
    )

    # From here on, this could be another program on another machine: the folder is all that it takes.
    loaded = Classifier.load(weights)
    failed = 0
    for prediction in loaded.predict(options.photos, top=3):
        if prediction.error is not None:
            failed += 1
        elif prediction.probability < 0.5:
            print(f"  not sure of {prediction.source}: {prediction.label} {prediction.probability:.0%}")
    print(f"{failed} photos could not be read. The weights are in {weights}.")


if __name__ == "__main__":  # processes that load photos import this file anew on some systems
    try:
        main()
    except ActivityNetError as error:
        sys.exit(f"error: {error}")
