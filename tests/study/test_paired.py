from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from activitynet.study.paired import holm, mean_interval, paired_difference, pareto, ranked

BASE, OTHER = [0.50, 0.53, 0.49, 0.55, 0.51], [0.54, 0.56, 0.50, 0.60, 0.53]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_interval_is_students(count: int) -> None:
    found = mean_interval(BASE[:count])
    assert found is not None
    error = stats.sem(BASE[:count])
    expected = stats.t.interval(0.95, count - 1, loc=np.mean(BASE[:count]), scale=error)
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.value == pytest.approx(np.mean(BASE[:count]))


def test_one_seed_has_no_interval_and_no_test() -> None:
    assert mean_interval([0.5]) is None
    found = paired_difference([0.5], [0.6])
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.p_value, found.is_shown) == (None, None, False)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_paired_test_is_students(count: int) -> None:
    found = paired_difference(BASE[:count], OTHER[:count])
    expected = stats.ttest_rel(OTHER[:count], BASE[:count])
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_what_is_the_same_at_every_seed_is_no_difference() -> None:
    assert paired_difference(BASE, BASE).p_value == 1.0


def test_holm_is_what_its_definition_says() -> None:
    p_values = np.random.default_rng(0).random(20).tolist()
    order = np.argsort(p_values)
    steps = [min(1.0, p_values[at] * (20 - rank)) for rank, at in enumerate(order)]
    expected = np.empty(20)
    expected[order] = np.maximum.accumulate(steps)
    assert holm(p_values) == pytest.approx(expected.tolist())
    assert holm([]) == []


def test_ranks_are_friedmans_and_their_critical_difference_demsars() -> None:
    # Demšar (2006), section 3.2.2: 4 classifiers on 14 data sets have a critical difference of 1.25.
    scores = np.random.default_rng(1).random((4, 14))
    found = ranked(scores.tolist())
    assert found is not None
    assert found.critical == pytest.approx(1.25, abs=0.005)
    assert found.p_value == pytest.approx(stats.friedmanchisquare(*scores).pvalue)
    assert sum(found.means) == pytest.approx(10)
    best = np.argmin(found.means)
    assert best == np.argmax(-stats.rankdata(-scores, axis=0).mean(axis=1))


@pytest.mark.parametrize("shape", [(3, 4), (2, 5)])
def test_few_seeds_or_configurations_are_not_ranked(shape: tuple[int, int]) -> None:
    assert ranked(np.ones(shape).tolist()) is None


def test_the_front_is_what_nothing_beats() -> None:
    draw = np.random.default_rng(2)
    costs, scores = draw.integers(0, 9, 40).tolist(), draw.integers(0, 9, 40).tolist()
    front = pareto(costs, scores)
    pairs = list(zip(costs, scores, strict=True))

    def beaten(at: int) -> bool:
        cost, score = pairs[at]
        return any((c <= cost and s > score) or (c < cost and s >= score) for c, s in pairs)

    assert {pairs[at] for at in front} == {pairs[at] for at in range(40) if not beaten(at)}
    assert len({pairs[at] for at in front}) == len(front)
