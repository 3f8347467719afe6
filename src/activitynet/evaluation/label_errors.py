"""Find labels that are probably wrong, by cross-validated predictions.

Confident learning (Northcutt et al. 2021, https://arxiv.org/abs/1911.00068) takes thirty lines here; cleanlab
would add pandas, tqdm and termcolor for them.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from activitynet.data.audit import Audit, AuditedPhoto, Finding, Suggestion
from activitynet.data.dataset import Photo, PhotoData, by_split, group_numbers
from activitynet.data.duplicates import connected_components
from activitynet.data.loader import PhotoDataset
from activitynet.data.preprocess import Preprocess
from activitynet.data.splits import FOLDS, can_be_folded, folds
from activitynet.errors import DataError
from activitynet.evaluation.linear_probe import fit_linear_probe
from activitynet.inference import best_device, forward_dataset
from activitynet.zoo.warm_start import load_trunk

_STRENGTHS = (8.0, 25.0, 80.0)


def cross_val_predict(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], *, seed: int = 0
) -> NDArray[np.float64]:
    """Predict each photo by a linear probe that was fitted without it and its group.

    The strength of regularisation with the lowest log loss, of three, is used.

    Args:
        features: Pooled features, (N, D).
        labels: Class indices from 0, each of them in enough groups (`can_be_folded`); (N,).
        groups: Numbers of the groups, (N,).
        seed: Seed of the folds.

    Returns:
        Probabilities, (N, classes).
    """
    parts = folds(labels, groups, seed=seed)

    def predicted(strength: float) -> NDArray[np.float64]:
        probabilities = np.zeros((len(labels), labels.max() + 1))
        for fitted, held_out in parts:
            probe = fit_linear_probe(
                features[fitted], labels[fitted], strength=strength, tol=1e-2, max_iter=100
            )
            columns = np.ix_(held_out, probe.regression.classes_)
            probabilities[columns] = probe.predict_proba(features[held_out])
        return probabilities

    def loss(probabilities: NDArray[np.float64]) -> float:
        return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())

    return min(map(predicted, _STRENGTHS), key=loss)


def find_label_issues(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the photos whose labels are probably wrong.

    Confident learning, "prune by noise rate": a photo counts as confidently of the most probable class among
    those whose probability is at least the mean that the class's own photos have. The share of photos of one
    label that are confidently of another class estimates how many are mislabelled so. That many are chosen,
    by the margin of the other class, but none whose own label is the most probable.

    Args:
        probabilities: Out-of-sample probabilities in [0, 1], (N, classes).
        labels: Class indices, (N,).

    Returns:
        Indices of photos, those with the largest margin first.
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
            margin = probabilities[members, other] - own[members]
            chosen[members[np.argsort(-margin, kind="stable")[: round(mislabelled[label, other])]]] = True
    margin = probabilities.max(axis=1) - own
    ranked = np.argsort(-margin, kind="stable")
    return ranked[(chosen & (margin > 0))[ranked]]


_log = logging.getLogger(__name__)


def with_label_issues(
    found: Audit,
    data: PhotoData,
    features_of: str | os.PathLike[str],
    *,
    image_size: int | None = None,
    workers: int = 0,
    seed: int = 0,
) -> Audit:
    """Add the photos whose labels are probably wrong to an audit.

    All splits are taken together. A photo is predicted by a classifier that was fitted without it, its group
    and its duplicates. Classes in fewer than `FOLDS` groups are left out, and a log message names them. The
    findings come last, the most suspicious first.

    Args:
        found: The result of `activitynet.data.audit.audit`. Photos that it could not read are left out.
        data: The same data set.
        features_of: A weights folder, or ``timm/NAME``: the network that computes the features. It should not
            have been trained on these labels.
        image_size: Side in pixels of the network's input; `None` takes the network's own.
        workers: Processes that load photos; 0 loads in this one.
        seed: Seed of the folds.

    Raises:
        DataError: Fewer than two classes have enough photos.
        ImageError: A photo can no longer be read.
        ModelError: The weights cannot be found.
        WeightsError: They are corrupt.
    """
    broken = {
        (photo.split, photo.path)
        for finding in found.findings
        if finding.kind == "unreadable"
        for photo in finding.photos
    }
    entries = [
        (split, photo)
        for split, photos in by_split(data)
        for photo in photos
        if (split, str(photo.path)) not in broken
    ]
    named = [AuditedPhoto(str(photo.path), split, data.classes[photo.label]) for split, photo in entries]
    photos = [photo for _, photo in entries]
    groups = _groups(photos, named, found)
    chosen = _usable(photos, groups, data.classes)
    features = trunk_features([photos[index] for index in chosen], features_of, image_size, workers)
    present, labels = np.unique([photos[index].label for index in chosen], return_inverse=True)
    probabilities = cross_val_predict(features, labels, groups[chosen], seed=seed)
    findings = tuple(
        _finding(
            named[chosen[index]],
            data.classes[present[probabilities[index].argmax()]],
            float(probabilities[index].max()),
            float(probabilities[index, labels[index]]),
        )
        for index in find_label_issues(probabilities, labels)
    )
    return dataclasses.replace(found, findings=(*found.findings, *findings))


def _finding(photo: AuditedPhoto, label: str, probability: float, given: float) -> Finding:
    message = f"labelled {photo.label!r}, but rather {label!r}: {probability:.0%} against {given:.0%}."
    return Finding("suspicious_label", message, (photo,), suggestion=Suggestion(label, probability, given))


def _groups(photos: Sequence[Photo], named: Sequence[AuditedPhoto], found: Audit) -> NDArray[np.int64]:
    """Number the groups; groups that share a duplicate are merged."""
    numbers = group_numbers(photos)
    index_of = {photo: index for index, photo in enumerate(named)}
    links = [
        (numbers[index_of[finding.photos[0]]], numbers[index_of[photo]])
        for finding in found.findings
        if finding.kind in ("exact_duplicate", "near_duplicate")
        for photo in finding.photos
    ]
    groups: NDArray[np.int64] = connected_components(int(numbers.max(initial=-1)) + 1, links)[numbers]
    return groups


def _usable(photos: Sequence[Photo], groups: NDArray[np.int64], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the indices of the photos whose classes have enough groups for cross-validation."""
    labels = np.array([photo.label for photo in photos], dtype=np.int64)
    enough = can_be_folded(labels, groups)
    known = np.unique(labels[enough])
    if len(known) < 2:
        raise DataError(
            f"labels can be checked if two or more classes have photos in {FOLDS} groups each, and here "
            f"{len(known)} of {len(classes)} have. Add photos, or leave out --labels."
        )
    if few := [classes[label] for label in np.unique(labels[~enough])]:
        _log.info("not checked, since they have fewer than %d groups of photos: %s", FOLDS, ", ".join(few))
    return np.flatnonzero(enough)


def trunk_features(
    photos: Sequence[Photo], source: str | os.PathLike[str], image_size: int | None, workers: int
) -> NDArray[np.float32]:
    """Return the pooled features of photos, (N, D), by the weights of ``source``; see `with_label_issues`."""
    trunk = load_trunk(source)
    model = trunk.model.to(best_device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.pretrained_cfg.update(trunk.preprocessing)
    preprocess = Preprocess.from_model(model, size=image_size, resize="squash")
    _log.info("checking the labels of %d photos by the features of %s", len(photos), trunk.name)
    dataset = PhotoDataset(photos, preprocess)
    features: NDArray[np.float32] = forward_dataset(model, dataset, workers=workers, features=True)[0].numpy()
    return features
