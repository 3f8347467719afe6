from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from activitynet.evaluation.label_errors import cross_val_predict, find_label_issues

CLASSES, EACH, WIDTH = 4, 60, 12


@pytest.fixture(scope="module")
def clouds() -> tuple[np.ndarray, np.ndarray]:
    """Features of four classes that lie a little apart, and their true labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), EACH)
    centres = rng.normal(size=(CLASSES, WIDTH)) * 1.5
    return (centres[labels] + rng.normal(size=(len(labels), WIDTH))).astype(np.float32), labels


def alone(labels: np.ndarray) -> np.ndarray:
    return np.arange(len(labels))


@pytest.mark.parametrize("like", [False, True])
def test_planted_errors_are_found_and_little_else(clouds: tuple[np.ndarray, np.ndarray], like: bool) -> None:
    features, truth = clouds
    rng = np.random.default_rng(1)
    wrong = np.isin(alone(truth), rng.choice(len(truth), 24, replace=False))
    turned = 1 if like else rng.integers(1, CLASSES, len(truth))
    labels = np.where(wrong, (truth + turned) % CLASSES, truth)
    probabilities = cross_val_predict(features, labels, alone(labels))
    found = find_label_issues(probabilities, labels)
    assert wrong[found].sum() >= 0.8 * wrong.sum()
    assert wrong[found].mean() >= 0.8
    assert (probabilities.argmax(axis=1)[found] == truth[found])[wrong[found]].mean() > 0.9


def test_labels_that_are_right_are_hardly_doubted(clouds: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = clouds
    assert len(find_label_issues(cross_val_predict(features, labels, alone(labels)), labels)) <= 0.03 * len(
        labels
    )


def test_no_photo_is_predicted_by_one_of_its_group() -> None:
    # Features without any sense but that a group shares them: known only to who has seen the group.
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    labels = groups % 2
    features = rng.normal(size=(40, 80)).astype(np.float32)[groups]

    def right(groups: np.ndarray) -> float:
        return float((cross_val_predict(features, labels, groups).argmax(axis=1) == labels).mean())

    assert right(groups) < 0.75
    assert right(alone(labels)) > 0.95


def test_probabilities_are_those_of_the_classifier_and_seeded(clouds: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = clouds
    groups = alone(labels)
    found = cross_val_predict(features, labels, groups, seed=3)
    assert found.shape == (len(labels), CLASSES)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found, cross_val_predict(features, labels, groups, seed=3))
    assert not np.array_equal(found, cross_val_predict(features, labels, groups, seed=4))
    whole = LogisticRegression().fit(features, labels).predict(features)
    assert (whole == found.argmax(axis=1)).mean() > 0.9


def test_the_estimated_noise_bounds_their_number() -> None:
    # Of the label 0, as many as are confidently of class 1 are issues: the two that are farthest ahead.
    zero = [[0.9, 0.1]] * 6 + [[0.1, 0.9], [0.05, 0.95], [0.45, 0.55]]
    one = [[0.2, 0.8]] * 5
    probabilities = np.array(zero + one)
    labels = np.array([0] * 9 + [1] * 5)
    # The third leans to 1 by less than 1's mean (0.8) and is not even confidently 0: it counts for neither.
    assert find_label_issues(probabilities, labels).tolist() == [7, 6]


def test_who_believes_every_label_doubts_none() -> None:
    labels = np.arange(12) % 3
    assert find_label_issues(np.eye(3)[labels], labels).tolist() == []
    assert find_label_issues(np.full((12, 3), 1 / 3), labels).tolist() == []
