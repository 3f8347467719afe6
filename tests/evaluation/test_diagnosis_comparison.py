from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom

from activitynet.errors import DataError
from activitynet.evaluation import compare, score


def models(count: int, first: float, second: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Labels of four classes, and what two models of such accuracies say."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 4, count)
    hard = draw.random(count)  # the same photos are hard for both
    guesses = [
        np.where(0.7 * hard + 0.3 * draw.random(count) < accuracy, labels, (labels + 1) % 4)
        for accuracy in (first, second)
    ]
    return labels, *guesses


def test_differences_are_those_of_the_scores() -> None:
    labels, first, second = models(500, 0.6, 0.7)
    found = compare(labels, first, second, np.arange(500), classes=4)
    one, other = (score(labels, guess, list("abcd")) for guess in (first, second))
    assert found.accuracy.value == pytest.approx(other.accuracy - one.accuracy)
    assert found.macro_f1.value == pytest.approx(other.macro_f1 - one.macro_f1)
    json.dumps(found.to_dict())


def test_mcnemar_of_a_case_worked_by_hand() -> None:
    labels = np.zeros(20, dtype=np.int64)
    first = np.array([0] * 10 + [1] * 10)
    second = np.array([0] * 9 + [1] * 3 + [0] * 8)
    found = compare(labels, first, second, np.arange(20), classes=2, resamples=50)
    assert (found.only_first, found.only_second) == (1, 8)
    assert found.p_value == pytest.approx(2 * binom.cdf(1, 9, 0.5))


def test_a_clear_difference_is_told_with_its_interval() -> None:
    labels, first, second = models(2000, 0.6, 0.7)
    found = compare(labels, first, second, np.arange(2000), classes=4)
    text = found.sentence("old", "new")
    assert text.startswith(f"new is better than old by {100 * found.accuracy.value:.1f} points of accuracy")
    assert "95 % interval +" in text
    assert "2000 photos" in text
    assert "new is worse than old" in compare(labels, second, first, np.arange(2000), classes=4).sentence(
        "old", "new"
    )
    assert found.p_value < 0.01


def test_no_difference_is_claimed_where_there_is_none() -> None:
    claimed = 0
    for seed in range(100):
        labels, first, second = models(300, 0.7, 0.7, seed)
        found = compare(labels, first, second, np.arange(300), classes=4, resamples=200, seed=seed)
        claimed += not found.sentence("a", "b").startswith("No significant difference")
    assert claimed <= 13  # of 5 expected


def test_pairing_tells_what_two_separate_intervals_do_not() -> None:
    labels, first, second = models(400, 0.62, 0.66, seed=3)
    found = compare(labels, first, second, np.arange(400), classes=4)
    alone = 2 * 1.96 * np.sqrt(0.65 * 0.35 / 400) * np.sqrt(2)
    assert found.accuracy.high - found.accuracy.low < 0.8 * alone


def test_the_same_model_does_not_differ_from_itself() -> None:
    labels, first, _ = models(50, 0.6, 0.7)
    found = compare(labels, first, first, np.arange(50), classes=4)
    assert (found.accuracy.low, found.accuracy.high, found.p_value) == (0, 0, 1)


def test_other_photos_are_refused() -> None:
    labels, first, _ = models(50, 0.6, 0.7)
    with pytest.raises(DataError, match="same photos"):
        compare(labels, first, first[:-1], np.arange(50), classes=4)
