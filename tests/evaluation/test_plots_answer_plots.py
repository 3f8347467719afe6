from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from activitynet.evaluation import Estimate
from activitynet.evaluation.plots import plot_class_scores, plot_reliability, plot_risk_coverage, reliability

CONFIDENCE = np.array([0.95, 0.9, 0.62, 0.61, 0.3])
RIGHT = np.array([True, True, True, False, False])


def text_of(path: Path) -> str:
    return " ".join(ElementTree.fromstring(path.read_text("utf-8")).itertext())  # noqa: S314 - our own file


def test_reliability_worked_by_hand() -> None:
    found = reliability(CONFIDENCE, RIGHT, bins=10)
    assert found == [(1, 0.3, 0.0), (2, pytest.approx(0.615), 0.5), (2, pytest.approx(0.925), 1.0)]
    assert [photos for photos, _, _ in reliability(CONFIDENCE, RIGHT, bins=2, adaptive=True)] == [3, 2]


def test_pictures_say_what_their_axes_are_in_png_and_svg(tmp_path: Path) -> None:
    for suffix in ("png", "svg"):
        plot_reliability(CONFIDENCE, RIGHT, tmp_path / f"reliability.{suffix}")
        plot_risk_coverage(CONFIDENCE, RIGHT, tmp_path / f"risk.{suffix}", unknown_below=0.615)
        plot_class_scores(
            ["<b>$x$\n", "gone", "y"],
            [Estimate(0.5, 0.25, 0.75), None, Estimate(0.9, 0.8, 1.0)],
            [3, 0, 4],
            tmp_path / f"classes.{suffix}",
        )
    assert (tmp_path / "risk.png").read_bytes().startswith(b"\x89PNG")
    assert "accuracy (0 to 1)" in text_of(tmp_path / "reliability.svg")
    assert "coverage: photos answered, most confident first (%)" in text_of(tmp_path / "risk.svg")
    assert "unknown below 0.61" in text_of(tmp_path / "risk.svg")
    classes = text_of(tmp_path / "classes.svg")
    assert "<b>$x$ (3)" in classes
    assert "gone" not in classes


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        plot_reliability(CONFIDENCE, RIGHT, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
