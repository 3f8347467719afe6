from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from activitynet.evaluation.calibration import expected_calibration_error
from activitynet.evaluation.metrics import BIASED_UP, WeightedMetrics, measure


def drawn(count: int, classes: int = 6, seed: int = 0, sharp: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities, and labels drawn from them; `sharp` makes the model surer than it should be."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(scale=1.5, size=(count, classes))
    odds = np.exp(log_softmax(logits, axis=1))
    labels = (draw.random(count)[:, None] > odds.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    return log_softmax(sharp * logits, axis=1), labels


def by_hand() -> tuple[np.ndarray, np.ndarray]:
    """Four photos of two classes: 0.9, 0.6, 0.4 and 0.3 of being the first; of class 0, 1, 0, 1."""
    first = np.array([0.9, 0.6, 0.4, 0.3])
    return np.log(np.stack([first, 1 - first], axis=1)), np.array([0, 1, 0, 1])


def test_a_case_worked_by_hand() -> None:
    found = {
        name: values[0].tolist() for name, values in WeightedMetrics(*by_hand())(np.ones((1, 4))).items()
    }
    # Called 0, 0, 1, 1: the second and the third are wrong.
    assert found["accuracy"] == [0.5]
    assert found["balanced_accuracy"] == [0.5]
    assert found["precision"] == found["recall"] == found["f1"] == [0.5, 0.5]
    assert found["log_loss"] == pytest.approx([-np.log([0.9, 0.4, 0.4, 0.7]).mean()])
    assert found["brier"] == pytest.approx([2 * np.mean([0.1**2, 0.6**2, 0.6**2, 0.3**2])])
    # Ranked by class 0: right, wrong, right, wrong. By class 1: 0.7 right, 0.6 wrong, 0.4 right.
    assert found["average_precision"] == pytest.approx([(1 + 2 / 3) / 2] * 2)
    # Bins of a fifteenth: 0.6 twice (both wrong), 0.7, 0.9 (both right).
    assert found["ece"] == pytest.approx([(2 * 0.6 + 0.3 + 0.1) / 4])


def test_weights_are_copies_of_photos() -> None:
    log_probabilities, labels = drawn(60)
    times = np.random.default_rng(1).integers(0, 4, 60)
    weighted = WeightedMetrics(log_probabilities, labels)(times[None].astype(float))
    copied = WeightedMetrics(np.repeat(log_probabilities, times, axis=0), np.repeat(labels, times))
    plain = copied(np.ones((1, times.sum())))
    for name in set(plain) - {"adaptive_ece"}:  # whose bins are those of the photos as they are
        np.testing.assert_allclose(weighted[name], plain[name], atol=1e-12, err_msg=name)


@given(st.integers(0, 10_000), st.integers(5, 90), st.booleans())
@settings(max_examples=40, deadline=None)
def test_agrees_with_scikit_learn(seed: int, count: int, coarse: bool) -> None:
    log_probabilities, labels = drawn(count, seed=seed)
    if coarse:  # many equal scores
        log_probabilities = log_softmax(log_probabilities.round(), axis=1)
    guesses, odds = log_probabilities.argmax(axis=1), np.exp(log_probabilities)
    present, names = np.unique(labels), list(range(6))
    found = {
        name: values[0]
        for name, values in WeightedMetrics(log_probabilities, labels)(np.ones((1, count))).items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a guess that no photo is of
        assert found["accuracy"][0] == pytest.approx(reference.accuracy_score(labels, guesses))
        balanced = reference.balanced_accuracy_score(labels, guesses)
        assert found["balanced_accuracy"][0] == pytest.approx(balanced)
        for average, prefix in (("macro", "macro"), ("weighted", "weighted")):
            expected = reference.precision_recall_fscore_support(
                labels, guesses, labels=present, average=average, zero_division=0.0
            )
            got = [found[f"{prefix}_{name}"][0] for name in ("precision", "recall")]
            f1 = "macro_f1_present" if average == "macro" else "weighted_f1"
            assert [*got, found[f1][0]] == pytest.approx(list(expected[:3]))
        assert found["log_loss"][0] == pytest.approx(reference.log_loss(labels, odds, labels=names))
        assert found["brier"][0] == pytest.approx(((odds - np.eye(6)[labels]) ** 2).sum(axis=1).mean())
        for k in (2, 3, 5):
            got = found[f"top_{k}"][0]
            if not coarse:  # scikit-learn breaks ties the other way
                assert got == pytest.approx(reference.top_k_accuracy_score(labels, odds, k=k, labels=names))
    for label in names:
        if label in present:
            expected = reference.average_precision_score(labels == label, log_probabilities[:, label])
            assert found["average_precision"][label] == pytest.approx(expected)
        else:
            assert np.isnan(found["average_precision"][label])
    assert found["mean_average_precision"][0] == pytest.approx(np.nanmean(found["average_precision"]))
    for name, adaptive in (("ece", False), ("adaptive_ece", True)):
        expected = expected_calibration_error(odds, labels, adaptive=adaptive)
        assert found[name][0] == pytest.approx(expected)


def test_of_equal_probabilities_the_first_class_counts_as_argmax_has_it() -> None:
    odds = np.log(np.full((3, 4), 0.25))
    found = WeightedMetrics(odds, np.array([0, 1, 3]))(np.ones((1, 3)))
    assert found["accuracy"][0, 0] == pytest.approx(1 / 3)
    assert found["top_2"][0, 0] == pytest.approx(2 / 3)


def test_every_estimate_lies_in_its_interval_and_the_same_seed_gives_the_same() -> None:
    log_probabilities, labels = drawn(200, sharp=1.5)
    found = measure(log_probabilities, labels, np.arange(200), resamples=200)
    for name, estimates in found.items():
        for estimate in filter(None, estimates):
            assert 0 <= estimate.low <= estimate.high, name
            if name not in BIASED_UP:
                assert estimate.low <= estimate.value <= estimate.high, name
    assert found == measure(log_probabilities, labels, np.arange(200), resamples=200)


@pytest.mark.parametrize(
    ("name", "sharp"), [("macro_f1", 1.0), ("log_loss", 1.0), ("ece", 2.0), ("mean_average_precision", 1.0)]
)
def test_intervals_hold_what_a_hundred_times_as_many_photos_say(name: str, sharp: float) -> None:
    truth = WeightedMetrics(*drawn(100_000, seed=99, sharp=sharp))(np.ones((1, 100_000)))[name][0, 0]
    held = 0
    for seed in range(60):
        log_probabilities, labels = drawn(400, seed=seed, sharp=sharp)
        (found,) = measure(log_probabilities, labels, np.arange(400), resamples=120, seed=seed)[name]
        assert found is not None
        held += found.low <= truth <= found.high
    assert held >= 51  # of 57 expected; fewer than that is less than one in 500 by chance
