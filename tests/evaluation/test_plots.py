from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from activitynet.evaluation import plot_confusion, plot_learning_curves, score

HISTORY = [
    {"epoch": 0, "loss": None, "lr": 0.0, "macro_f1": 0.1, "accuracy": 0.2},
    {"epoch": 1, "loss": 2.0, "lr": 1e-3, "macro_f1": 0.5, "accuracy": 0.5},
    {"epoch": 2, "loss": 1.5, "lr": 0.0, "macro_f1": 0.4, "accuracy": 0.6},
]


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_learning_curves_of_any_length(tmp_path: Path, epochs: int) -> None:
    plot_learning_curves(HISTORY[:epochs], tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.width > 1000
        assert np.asarray(image.convert("L")).std() > 5


@pytest.mark.parametrize("classes", [2, 20, 60])
def test_confusion_grows_with_its_classes_and_survives_odd_names(tmp_path: Path, classes: int) -> None:
    names = [f"$class_{index}$ <b>\n" for index in range(classes)]
    truth = np.arange(classes * 3) % classes
    plot_confusion(score(truth, (truth * 7) % classes, names), tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as image:
        assert min(image.size) >= 400


def test_confusion_leaves_out_classes_that_do_not_occur(tmp_path: Path) -> None:
    def width(classes: int) -> int:
        scores = score([0, 1], [1, 1], [str(index) for index in range(classes)])
        plot_confusion(scores, tmp_path / "confusion.png")
        with Image.open(tmp_path / "confusion.png") as image:
            return image.width

    assert width(2) == width(40)
