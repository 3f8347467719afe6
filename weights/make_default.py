"""Make the model that comes with the package out of trained weights.

    python weights/make_default.py runs/student/model photos/

The weights are rounded to float16 first. The temperature is then fitted, and the scores are measured, with
what is left, on the validation photos of ``photos/``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from photos import LICENCE, LITE0, SOURCES

from activitynet import Classifier
from activitynet.data.open import open_data
from activitynet.training.card_facts import training_text
from activitynet.weights import DEFAULT, find_weights


def main(arguments: list[str] | None = None) -> None:
    """Write the folder of the package's model, and print what it scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights", help="trained weights: a folder such as runs/student/model")
    parser.add_argument("data", type=Path, help="the photos, split into train and val")
    parser.add_argument("--to", type=Path, default=find_weights(DEFAULT), help="where to write them")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rounded = Classifier.load(options.weights).save(Path(folder) / "rounded", half=True)
        classifier = Classifier.load(rounded)
    photos = open_data(options.data, classes=classifier.classes)
    found = classifier.calibrate(photos)
    scores = classifier.evaluate(photos)
    about = f"{training_text(photos)} {SOURCES} Begun from {LITE0}."
    classifier.save(options.to, half=True, training_data=about, license=LICENCE, scores=scores)
    print(scores.summary())
    print(f"temperature {found.temperature:.3f}; ECE on halves not fitted to {found.ece_held_out:.4f}")
    print(f"{options.to}: {sum(file.stat().st_size for file in options.to.iterdir()):,} bytes")


if __name__ == "__main__":
    main()
