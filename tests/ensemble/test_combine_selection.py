from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import accuracy_score

from activitynet.ensemble.combine import fit_weights, greedy_selection, leave_one_out_gains
from activitynet.errors import ModelError


def accuracy(labels: np.ndarray, guesses: np.ndarray) -> float:
    return float(accuracy_score(labels, guesses))


def candidates(skills: list[float], count: int = 900, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What candidates of different skill say of photos, each with noise of its own."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 5, count)
    logits = draw.normal(size=(len(skills), count, 5))
    logits[:, np.arange(count), labels] += np.array(skills)[:, None]
    odds = np.exp(logits)
    return odds / odds.sum(axis=-1, keepdims=True), labels


def mean_accuracy(said: np.ndarray, shares: np.ndarray, labels: np.ndarray) -> float:
    return accuracy(labels, np.tensordot(shares, said, axes=1).argmax(axis=1))


def test_what_is_picked_beats_the_best_and_the_plain_mean_on_other_photos() -> None:
    skills = [1.5, 1.5, 1.4, -1.0, -1.0, -2.0]
    said, labels = candidates(skills)
    fresh, truth = candidates(skills, seed=1)
    shares = greedy_selection(said, labels, accuracy)
    assert shares.sum() == pytest.approx(1)
    assert shares[:3].sum() > 0.95
    chosen = mean_accuracy(fresh, shares, truth)
    assert chosen > mean_accuracy(fresh, np.full(6, 1 / 6), truth) + 0.03
    assert chosen > max(mean_accuracy(fresh, one, truth) for one in np.eye(6)) + 0.03


def test_the_same_seed_picks_the_same() -> None:
    said, labels = candidates([1.0, 1.0, 0.5, 0.5], count=200)
    assert np.array_equal(greedy_selection(said, labels, accuracy), greedy_selection(said, labels, accuracy))
    assert not np.array_equal(
        greedy_selection(said, labels, accuracy), greedy_selection(said, labels, accuracy, seed=1)
    )


def test_one_candidate_has_it_all() -> None:
    said, labels = candidates([1.0], count=50)
    assert greedy_selection(said, labels, accuracy).tolist() == [1.0]
    assert fit_weights(said, labels).tolist() == [1.0]


def test_fitted_weights_are_where_a_general_solver_finds_them() -> None:
    said, labels = candidates([2.0, 1.0, 1.0, -1.0], count=400)
    right = said[:, np.arange(400), labels]

    def loss(free: np.ndarray) -> float:
        shares = np.exp(free) / np.exp(free).sum()
        return float(-np.log(shares @ right).mean())

    found = minimize(loss, np.zeros(4), method="BFGS")
    shares = fit_weights(said, labels)
    assert shares.sum() == pytest.approx(1)
    assert float(-np.log(shares @ right).mean()) == pytest.approx(found.fun, abs=1e-5)
    assert shares[3] < 0.02


def test_what_each_adds_is_what_is_lost_without_it() -> None:
    said, labels = candidates([2.0, 0.0, 0.0])
    added = leave_one_out_gains(said, [0.8, 0.2, 0.0], labels, accuracy)
    whole = mean_accuracy(said, np.array([0.8, 0.2, 0.0]), labels)
    assert added[0] == pytest.approx(whole - accuracy(labels, said[1].argmax(axis=1)))
    assert added[0] > 0.3
    assert added[2] == 0


def test_no_candidates() -> None:
    nobody = np.zeros((0, 3, 2))
    with pytest.raises(ModelError, match="no candidates"):
        greedy_selection(nobody, np.zeros(3, dtype=np.int64), accuracy)
    with pytest.raises(ModelError, match="no candidates"):
        fit_weights(nobody, np.zeros(3, dtype=np.int64))
