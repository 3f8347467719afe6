from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from activitynet.errors import DataError
from activitynet.evaluation.stats import Estimate, bootstrap_intervals, bootstrap_weights


def test_groups_are_drawn_whole_and_as_many_as_there_are() -> None:
    groups = np.array([0, 0, 0, 1, 2, 2])
    (weights,) = bootstrap_weights(groups, resamples=500, seed=1)
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, [0, 3, 4]].sum(axis=1) == 3).all()
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.15)


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    groups = np.arange(50)
    (first,), (again,), (other,) = (bootstrap_weights(groups, resamples=20, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_many_photos_are_drawn_in_parts_that_fit_into_memory() -> None:
    parts = list(bootstrap_weights(np.arange(300_000), resamples=30))
    assert len(parts) > 1
    assert sum(map(len, parts)) == 30


def accuracy(right: NDArray[np.bool_]):  # type: ignore[no-untyped-def]
    return lambda weights: {"accuracy": (weights @ right / weights.sum(axis=1))[:, None]}


@pytest.mark.parametrize("size", [1, 5])
def test_intervals_hold_the_truth_as_often_as_they_say(size: int) -> None:
    # Groups of photos that are right or wrong together, with a chance of 0.7; 95 % of intervals hold it.
    draw = np.random.default_rng(size)
    held = naive = 0
    for trial in range(400):
        groups = np.repeat(np.arange(60), size)
        right = (draw.random(60) < 0.7)[groups]
        (found,) = bootstrap_intervals(accuracy(right), groups, resamples=200, seed=trial)["accuracy"]
        (alone,) = bootstrap_intervals(accuracy(right), np.arange(60 * size), resamples=200, seed=trial)[
            "accuracy"
        ]
        assert found is not None
        assert alone is not None
        held += found.low <= 0.7 <= found.high
        naive += alone.low <= 0.7 <= alone.high
    assert 0.90 <= held / 400 <= 0.98
    if size > 1:
        assert naive / 400 < 0.75  # as if each photo were on its own: far too sure


def test_what_cannot_be_measured_has_no_estimate() -> None:
    def measure(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return {"x": np.stack([weights[:, 0] / len(weights), np.full(len(weights), np.nan)], axis=1)}

    known, unknown = bootstrap_intervals(measure, np.arange(4), resamples=10)["x"]
    assert isinstance(known, Estimate)
    assert unknown is None


def test_nothing_and_nonsense_are_refused() -> None:
    with pytest.raises(DataError, match="at least one photo"):
        next(bootstrap_weights(np.zeros(0, dtype=np.int64)))
    with pytest.raises(DataError, match="confidence must lie"):
        bootstrap_intervals(accuracy(np.ones(3, dtype=bool)), np.arange(3), confidence=1.0)


def test_an_estimate_reads_as_a_number_with_its_interval() -> None:
    assert str(Estimate(0.5, 0.25, 0.75)) == "0.500 (0.250 to 0.750)"
