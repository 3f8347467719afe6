"""Pictures of a training run and of a classifier's mistakes, in one style."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from activitynet.evaluation.figures import BLUE, GREEN, GREY, ORANGE, new_figure, one_line, save_figure
from activitynet.evaluation.metrics import Scores


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
    """Draw each class's F1 over the epochs, the best class of the last epoch on top.

    Args:
        history: One mapping an epoch, in order, with ``epoch`` and ``per_class_f1``: a number in [0, 1]
            for each class, or `None` for a class without validation photos.
        classes: Class names, in the order of those numbers.
        path: The PNG or SVG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    values = np.array([row["per_class_f1"] for row in history], dtype=float).T  # None becomes NaN
    last = values[:, -1]
    order = np.argsort(-last, kind="stable")  # NaN goes last
    labels = [
        f"{one_line(classes[index])}  " + ("no photos" if np.isnan(last[index]) else f"{last[index]:.2f}")
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
        axes.set(title=f"F1 on validation photos (as numbers: after epoch {end})", xlabel="epoch")
        figure.colorbar(image, ax=axes, label="F1", fraction=0.04, pad=0.02)
        save_figure(figure, path)


def plot_learning_rates(
    rates: Sequence[float],
    losses: Sequence[float],
    suggestion: float,
    path: str | os.PathLike[str],
) -> None:
    """Draw the losses that a learning-rate search met, and the rate that it suggests.

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
        scores: What to draw.
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
