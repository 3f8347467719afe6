from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from activitynet.data.dataset import Photo
from activitynet.evaluation import Outputs, score
from activitynet.evaluation.diagnosis import confusions, slices, top_losses


def answered(labels: list[int], guesses: list[int], **facts: object) -> Outputs:
    """Outputs of three classes; the model is the surer the later the photo comes."""
    count = len(labels)
    logits = np.zeros((count, 3), dtype=np.float32)
    logits[np.arange(count), guesses] = 1 + np.arange(count) / count
    photos = tuple(
        Photo(
            Path(f"{at}.jpg"),
            label,
            group=facts.get("groups", [""] * count)[at],  # type: ignore[index]
            source=facts.get("sources", [""] * count)[at],  # type: ignore[index]
        )
        for at, label in enumerate(labels)
    )
    return Outputs(
        photos=photos,
        classes=("a", "b", "c"),
        logits=logits,
        temperature=1.0,
        sizes=np.array(facts.get("sizes", [(100, 100)] * count)),
        brightness=np.array(facts.get("brightness", [0.5] * count), dtype=np.float32),
    )


def test_the_planted_slices_come_first() -> None:
    draw = np.random.default_rng(0)
    bad = np.arange(400) < 60  # of source "old", dark, upright and small; half of them wrong
    wrong = np.where(bad, draw.random(400) < 0.5, draw.random(400) < 0.05)
    found = slices(
        answered(
            [0] * 400,
            wrong.astype(int).tolist(),
            sources=["old" if old else "new" for old in bad],
            sizes=[(80, 200) if old else (800, 600) for old in bad],
            brightness=np.where(bad, 0.1, draw.uniform(0.3, 1, 400)).tolist(),
        )
    )
    worst = {(part.kind, part.name) for part in found[:3]}
    assert ("source", "old") in worst
    assert ("shape", "portrait") in worst
    old = next(part for part in found if part.name == "old")
    assert old.photos == 60
    assert old.accuracy == pytest.approx(1 - wrong[bad].mean())
    assert old.rest == pytest.approx(1 - wrong[~bad].mean())
    assert old.low < old.accuracy < old.high
    assert next(part for part in found if part.kind == "brightness").name.startswith("0.10 to")
    json.dumps([part.to_dict() for part in found])


def test_quarters_share_the_photos_and_small_slices_are_left_out() -> None:
    answers = answered(
        [0] * 100, [0] * 100, brightness=(np.arange(100) / 100).tolist(), sources=["x"] * 9 + [""] * 91
    )
    found = slices(answers)
    assert [part.photos for part in found if part.kind == "brightness"] == [25, 25, 25, 25]
    assert {part.kind for part in found} == {"brightness"}


def test_a_bad_slice_of_few_photos_does_not_come_before_one_of_many() -> None:
    sources = ["few"] * 10 + ["many"] * 500 + ["rest"] * 500
    wrong = [1] * 6 + [0] * 4 + [1] * 240 + [0] * 260 + [0] * 500
    found = slices(answered([0] * 1010, wrong, sources=sources))
    assert [part.name for part in found if part.kind == "source"] == ["many", "few", "rest"]


def test_confusions_are_ranked_by_what_they_cost() -> None:
    labels = [0] * 100 + [1] * 100 + [2] * 31
    guesses = [0] * 100 + [1] * 88 + [2] * 12 + [2] * 21 + [1] * 10
    answers = answered(labels, guesses)
    found = confusions(answers)
    assert [(pair.label, pair.predicted, pair.count) for pair in found] == [("c", "b", 10), ("b", "c", 12)]
    for pair, mended in zip(
        found, ([*guesses[:221], *[2] * 10], [*[0] * 100, *[1] * 100, *guesses[200:]]), strict=True
    ):
        gain = score(labels, mended, "abc").macro_f1 - answers.scores().macro_f1
        assert pair.damage == pytest.approx(gain)
    assert found[0].share == pytest.approx(10 / 31)
    assert found[0].photos == (230, 229, 228, 227)  # the surest
    assert len(confusions(answers, count=1)) == 1


def test_top_losses_are_the_least_probable_labels() -> None:
    answers = answered([0, 0, 1, 2], [0, 1, 1, 0])
    assert top_losses(answers, count=2) == [3, 1]
