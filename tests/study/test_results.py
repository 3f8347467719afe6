from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from activitynet.study.results import differences, holm, mean_intervals, pareto_front

BASE, OTHER = [0.50, 0.53, 0.49, 0.55, 0.51], [0.54, 0.56, 0.50, 0.60, 0.53]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_interval_of_one_is_students(count: int) -> None:
    (found,) = mean_intervals([BASE[:count]])
    assert found is not None
    error = stats.sem(BASE[:count])
    expected = stats.t.interval(0.95, count - 1, loc=np.mean(BASE[:count]), scale=error)
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.value == pytest.approx(np.mean(BASE[:count]))


def test_the_intervals_of_several_hold_their_means_as_often_as_they_say() -> None:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=11)
    inside = []
    for _ in range(500):
        found = mean_intervals((truth[:, None] + draw.normal(size=(11, 2))).tolist())
        inside += [one.low <= mean <= one.high for one, mean in zip(found, truth, strict=True) if one]
    assert len(inside) == 5500
    assert np.mean(inside) == pytest.approx(0.95, abs=0.01)


def test_one_seed_has_no_interval_and_no_test() -> None:
    assert mean_intervals([[0.5], [0.6]]) == [None, None]
    (found,) = differences([0.5], [[0.6]])
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.p_value, found.is_significant) == (None, None, False)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_two_alone_are_compared_by_students_paired_test(count: int) -> None:
    (found,) = differences(BASE[:count], [OTHER[:count]])
    expected = stats.ttest_rel(OTHER[:count], BASE[:count])
    assert found.p_value == found.adjusted == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("seeds", [2, 3])
def test_several_are_compared_as_least_squares_does(seeds: int) -> None:
    scores = np.random.default_rng(seeds).random((6, seeds))
    # A column for each configuration and for each seed but the first; the last says how far each is off.
    design = np.array(
        [[*np.eye(6)[at], *np.eye(seeds)[seed][1:]] for at in range(6) for seed in range(seeds)]
    )
    fitted, rest, _, _ = np.linalg.lstsq(design, scores.ravel(), rcond=None)
    freedom = 6 * seeds - design.shape[1]
    covariance = np.linalg.inv(design.T @ design) * rest[0] / freedom
    found = differences(scores[0].tolist(), scores[1:].tolist())
    for at, one in enumerate(found, 1):
        contrast = np.zeros(design.shape[1])
        contrast[[at, 0]] = 1, -1
        error = np.sqrt(contrast @ covariance @ contrast)
        assert one.mean == pytest.approx(contrast @ fitted)
        assert one.p_value == pytest.approx(2 * stats.t.sf(abs(one.mean) / error, freedom))
        assert one.high == pytest.approx(one.mean + stats.t.ppf(0.975, freedom) * error)
    assert [one.adjusted for one in found] == pytest.approx(holm([one.p_value or 0.0 for one in found]))


def test_a_false_finding_is_as_rare_as_it_says() -> None:
    draw = np.random.default_rng(0)
    studies = [draw.normal(size=(12, 2)) + draw.normal(size=2) for _ in range(2000)]
    wrong = sum(
        any(one.is_significant for one in differences(one_study[0], one_study[1:])) for one_study in studies
    )
    assert 0.02 < wrong / len(studies) < 0.06


def test_what_is_the_same_at_every_seed_is_no_difference() -> None:
    assert differences(BASE, [BASE])[0].p_value == 1.0
    assert differences(BASE, []) == []


def test_holm_is_what_its_definition_says() -> None:
    p_values = np.random.default_rng(0).random(20).tolist()
    order = np.argsort(p_values)
    steps = [min(1.0, p_values[at] * (20 - rank)) for rank, at in enumerate(order)]
    expected = np.empty(20)
    expected[order] = np.maximum.accumulate(steps)
    assert holm(p_values) == pytest.approx(expected.tolist())
    assert holm([]) == []


def test_the_front_is_what_nothing_beats() -> None:
    draw = np.random.default_rng(2)
    costs, scores = draw.integers(0, 9, 40).tolist(), draw.integers(0, 9, 40).tolist()
    front = pareto_front(costs, scores)
    pairs = list(zip(costs, scores, strict=True))

    def beaten(at: int) -> bool:
        cost, score = pairs[at]
        return any((c <= cost and s > score) or (c < cost and s >= score) for c, s in pairs)

    assert {pairs[at] for at in front} == {pairs[at] for at in range(40) if not beaten(at)}
    assert len({pairs[at] for at in front}) == len(front)
