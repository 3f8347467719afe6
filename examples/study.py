"""Compare two losses at two learning rates over three seeds, on drawn data.

    python examples/study.py [FOLDER] [--quick]

Run it again after ending it in the midst: it goes on. Run it twice at once: both share the work.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import activitynet

STUDY = """
description = "Loss and learning rate, on drawings."
recipe = "quick"
model = "test_resnet_se"
image_size = 64
epochs = 12
seeds = [0, 1, 2]

[model_args]
norm = "batch"

[axes]
optimizer.lr = [2e-3, 6e-3]

[axes.losses]
plain = {}
focal = { loss.name = "focal", loss.smoothing = 0.0 }
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare losses and learning rates on drawn data.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("study"), help="where all of it goes")
    parser.add_argument("--quick", action="store_true", help="far too little of everything, to see it run")
    options = parser.parse_args()

    drawings = options.folder / "drawings"
    if not drawings.exists():
        activitynet.draw_sample_data(
            drawings,
            train_per_class=3 if options.quick else 40,
            val_per_class=2 if options.quick else 10,
            size=64,
        )
    study = options.folder / "losses.toml"
    study.write_text(STUDY, "utf-8")
    result = activitynet.run_study(
        study,
        drawings,
        run=options.folder / "run",
        settings={"epochs": 1, "seeds": [0, 1]} if options.quick else None,
        progress=False,
    )
    for row in result.complete:
        print(f"{row.label}: macro-F1 {row.interval}")
    for sentence in result.sentences:
        print(sentence)
    print(f"The page: {options.folder / 'run' / 'study.html'}")
    return 0


if __name__ == "__main__":  # processes that load photos import this file anew on some systems
    sys.exit(main())
