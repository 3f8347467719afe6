"""Pictures of a training run and of a classifier's mistakes, in one style."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from activitynet import atomic
from activitynet.evaluation.metrics import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette stays apart for colour-blind readers (https://jfly.uni-koeln.de/color/).
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#999999"

_STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 120,
    "font.size": 10,
    "grid.alpha": 0.3,
    "lines.linewidth": 2,
    "text.parse_math": False,  # a dollar sign in a class name is a dollar sign
}


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """Yield a figure that belongs to no window system and no global state."""
    import matplotlib  # noqa: PLC0415  heavy, and only plots need it
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    atomic.write_bytes(path, buffer.getvalue())


def plot_learning_curves(history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Draw loss, score and learning rate against epochs.

    Args:
        history: One mapping an epoch with ``epoch``, ``loss``, ``macro_f1``, ``accuracy`` and ``lr``;
            epoch 0 is the state before training and has no ``loss``.
        path: The PNG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    trained = [row for row in history if row.get("loss") is not None]
    epochs = [row["epoch"] for row in history]
    with _figure(11, 3.6) as figure:
        loss, quality, rate = figure.subplots(1, 3)
        steps = [row["epoch"] for row in trained]
        loss.plot(steps, [row["loss"] for row in trained], color=_BLUE, marker="o", markersize=3)
        loss.set(title="Training loss", xlabel="epoch", ylabel="loss (nats)")

        f1 = [row["macro_f1"] for row in history]
        quality.plot(epochs, f1, color=_ORANGE, marker="o", markersize=3, label="macro-F1")
        quality.plot(
            epochs, [row["accuracy"] for row in history], color=_GREEN, linestyle="--", label="accuracy"
        )
        best = int(np.argmax(f1))
        quality.annotate(
            f"best {f1[best]:.3f}\nepoch {epochs[best]}",
            (epochs[best], f1[best]),
            xytext=(0, -34),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
        quality.set(title="On validation photos", xlabel="epoch", ylabel="score (0 to 1)")
        quality.legend(frameon=False, loc="lower right")

        rate.plot(steps, [row["lr"] for row in trained], color=_GREY, marker="o", markersize=3)
        rate.set(title="Learning rate at the end of the epoch", xlabel="epoch", ylabel="rate")
        rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        for axes in (loss, quality, rate):
            axes.xaxis.get_major_locator().set_params(integer=True)
        _save(figure, path)


def plot_confusion(scores: Scores, path: str | os.PathLike[str]) -> None:
    """Draw the confusion matrix of the classes that have photos or are predicted.

    Cells are coloured by the share of the true class's photos and hold the counts.

    Args:
        scores: What to draw.
        path: The PNG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    counts = np.asarray(scores.confusion)
    shown = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts = counts[np.ix_(shown, shown)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [" ".join(scores.classes[index].name.split()) for index in shown]
    side = max(4.0, 1.9 + 0.42 * len(names))
    with _figure(side + 0.8, side) as figure:
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
        _save(figure, path)
