from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from activitynet.data.dataset import Photo, SkippedPhoto
from activitynet.errors import DataError
from activitynet.evaluation import score


def test_a_case_worked_by_hand() -> None:
    scores = score([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 0], ["a", "b", "c", "d"])
    # a: precision 2/4, recall 2/3; b: precision 1/2, recall 1/2; c: never predicted; d: no photos.
    assert [entry.f1 for entry in scores.classes] == pytest.approx([4 / 7, 1 / 2, 0, 0])
    assert scores.macro_f1 == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)
    assert scores.scored == ("a", "b", "c")
    assert scores.accuracy == pytest.approx(3 / 6)
    assert scores.confusion == ((2, 1, 0, 0), (1, 1, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0))
    assert "over 3 classes" in scores.summary()
    assert scores.averaged_over() == "mean F1 of 3 classes with photos"


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=80))
def test_agrees_with_scikit_learn_and_counts_everything(pairs: list[tuple[int, int]]) -> None:
    truth, guess = np.array(pairs).T
    scores = score(truth, guess, list("abcde"))
    present = sorted(set(truth.tolist()))
    assert scores.accuracy == pytest.approx(accuracy_score(truth, guess))
    assert scores.macro_f1_present == pytest.approx(
        f1_score(truth, guess, labels=present, average="macro", zero_division=0.0)
    )
    assert np.sum(scores.confusion) == len(pairs)
    json.dumps(scores.to_dict())


def test_rare_classes_do_not_move_the_headline_score() -> None:
    truth = np.array([0] * 30 + [1] * 30 + [2] * 29)
    guess = np.where(truth == 2, 0, truth)
    scores = score(truth, guess, ["a", "b", "rare"])
    assert scores.scored == ("a", "b")
    assert scores.averaged_over() == "mean F1 of 2 classes with at least 30 photos"
    assert scores.macro_f1 > scores.macro_f1_present
    assert "over all 3 classes" in scores.summary()


def test_no_photos_is_an_error() -> None:
    with pytest.raises(DataError, match="no labelled photos"):
        score([], [], ["a", "b"])


def test_photos_that_were_left_out_are_counted_and_named() -> None:
    skipped = (SkippedPhoto(Photo(Path("b.jpg"), 1), "val", "it is empty."),)
    scores = score([0, 1], [0, 1], ["a", "b"])
    assert scores.to_dict()["skipped"] == []
    assert "left out" not in scores.summary()
    scores = dataclasses.replace(scores, skipped=skipped)
    assert scores.summary().endswith("on 2 photos; unreadable photos left out: 1 (1 val)")
    assert scores.to_dict()["skipped"] == [
        {"path": "b.jpg", "split": "val", "label": "b", "error": "it is empty."}
    ]
