from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax

from activitynet.errors import DataError
from activitynet.evaluation.calibration import expected_calibration_error, fit_temperature
from activitynet.evaluation.stats import confidence_bins


def believable(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from the probabilities that they stand for."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(scale=2, size=(count, 6))
    odds = softmax(logits, axis=1)
    labels = (draw.random(count)[:, None] > odds.cumsum(axis=1)).sum(axis=1)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_that_was_planted_is_found(temperature: float) -> None:
    logits, labels = believable(20_000)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_has_a_lower_loss() -> None:
    logits, labels = believable(300)
    found = fit_temperature(logits * 3, labels)

    def loss(temperature: float) -> float:
        return F.cross_entropy(torch.from_numpy(logits * 3 / temperature), torch.from_numpy(labels)).item()

    assert all(loss(found) <= loss(found * factor) for factor in (0.9, 0.99, 0.999, 1.001, 1.01, 1.1))


def test_a_model_that_is_always_right_stays_within_bounds() -> None:
    logits = np.eye(3)[[0, 1, 2, 0]] * 5
    assert 0.01 <= fit_temperature(logits, np.array([0, 1, 2, 0])) < 0.2
    assert fit_temperature(logits, np.array([1, 2, 0, 1])) == pytest.approx(100)


def test_calibration_error_of_a_case_worked_by_hand() -> None:
    odds = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.45, 0.55]])
    labels = np.array([0, 1, 1, 0])
    # Bins of a tenth: two at 0.9, half of them right; one at 0.7, right; one at 0.55, wrong.
    expected = (2 * abs(0.5 - 0.9) + abs(1 - 0.7) + abs(0 - 0.55)) / 4
    assert expected_calibration_error(odds, labels, bins=10) == pytest.approx(expected)


def test_calibration_error_shrinks_with_the_right_temperature() -> None:
    logits, labels = believable(20_000)
    before = expected_calibration_error(softmax(logits * 3, axis=1), labels)
    after = expected_calibration_error(softmax(logits, axis=1), labels)
    assert before > 0.1
    assert after < 0.02


def test_certain_and_right_is_no_error() -> None:
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0
    assert expected_calibration_error(np.eye(3), (np.arange(3) + 1) % 3) == 1


def test_nothing_to_measure() -> None:
    nothing, labels = np.zeros((0, 3)), np.zeros(0, dtype=np.int64)
    with pytest.raises(DataError, match="no labelled photos"):
        fit_temperature(nothing, labels)
    with pytest.raises(DataError, match="no labelled photos"):
        expected_calibration_error(nothing, labels)


def test_bins_of_as_many_photos_each() -> None:
    confidence = np.array([0.9, 0.1, 0.5, 0.3, 0.8, 0.7])
    assert confidence_bins(confidence, bins=3, adaptive=True).tolist() == [2, 0, 1, 0, 2, 1]
    assert confidence_bins(confidence, bins=10).tolist() == [9, 1, 5, 3, 8, 7]
    sizes = np.bincount(confidence_bins(np.zeros(100), bins=15, adaptive=True))
    assert len(sizes) == 15
    assert set(sizes.tolist()) == {6, 7}
