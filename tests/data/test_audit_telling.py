from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from activitynet.data.audit import spurious_correlations
from activitynet.data.dataset import Photo

CLASSES = ("cat", "dog", "bird", "fox")
COUNT = 200


def photos(labels: np.ndarray, *, sources: list[str] | None = None, group: bool = False) -> list[Photo]:
    return [
        Photo(
            Path(f"{index}.jpg"),
            int(label),
            group=f"g{index // 10}" if group else "",
            source=sources[index] if sources else "",
        )
        for index, label in enumerate(labels)
    ]


def rate(message: str) -> float:
    (found,) = re.findall(r"accuracy of (\d+)%", message)
    return float(found) / 100


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def labels() -> np.ndarray:
    return np.arange(COUNT) % 4


SIZE = [(64, 64)] * COUNT
JPEG = ["JPEG"] * COUNT


def test_facts_that_have_nothing_to_do_with_the_class_are_no_finding(
    rng: np.random.Generator, labels: np.ndarray
) -> None:
    sizes = [(int(w), int(h)) for w, h in rng.integers(32, 99, (COUNT, 2))]
    formats = rng.choice(["JPEG", "PNG"], COUNT).tolist()
    sources = rng.choice(["a", "b", ""], COUNT).tolist()
    assert spurious_correlations(photos(labels, sources=sources), sizes, formats, CLASSES) == []
    assert spurious_correlations(photos(labels), SIZE, JPEG, CLASSES) == []
    assert spurious_correlations([], [], [], CLASSES) == []


def test_each_fact_that_gives_a_class_away_is_a_finding_of_its_own(labels: np.ndarray) -> None:
    sizes = [(64 + int(label == 1), 64) for label in labels]
    formats = ["PNG" if label == 2 else "JPEG" for label in labels]
    sources = ["web" if label == 3 else "phone" for label in labels]
    found = spurious_correlations(photos(labels, sources=sources), sizes, formats, CLASSES)
    assert [finding.kind for finding in found] == ["spurious_size", "spurious_format", "spurious_source"]
    for finding, name in zip(found, ("dog", "bird", "fox"), strict=True):
        # One class is always told, of the other three one is guessed: (1 + 1) / 4.
        assert rate(finding.message) == 0.5
        assert "(chance: 25%)" in finding.message
        assert f"'{name}' (100%)" in finding.message


def test_the_shape_counts_whatever_the_size(rng: np.random.Generator, labels: np.ndarray) -> None:
    heights = rng.integers(100, 4000, COUNT)
    sizes = [
        (int(h * (1.5 if label == 0 else 1.3)), int(h)) for h, label in zip(heights, labels, strict=True)
    ]
    (finding,) = spurious_correlations(photos(labels), sizes, JPEG, CLASSES)
    assert rate(finding.message) > 0.4
    assert "'cat' (100%)" in finding.message


def test_what_a_group_shares_is_not_learned_from_the_group(
    rng: np.random.Generator,
) -> None:
    labels = np.repeat(np.arange(COUNT // 10) % 4, 10)
    sizes = [(int(side), 64) for side in np.repeat(rng.permutation(COUNT // 10) + 64, 10)]
    assert spurious_correlations(photos(labels, group=True), sizes, JPEG, CLASSES) == []
    assert [finding.kind for finding in spurious_correlations(photos(labels), sizes, JPEG, CLASSES)] == [
        "spurious_size"
    ]


def test_rare_classes_and_unknown_facts_are_left_out(labels: np.ndarray) -> None:
    sources = ["web" if label == 3 else "phone" for label in labels]
    labels = labels.copy()
    labels[4:] = np.where(labels[4:] == 2, 0, labels[4:])  # one bird is left
    (finding,) = spurious_correlations(photos(labels, sources=sources), SIZE, JPEG, CLASSES)
    assert "(chance: 33%)" in finding.message
    assert "bird" not in finding.message
    known = [source if label in (0, 3) else "" for source, label in zip(sources, labels, strict=True)]
    (finding,) = spurious_correlations(photos(labels, sources=known), SIZE, JPEG, CLASSES)
    assert rate(finding.message) == 1
    assert "(chance: 50%)" in finding.message


def test_a_handful_of_photos_proves_little() -> None:
    few = np.arange(10) % 2
    sizes = [(64 + int(label and index > 1), 64) for index, label in enumerate(few)]  # 9 of 10 are told
    assert spurious_correlations(photos(few), sizes, JPEG[:10], CLASSES) == []
