"""Draw what ``benchmarks/train.py --json`` found: ours, and the peer at its best.

Usage: ``python benchmarks/plot_train.py train.json docs/images/training-speed.svg``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

_COLOURS = {"ours": "#00897b", "ours, compile = false": "#80cbc4", "ours, eager fp32": "#b0bec5"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", nargs="+", type=Path, help="files that train.py wrote")
    parser.add_argument("picture", type=Path, help="the SVG to write")
    arguments = parser.parse_args()
    results = [found for path in arguments.results for found in json.loads(path.read_text())["results"]]
    figure = Figure(figsize=(8, 1.5 * len(results)), layout="constrained")
    axes = figure.subplots(len(results), 1, squeeze=False)
    for axis, found in zip(axes[:, 0], results, strict=True):
        rows = [row for row in found["rows"] if row["name"] in _COLOURS or row["name"] == found["best_peer"]]
        names = [row["name"] for row in reversed(rows)]
        speeds = [row["images_per_second"] for row in reversed(rows)]
        bars = axis.barh(names, speeds, color=[_COLOURS.get(name, "#ffb300") for name in names])
        axis.bar_label(bars, fmt="%.0f", padding=3)
        axis.set_xlim(0, 1.12 * max(speeds))
        axis.set_title(f"{found['model']}, {found['size']} pixels: images a second", loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    # The same picture from the same numbers.
    with matplotlib.rc_context({"svg.hashsalt": "activitynet"}):
        figure.savefig(arguments.picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
