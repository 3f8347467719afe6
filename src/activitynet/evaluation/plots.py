"""The one style of all pictures: palette, axes, and how a figure becomes a file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from activitynet.evaluation.calibration import risk_coverage
from activitynet.evaluation.metrics import Scores
from activitynet.evaluation.stats import BINS, Estimate, Floats, confidence_bins
from activitynet.serialization import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Okabe and Ito's palette stays apart for colour-blind readers (https://jfly.uni-koeln.de/color/).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"

_STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.wspace": 0.06,
    "figure.constrained_layout.hspace": 0.06,
    "figure.dpi": 120,
    "font.size": 10,
    "grid.alpha": 0.3,
    "lines.linewidth": 2,
    "svg.fonttype": "none",  # text that can be searched, and read aloud
    "svg.hashsalt": "activitynet",  # the same picture is the same file
    "text.parse_math": False,  # a dollar sign in a class name is a dollar sign
}


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """Yield a figure that uses no window system and no global state.

    Args:
        width: In inches.
        height: In inches.
    """
    import matplotlib  # noqa: PLC0415  heavy, and only plots need it
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format that the path's suffix names: ``.png`` or ``.svg``.

    Raises:
        StorageError: The picture cannot be written.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
    atomic.write_bytes(path, buffer.getvalue())


def one_line(name: str, longest: int = 30) -> str:
    """Return a name on one line, cut to a length that leaves room for the plot."""
    line = " ".join(name.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def plot_learning_curves(
    history: Sequence[Mapping[str, Any]],
    path: str | os.PathLike[str],
    timings: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Draw loss, scores, learning rate and throughput against epochs.

    Args:
        history: One mapping an epoch with ``epoch``, ``loss``, ``macro_f1``, ``accuracy`` and ``lr``;
            epoch 0 is the state before training and has no ``loss``.
        path: The PNG or SVG to write.
        timings: One mapping an epoch with ``epoch``, ``images_per_second`` and ``seconds``. Without any,
            throughput is not drawn.

    Raises:
        StorageError: The picture cannot be written.
    """
    trained = [row for row in history if row.get("loss") is not None]
    timed = [row for row in timings if row["epoch"] > 0]
    end = max(1, history[-1]["epoch"])
    dots: Any = {"marker": "o" if end <= 50 else "", "markersize": 3}
    with new_figure(10, 6.6 if timed else 3.6) as figure:
        panels: Iterator[Any] = iter(figure.subplots(2, 2).flat if timed else figure.subplots(1, 3))

        def draw(title: str, rows: Sequence[Mapping[str, Any]], name: str, colour: str) -> Any:
            axes = next(panels)
            axes.plot([row["epoch"] for row in rows], [row[name] for row in rows], color=colour, **dots)
            axes.set(title=title, xlabel="epoch", xlim=(-0.03 * end, 1.03 * end))
            axes.xaxis.get_major_locator().set_params(integer=True)
            return axes

        draw("Training loss", trained, "loss", BLUE).set(ylabel="loss")

        quality = draw("On validation photos", history, "macro_f1", ORANGE)
        best = max(history, key=lambda row: row["macro_f1"])
        quality.plot(
            [row["epoch"] for row in history],
            [row["accuracy"] for row in history],
            color=GREEN,
            linestyle="--",
            **dots,
        )
        quality.plot(
            best["epoch"],
            best["macro_f1"],
            "o",
            color=ORANGE,
            fillstyle="none",
            markersize=9,
            markeredgewidth=1.5,
        )
        names = ["macro-F1", "accuracy", f"best, {best['macro_f1']:.3f} at epoch {best['epoch']}"]
        quality.legend(quality.lines, names, frameon=False, fontsize=9)
        quality.set(ylabel="score (0 to 1)")

        rate = draw("Learning rate", trained, "lr", GREY)
        highest = max((row["lr"] for row in trained), default=0.0)
        rate.set(ylabel="rate at the end of the epoch", ylim=(0, 1.1 * highest or 1.0))
        rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))

        if timed:
            minutes = sum(row["seconds"] for row in timings) / 60
            speed = draw(f"Throughput ({minutes:.1f} minutes in all)", timed, "images_per_second", BLUE)
            fastest = max(row["images_per_second"] for row in timed)
            speed.set(ylabel="training photos a second", ylim=(0, 1.1 * fastest or 1.0))
        save_figure(figure, path)


def plot_per_class_f1(
    history: Sequence[Mapping[str, Any]], classes: Sequence[str], path: str | os.PathLike[str]
) -> None:
    """Draw each class's F1 over the epochs, sorted by the best epoch, whose weights a run keeps.

    Args:
        history: One mapping an epoch, in order, with ``epoch``, ``macro_f1`` and ``per_class_f1``: a number
            in [0, 1] for each class, or `None` for a class without validation photos.
        classes: Class names, in the order of those numbers.
        path: The PNG or SVG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    values = np.array([row["per_class_f1"] for row in history], dtype=float).T  # None becomes NaN
    best = max(range(len(history)), key=lambda row: history[row]["macro_f1"])
    kept = values[:, best]
    order = np.argsort(-kept, kind="stable")  # NaN goes last
    labels = [
        f"{one_line(classes[index])}  " + ("no photos" if np.isnan(kept[index]) else f"{kept[index]:.2f}")
        for index in order
    ]
    first, end = history[0]["epoch"], history[-1]["epoch"]
    with new_figure(10, max(2.4, 1.3 + 0.27 * len(labels))) as figure:
        axes: Any = figure.subplots()
        axes.set_facecolor("#DDDDDD")
        image = axes.imshow(
            values[order],
            cmap="viridis",
            vmin=0,
            vmax=1,
            aspect="auto",
            interpolation="nearest",
            extent=(first - 0.5, end + 0.5, len(labels) - 0.5, -0.5),
        )
        axes.grid(visible=False)
        axes.set_yticks(range(len(labels)), labels, fontsize=9)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        at = history[best]["epoch"]
        axes.set(title=f"F1 on validation photos (numbers: epoch {at}, the best)", xlabel="epoch")
        figure.colorbar(image, ax=axes, label="F1", fraction=0.04, pad=0.02)
        save_figure(figure, path)


def plot_learning_rates(
    rates: Sequence[float],
    losses: Sequence[float],
    suggestion: float,
    path: str | os.PathLike[str],
) -> None:
    """Draw the losses of a learning-rate search and the suggested rate.

    Args:
        rates: Learning rates tried, greater than 0 and ascending.
        losses: The smoothed loss at each.
        suggestion: The rate to mark.
        path: The PNG or SVG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    from matplotlib.ticker import LogFormatter  # noqa: PLC0415  as above

    with new_figure(7, 4) as figure:
        axes = figure.subplots()
        axes.plot(rates, losses, color=BLUE)
        axes.axvline(suggestion, color=ORANGE, linestyle="--", label=f"suggestion: {suggestion:.2g}")
        axes.set(title="Learning-rate search", xlabel="learning rate", ylabel="smoothed loss", xscale="log")
        axes.xaxis.set_major_formatter(LogFormatter())  # powers of ten without math text, which is off
        axes.legend(frameon=False)
        save_figure(figure, path)


def plot_confusion(scores: Scores, path: str | os.PathLike[str]) -> None:
    """Draw the confusion matrix of the classes that have photos or are predicted.

    Cells are coloured by the share of the true class's photos and hold the counts.

    Args:
        scores: The scores to draw.
        path: The PNG or SVG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    counts = np.asarray(scores.confusion)
    shown = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts = counts[np.ix_(shown, shown)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [one_line(scores.classes[index].name) for index in shown]
    side = max(4.0, 1.9 + 0.42 * len(names))
    with new_figure(side + 0.8, side) as figure:
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        axes.set_xticks(
            range(len(names)),
            names,
            rotation=60,
            ha="right",
            rotation_mode="anchor",
            fontsize=9,
        )
        axes.set_yticks(
            range(len(names)),
            [f"{name} ({support})" for name, support in zip(names, counts.sum(axis=1), strict=True)],
            fontsize=9,
        )
        size = 9 if len(names) <= 25 else max(3.0, 225 / len(names))
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=size)
        axes.set(xlabel="predicted", ylabel="true (photos)")
        axes.set_title(
            f"{scores.photos} photos · accuracy {scores.accuracy:.3f}\n"
            f"macro-F1 {scores.macro_f1:.3f} over {len(scores.scored)} classes"
        )
        figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.04)
        save_figure(figure, path)


def reliability(
    confidence: Floats, correct: NDArray[np.bool_], *, bins: int = BINS, adaptive: bool = False
) -> list[tuple[int, float, float]]:
    """Return confidence and accuracy in bins of confidence.

    Args:
        confidence: Probability of the most probable class, (N,).
        correct: Whether that class is the right one, (N,).
        bins: Number of bins.
        adaptive: Bins with equal numbers of photos, not of equal width.

    Returns:
        For each bin with photos: their number, mean confidence and accuracy.
    """
    which = confidence_bins(confidence, bins=bins, adaptive=adaptive)
    return [
        (int(inside.sum()), float(confidence[inside].mean()), float(correct[inside].mean()))
        for inside in (which == number for number in range(bins))
        if inside.any()
    ]


def plot_reliability(
    confidence: Floats,
    correct: NDArray[np.bool_],
    path: str | os.PathLike[str],
    *,
    title: str = "Reliability",
) -> None:
    """Draw accuracy against confidence; a calibrated model lies on the diagonal.

    Args:
        confidence: Probability of the most probable class, (N,).
        correct: Whether that class is the right one, (N,).
        path: The PNG or SVG to write.
        title: Title of the plot.

    Raises:
        StorageError: The picture cannot be written.
    """
    counts, mean_confidence, accuracy = np.array(reliability(confidence, correct)).T
    spread = 1.96 * np.sqrt(accuracy * (1 - accuracy) / counts)
    with new_figure(5, 5.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfect calibration")
        upper.errorbar(
            mean_confidence,
            accuracy,
            spread,
            color=BLUE,
            marker="o",
            capsize=3,
            label="model (95 % interval)",
        )
        upper.set(ylabel="accuracy (0 to 1)", xlim=(0, 1), ylim=(0, 1), title=title)
        upper.legend(frameon=False, loc="upper left")
        lower.hist(confidence, bins=np.linspace(0, 1, BINS + 1), color=BLUE, edgecolor="white")
        lower.set(xlabel="confidence: probability of the predicted class", ylabel="photos")
        save_figure(figure, path)


def plot_risk_coverage(
    confidence: Floats,
    correct: NDArray[np.bool_],
    path: str | os.PathLike[str],
    *,
    unknown_below: float = 0.0,
) -> None:
    """Draw the risk–coverage curve: the error rate among the most confident share of the photos.

    Args:
        confidence: Probability of the most probable class, (N,).
        correct: Whether that class is the right one, (N,).
        path: The PNG or SVG to write.
        unknown_below: A threshold to mark; 0 marks none.

    Raises:
        StorageError: The picture cannot be written.
    """
    thresholds, coverage, risk = risk_coverage(confidence, correct)
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
            title="Risk–coverage curve",
            xlabel="coverage: photos answered, most confident first (%)",
            ylabel="risk: wrong answers among them (%)",
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
        names: Class names.
        estimates: F1 of each class; `None` for a class without photos, which is left out.
        supports: Number of photos of each class.
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
