"""Predict as many photos as there are into one file, in flat memory, and go on after whatever stops it.

    python examples/bulk_prediction.py PHOTOS --weights WEIGHTS --output FILE.csv

Run it again after a kill: it goes on behind the rows that are there. For several machines there is
predict_with_torchrun.py.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

from activitynet import ActivityNetError, Classifier


def main() -> None:
    parser = argparse.ArgumentParser(description="Predict many photos into one file.")
    parser.add_argument("photos")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--output", type=Path, required=True, help="FILE.csv")
    parser.add_argument(
        "--engine", help="auto takes the fastest that is installed: worth it from thousands on"
    )
    options = parser.parse_args()

    classifier = Classifier.load(options.weights, engine=options.engine)
    tally = classifier.predict_to(options.output, options.photos, resume=options.output.exists())
    print(f"{tally.kept} rows were there, {tally.predicted} are new, {tally.failed} photos could not be read")

    with options.output.open(newline="", encoding="utf-8") as file:
        labels = Counter(row["label"] or "no answer" for row in csv.DictReader(file))
    for label, count in labels.most_common():
        print(f"{count:6} {label}")


if __name__ == "__main__":
    try:
        main()
    except ActivityNetError as error:
        sys.exit(f"error: {error}")
