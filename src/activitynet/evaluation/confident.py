"""Confident learning: which labels a model trained on the rest of them does not believe.

Northcutt et al. 2021, *Confident Learning: Estimating Uncertainty in Dataset Labels*,
https://arxiv.org/abs/1911.00068.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from activitynet.data.splits import folds

_STRENGTHS = (8.0, 25.0, 80.0)  # C times the number of photos


def cross_validated(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], *, seed: int = 0
) -> NDArray[np.float64]:
    """Predict each photo by a linear classifier that has seen neither it nor any of its group.

    It is a logistic regression on standardised features. Its regularisation is the one of three strengths
    whose predictions have the least log loss.

    Args:
        features: Pooled features, (N, D).
        labels: Class indices from 0, each of them in enough groups (`can_be_folded`); (N,).
        groups: Numbers of the groups, (N,).
        seed: Fixes the folds.

    Returns:
        Probabilities, (N, classes).
    """
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - slow to import, seldom needed
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    parts = folds(labels, groups, seed=seed)

    def predicted(strength: float) -> NDArray[np.float64]:
        probabilities = np.zeros((len(labels), labels.max() + 1))
        for learned, held in parts:
            mean, std = features[learned].mean(axis=0), features[learned].std(axis=0) + 1e-6
            probe = LogisticRegression(C=strength / len(learned), tol=1e-2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # near the optimum is near enough
                probe.fit((features[learned] - mean) / std, labels[learned])
            columns = np.ix_(held, probe.classes_)
            probabilities[columns] = probe.predict_proba((features[held] - mean) / std)
        return probabilities

    def loss(probabilities: NDArray[np.float64]) -> float:
        return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())

    return min(map(predicted, _STRENGTHS), key=loss)


def doubted(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank the photos whose labels are probably wrong.

    A photo counts as confidently of the most probable class among those that it has at least their own
    photos' mean probability of. How often photos of one label are confidently of another class estimates how
    many are mislabelled so; that many are chosen, by how much more probable the other class is ("prune by
    noise rate"), but none whose own label is the most probable.

    Args:
        probabilities: Of each class, predicted without the photo's own label, in [0, 1]; (N, classes).
        labels: Class indices; (N,).

    Returns:
        Indices of photos, first those whose most probable class is farthest ahead of their label.
    """
    count, classes = probabilities.shape
    sizes = np.bincount(labels, minlength=classes)
    own = probabilities[np.arange(count), labels]
    means = np.bincount(labels, weights=own, minlength=classes) / np.maximum(sizes, 1)
    above = np.where((probabilities >= means) & (sizes > 0), probabilities, -1.0)
    confident = above.max(axis=1) >= 0
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[confident], above.argmax(axis=1)[confident]), 1)
    mislabelled = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1) * sizes[:, None]

    chosen = np.zeros(count, dtype=bool)
    for label, other in zip(*np.nonzero(mislabelled.round()), strict=True):
        if label != other:
            members = np.flatnonzero(labels == label)
            lead = probabilities[members, other] - own[members]
            chosen[members[np.argsort(-lead, kind="stable")[: round(mislabelled[label, other])]]] = True
    lead = probabilities.max(axis=1) - own
    ranked = np.argsort(-lead, kind="stable")
    return ranked[(chosen & (lead > 0))[ranked]]
