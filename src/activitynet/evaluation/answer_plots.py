"""Pictures of a model's answers: how far its probabilities hold, and what silence buys."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from activitynet.evaluation.bootstrap import Estimate, Floats
from activitynet.evaluation.calibration import BINS, confidence_bins
from activitynet.evaluation.figures import BLUE, GREY, ORANGE, new_figure, one_line, save_figure
from activitynet.evaluation.unknown import risk_coverage


def reliability(
    confidence: Floats, right: NDArray[np.bool_], *, bins: int = BINS, adaptive: bool = False
) -> list[tuple[int, float, float]]:
    """Return how sure a model was and how often it was right, in bins of its confidence.

    Args:
        confidence: Probability of the most probable class, (N,).
        right: Whether that class is the right one, (N,).
        bins: How many.
        adaptive: Bins of as many photos each rather than of equal width.

    Returns:
        For each bin with photos: how many, their mean confidence, and the share that is right.
    """
    which = confidence_bins(confidence, bins=bins, adaptive=adaptive)
    return [
        (int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean()))
        for inside in (which == number for number in range(bins))
        if inside.any()
    ]


def plot_reliability(
    confidence: Floats, right: NDArray[np.bool_], path: str | os.PathLike[str], *, title: str = "Reliability"
) -> None:
    """Draw accuracy against confidence; on the diagonal a model is right as often as it says.

    Args:
        confidence: Probability of the most probable class, (N,).
        right: Whether that class is the right one, (N,).
        path: The PNG or SVG to write.
        title: What stands above.

    Raises:
        StorageError: The picture cannot be written.
    """
    counts, said, was = np.array(reliability(confidence, right)).T
    spread = 1.96 * np.sqrt(was * (1 - was) / counts)
    with new_figure(5, 5.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="right as often as it says")
        upper.errorbar(said, was, spread, color=BLUE, marker="o", capsize=3, label="the model (95 %)")
        upper.set(ylabel="accuracy (0 to 1)", xlim=(0, 1), ylim=(0, 1), title=title)
        upper.legend(frameon=False, loc="upper left")
        lower.hist(confidence, bins=np.linspace(0, 1, BINS + 1), color=BLUE, edgecolor="white")
        lower.set(xlabel="confidence: probability of the class it names", ylabel="photos")
        save_figure(figure, path)


def plot_risk_coverage(
    confidence: Floats, right: NDArray[np.bool_], path: str | os.PathLike[str], *, unknown_below: float = 0.0
) -> None:
    """Draw how often a model is wrong if it answers only for the photos that it is surest of.

    Args:
        confidence: Probability of the most probable class, (N,).
        right: Whether that class is the right one, (N,).
        path: The PNG or SVG to write.
        unknown_below: A threshold to mark; 0 marks none.

    Raises:
        StorageError: The picture cannot be written.
    """
    thresholds, coverage, risk = risk_coverage(confidence, right)
    with new_figure(5, 4.2) as figure:
        axes = figure.subplots()
        axes.plot(100 * coverage, 100 * risk, color=BLUE)
        answered = np.flatnonzero(thresholds >= unknown_below)
        if unknown_below > 0 and len(answered):
            at = answered[-1]
            label = f"unknown below {unknown_below:.2f}"
            axes.plot(100 * coverage[at], 100 * risk[at], "o", color=ORANGE, markersize=9, label=label)
            axes.legend(frameon=False)
        axes.set(
            title="What silence buys",
            xlabel="photos answered, the surest first (%)",
            ylabel="wrong among them (%)",
            xlim=(0, 100),
            ylim=(0, None),
        )
        save_figure(figure, path)


def plot_class_scores(
    names: Sequence[str],
    estimates: Sequence[Estimate | None],
    supports: Sequence[int],
    path: str | os.PathLike[str],
) -> None:
    """Draw each class's F1 with its interval, the best on top.

    Args:
        names: Of the classes.
        estimates: Their F1; `None` for a class without photos, which is left out.
        supports: Photos of each class.
        path: The PNG or SVG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    rows = [row for row in zip(names, estimates, supports, strict=True) if row[1] is not None]
    rows.sort(key=lambda row: row[1].value if row[1] else 0.0)
    with new_figure(7, max(2.0, 1.0 + 0.28 * len(rows))) as figure:
        axes = figure.subplots()
        for at, (_, estimate, _) in enumerate(rows):
            if estimate is not None:
                axes.plot([estimate.low, estimate.high], [at, at], color=GREY)
                axes.plot(estimate.value, at, "o", color=BLUE)
        axes.set_yticks(range(len(rows)), [f"{one_line(name)} ({support})" for name, _, support in rows])
        axes.set(title="F1 of each class (photos), with 95 % interval", xlabel="F1 (0 to 1)", xlim=(0, 1))
        save_figure(figure, path)
