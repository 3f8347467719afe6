"""Draws the picture of the page on performance.

python docs/_pictures/performance.py bulk.json    (what benchmarks/bulk.py wrote with --json)
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

PICTURE = Path(__file__).resolve().parent.parent / "pictures" / "photos-a-second.svg"
OURS, PEER = "#00897b", "#b0bec5"


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    results = json.loads(parser.parse_args().results.read_text("utf-8"))["results"]
    # The same picture from the same numbers.
    with matplotlib.rc_context({"svg.hashsalt": "activitynet"}):
        draw_rates(results).savefig(PICTURE, metadata={"Date": None})


def draw_rates(results: dict[str, Any]) -> Figure:
    """Draw how many photos a second each way labels."""
    rows = list(reversed(results["rows"]))
    names = [row["way"] for row in rows]
    rates = [results["count"] / statistics.median(row["seconds"]) for row in rows]
    figure = Figure(figsize=(8, 0.5 + 0.4 * len(rows)), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh(names, rates, color=[OURS if name.startswith("activitynet") else PEER for name in names])
    axis.bar_label(bars, fmt="%.0f", padding=3)
    axis.set(xlabel="photos a second, from disk to label", xlim=(0, 1.1 * max(rates)))
    axis.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
