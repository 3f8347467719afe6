"""From nothing to predictions in minutes: draw data, train a small network on it, and use it.

    python examples/quickstart.py [FOLDER] [--quick]

The data are drawings, so the score says that everything works, and nothing about photos.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path

import activitynet

GOOD_ENOUGH = 0.90
"""Macro-F1 on held-out drawings below which something is broken."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw data, train a small network on it, and predict.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("quickstart"), help="where all of it goes"
    )
    parser.add_argument("--quick", action="store_true", help="far too little of everything, to see it run")
    options = parser.parse_args()
    run = options.folder / f"run-{datetime.now():%Y%m%d-%H%M%S}"

    print("1. Drawing 20 activities …")
    drawings = activitynet.draw_sample_data(
        options.folder / "drawings",
        train_per_class=3 if options.quick else 120,
        val_per_class=2 if options.quick else 25,
        size=96,
    )

    print("2. Training a small network …")
    # Batch norms learn faster than the network's own group norms where there are minutes, not hours.
    classifier = activitynet.Classifier("test_resnet_se", image_size=64, model_args={"norm": "batch"})
    classifier.fit(drawings, run=run, recipe="quick", epochs=1 if options.quick else 16)
    scores = classifier.evaluate(drawings, split="val")
    print(f"   Held-out drawings: {scores.summary()}")

    print("3. Saving it, loading it, and predicting drawings that it has not seen …")
    weights = classifier.save(
        options.folder / "model", training_data="Pictograms drawn by activitynet.", license="Apache-2.0"
    )
    loaded = activitynet.Classifier.load(weights)
    unseen = [sorted(folder.iterdir())[0] for folder in sorted((drawings / "val").iterdir())[:8]]
    for prediction in loaded.predict(unseen):
        print(f"   {prediction.label:25} {prediction.probability:4.0%}  {prediction.source}")

    print("4. To look at:")
    for plot in sorted((run / "plots").glob("*.png")):
        print(f"   {plot}")
    print(f"   {weights}, the trained weights. Try: activitynet predict PHOTO --weights {weights}")

    if not options.quick and scores.macro_f1 < GOOD_ENOUGH:
        print(f"error: macro-F1 is {scores.macro_f1:.3f}, below {GOOD_ENOUGH:.2f}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":  # processes that load photos import this file anew on some systems
    sys.exit(main())
