from __future__ import annotations

import numpy as np
import pytest

from activitynet.errors import DataError
from activitynet.evaluation.calibration import risk_coverage, threshold_for_risk


def test_a_curve_worked_by_hand() -> None:
    confidence = np.array([0.5, 0.9, 0.8, 0.8])
    right = np.array([False, True, True, False])
    thresholds, coverage, risk = risk_coverage(confidence, right)
    assert thresholds.tolist() == [0.9, 0.8, 0.5]
    assert coverage.tolist() == [0.25, 0.75, 1]
    assert risk.tolist() == pytest.approx([0, 1 / 3, 1 / 2])


def believable(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    confidence = draw.uniform(0.3, 1, count)
    return confidence, draw.random(count) < confidence


def test_the_promised_risk_is_kept_on_other_photos() -> None:
    # The true risk above a threshold t is the mean of 1 - p over [t, 1]: (1 - t) / 2.
    broken = 0
    for seed in range(200):
        threshold = threshold_for_risk(*believable(2000, seed), 0.15)
        assert threshold < 0.9  # and it is not bought by answering almost nothing
        broken += (1 - threshold) / 2 > 0.15
    assert broken <= 10


def test_a_lower_risk_takes_a_higher_threshold() -> None:
    photos = believable(3000, 0)
    found = [threshold_for_risk(*photos, risk) for risk in (0.12, 0.15, 0.2, 0.34)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def test_a_risk_that_cannot_be_promised_is_an_error() -> None:
    with pytest.raises(DataError, match="no threshold reaches"):
        threshold_for_risk(*believable(50, 0), 0.01)
    with pytest.raises(DataError, match=r"risk must lie in \(0, 1\)"):
        threshold_for_risk(*believable(50, 0), 1.0)
    with pytest.raises(DataError, match="no labelled photos"):
        risk_coverage(np.zeros(0), np.zeros(0, dtype=bool))
