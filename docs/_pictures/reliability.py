"""Draws how far released weights' probabilities hold, and prints what they confuse most.

python docs/_pictures/reliability.py default photos/ docs/pictures/default-reliability.svg

``photos/`` are the photos that the weights' pages speak of, split into train and val.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from activitynet import Classifier, Ensemble
from activitynet.data.opening import open_data
from activitynet.evaluation.answer_plots import reliability
from activitynet.evaluation.calibration import expected_calibration_error, fit_temperature, log_softmax
from activitynet.evaluation.diagnosis import confusions
from activitynet.weights import find_weights, is_ensemble

OURS, GREY = "#00897b", "#b0bec5"


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("data", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    folder = find_weights(options.weights)
    model = (Ensemble if is_ensemble(folder) else Classifier).load(folder)
    answers = model.answer(open_data(options.data, classes=model.classes))
    logits, labels = answers.logits.astype(np.float64), answers.labels
    panels = {
        "without its temperature": np.exp(log_softmax(logits)),
        "each half by a temperature fitted on the other": held_out(logits, labels, answers.groups),
    }
    with matplotlib.rc_context({"svg.hashsalt": "activitynet", "svg.fonttype": "none"}):
        drawn(panels, labels).savefig(options.picture, metadata={"Date": None})
    for pair in confusions(answers):
        print(f"| {pair.label} | {pair.predicted} | {pair.count} | {pair.share:.0%} | {pair.damage:.3f} |")


def held_out(
    logits: NDArray[np.float64], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return probabilities by temperatures that were fitted on other photos."""
    count = int(groups.max()) + 1
    first = np.isin(groups, np.random.default_rng(0).permutation(count)[: count // 2])
    held = np.empty_like(logits)
    for half in (first, ~first):
        held[~half] = logits[~half] / fit_temperature(logits[half], labels[half])
    return np.exp(log_softmax(held))


def drawn(panels: dict[str, NDArray[np.float64]], labels: NDArray[np.int64]) -> Figure:
    """Draw accuracy against confidence, a panel for each set of probabilities."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    for axis, (title, odds) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        counts, said, was = np.array(reliability(odds.max(axis=1), odds.argmax(axis=1) == labels)).T
        spread = 1.96 * np.sqrt(was * (1 - was) / counts)
        axis.plot([0, 1], [0, 1], color=GREY, linestyle="--")
        axis.errorbar(said, was, spread, color=OURS, marker="o", capsize=3)
        error = expected_calibration_error(odds, labels)
        axis.set(title=f"{title}\ncalibration error {error:.3f}", xlim=(0, 1), ylim=(0, 1))
        axis.set(xlabel="how sure it is", ylabel="how often it is right")
        axis.spines[["top", "right"]].set_visible(False)
        axis.label_outer()
    return figure


if __name__ == "__main__":
    main()
