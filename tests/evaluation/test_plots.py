from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from activitynet.data.dataset import ACTIVITIES
from activitynet.evaluation import (
    plot_confusion,
    plot_learning_curves,
    plot_learning_rates,
    plot_per_class_f1,
    score,
)


def history(epochs: int, classes: int = 20) -> list[dict[str, Any]]:
    """What a run of so many epochs writes down; the class before the last has no photos."""
    rows: list[dict[str, Any]] = []
    for epoch in range(epochs + 1):
        quality = 1 - math.exp(-3 * epoch / max(1, epochs))
        f1: list[float | None] = [quality * (index + 1) / classes for index in range(classes)]
        f1[-2] = None
        scores = {"macro_f1": 0.6 * quality, "accuracy": 0.7 * quality, "per_class_f1": f1}
        rows.append({"epoch": epoch, "loss": 3 - 2 * quality if epoch else None, "lr": 1e-3, **scores})
    return rows


def timings(epochs: int) -> list[dict[str, float]]:
    return [
        {"epoch": epoch, "images_per_second": 40.0 if epoch else 0.0, "seconds": 60.0}
        for epoch in range(epochs + 1)
    ]


def pixels(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("epochs", [0, 1, 60])
def test_learning_curves_of_any_length(tmp_path: Path, epochs: int) -> None:
    plot_learning_curves(history(epochs), tmp_path / "curves.png")
    plot_learning_curves(history(epochs), tmp_path / "timed.png", timings(epochs))
    plain, timed = pixels(tmp_path / "curves.png"), pixels(tmp_path / "timed.png")
    assert plain.shape[1] > 1000
    assert plain.std() > 5
    assert (timed.shape[0] > plain.shape[0]) == (epochs > 0)  # the panel of the throughput


def test_a_run_of_no_rate_and_no_speed_is_drawn(tmp_path: Path) -> None:
    rows = [{**row, "lr": 0.0} for row in history(1)]
    plot_learning_curves(
        rows, tmp_path / "curves.png", [{"epoch": 1, "images_per_second": 0.0, "seconds": 0.0}]
    )
    assert (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("epochs", [0, 1, 40])
def test_per_class_f1_of_any_length(tmp_path: Path, epochs: int) -> None:
    plot_per_class_f1(history(epochs), ACTIVITIES, tmp_path / "f1.png")
    assert pixels(tmp_path / "f1.png").std() > 5


def test_per_class_f1_is_sorted_and_shows_classes_without_photos_last(tmp_path: Path) -> None:
    # The second epoch is the best; in the last one the order is the other way round.
    rows = [{"epoch": epoch, "macro_f1": 0.5, "per_class_f1": [0.0, 1.0, None]} for epoch in range(30)]
    rows += [{"epoch": 30, "macro_f1": 0.1, "per_class_f1": [1.0, 0.0, None]}]
    plot_per_class_f1(rows, ["worst", "best", "unseen"], tmp_path / "f1.png")
    image = pixels(tmp_path / "f1.png")
    column = image[:, image.shape[1] // 2]  # through the heat map
    hues = {"best": (253, 231, 37), "worst": (68, 1, 84), "unseen": (221, 221, 221)}
    rows_of = {name: np.flatnonzero(np.abs(column - hue).max(axis=1) < 3) for name, hue in hues.items()}
    assert all(len(found) > 20 for found in rows_of.values())
    assert rows_of["best"].max() < rows_of["worst"].min()
    assert rows_of["worst"].max() < rows_of["unseen"].min()


def test_learning_rates_mark_their_suggestion(tmp_path: Path) -> None:
    rates = [10 ** (-6 + 6 * index / 99) for index in range(100)]
    losses = [3.0] * 99 + [9.0]

    def marked(suggestion: float) -> float:
        plot_learning_rates(rates, losses, suggestion, tmp_path / "rates.png")
        image = pixels(tmp_path / "rates.png")
        orange = np.abs(image - (0xD5, 0x5E, 0x00)).max(axis=2) < 3
        return float(orange.sum(axis=0).argmax()) / image.shape[1]

    assert 0.1 < marked(1e-5) < 0.35 < marked(1e-3) < 0.65 < marked(1e-1) < 0.9


@pytest.mark.parametrize("classes", [2, 40])
def test_pictures_grow_with_their_classes_and_survive_odd_names(tmp_path: Path, classes: int) -> None:
    names = [f"$class_{index}$ <b>\n" for index in range(classes)]
    truth = np.arange(classes * 3) % classes
    plot_confusion(score(truth, (truth * 7) % classes, names), tmp_path / "confusion.png")
    assert min(pixels(tmp_path / "confusion.png").shape[:2]) >= 400
    plot_per_class_f1(history(3, classes), names, tmp_path / "f1.png")
    assert pixels(tmp_path / "f1.png").shape[0] >= 32 * classes


def test_confusion_leaves_out_classes_that_do_not_occur(tmp_path: Path) -> None:
    def width(classes: int) -> int:
        scores = score([0, 1], [1, 1], [str(index) for index in range(classes)])
        plot_confusion(scores, tmp_path / "confusion.png")
        return pixels(tmp_path / "confusion.png").shape[1]

    assert width(2) == width(40)
