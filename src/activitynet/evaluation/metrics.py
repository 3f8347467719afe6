"""Scores of predictions against labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageStat
from torch import nn
from torch.utils.data import Dataset

from activitynet.data.dataset import Photo, SkippedPhoto, group_numbers
from activitynet.data.decode import decode_image
from activitynet.data.scan import count_skipped, skipped_message
from activitynet.errors import DataError
from activitynet.evaluation.stats import (
    CONFIDENCE,
    RESAMPLES,
    Estimate,
    Floats,
    Ints,
    confidence_bins,
    intervals,
    log_softmax,
)
from activitynet.inference.predict import forward_items

TOP = (2, 3, 5)
"""The k of top-k accuracy; those that are less than the number of classes."""

PER_CLASS = ("precision", "recall", "f1", "average_precision")
"""The measures of each class."""

FLATTERED = frozenset({"ece", "adaptive_ece", "average_precision", "mean_average_precision"})
"""Measures that resampling makes larger: by chance alone, or by photos that are there twice."""

_TINY = 1e-15


class Measures:
    """The measures of a classifier on labelled photos, as a function of how much each photo counts.

    Args:
        log_probabilities: Logarithms of probabilities, (N, classes).
        labels: True class indices, (N,).
    """

    def __init__(self, log_probabilities: Floats, labels: Ints) -> None:
        count, classes = log_probabilities.shape
        rows = np.arange(count)
        self._classes = classes
        self._scored = scored_classes(np.bincount(labels, minlength=classes))
        self._top = [k for k in TOP if k < classes]
        guesses = log_probabilities.argmax(axis=1)
        right = guesses == labels
        probabilities = np.exp(log_probabilities)
        own = log_probabilities[rows, labels]
        # How many other classes are at least as probable as the label; of equals, the first one counts.
        ahead = (log_probabilities > own[:, None]).sum(axis=1)
        ahead += ((log_probabilities == own[:, None]) & (np.arange(classes) < labels[:, None])).sum(axis=1)
        target = np.zeros_like(probabilities)
        target[rows, labels] = 1
        plain = [
            np.ones(count),
            right.astype(np.float64),
            -np.log(np.maximum(np.exp(own), _TINY)),
            ((probabilities - target) ** 2).sum(axis=1),
            *((ahead < k).astype(np.float64) for k in self._top),
        ]
        confidence = probabilities.max(axis=1)
        self._bins = [confidence_bins(confidence, adaptive=adaptive) for adaptive in (False, True)]
        columns = [
            (labels, np.ones(count)),
            (guesses, np.ones(count)),
            (labels, right.astype(np.float64)),
            *((bins, right - confidence) for bins in self._bins),
        ]
        self._widths = [classes, classes, classes, *(int(bins.max()) + 1 for bins in self._bins)]
        offsets = np.cumsum([0, *self._widths])
        indices = np.stack([at + offset for (at, _), offset in zip(columns, offsets, strict=False)], axis=1)
        data = np.stack([values for _, values in columns], axis=1)
        each = len(columns)
        from scipy.sparse import csr_array  # noqa: PLC0415  predicting needs no SciPy

        self._sums = csr_array(
            (data.ravel(), indices.ravel(), np.arange(count + 1) * each), shape=(count, int(offsets[-1]))
        ).T.tocsr()
        self._plain = np.stack(plain, axis=1)
        self._curves = [_Curve(log_probabilities[:, label], labels == label) for label in range(classes)]

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Measure once for each weighting.

        Args:
            weights: How much each photo counts, from 0; (R, N).

        Returns:
            By name, (R, 1), and (R, classes) for those of `PER_CLASS`; NaN for a class without photos.
        """
        plain = weights @ self._plain
        total = plain[:, 0]
        sums = np.split((self._sums @ weights.T).T, np.cumsum(self._widths)[:-1], axis=1)
        support, predicted, hits, *gaps = sums
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = hits / support
            precision = np.where(predicted > 0, hits / predicted, 0.0)
            precision[support == 0] = np.nan
            f1 = 2 * hits / (support + predicted)
            f1[support == 0] = np.nan
        average = np.stack([curve(weights) for curve in self._curves], axis=1)
        by_class = {"precision": precision, "recall": recall, "f1": f1, "average_precision": average}
        means = {
            "accuracy": plain[:, 1] / total,
            "balanced_accuracy": _mean(recall),
            "macro_f1": _mean(f1[:, self._scored]),
            "macro_f1_present": _mean(f1),
            "macro_precision": _mean(precision),
            "macro_recall": _mean(recall),
        }
        for name in ("precision", "recall", "f1"):
            means[f"weighted_{name}"] = np.nansum(by_class[name] * support, axis=1) / total
        for column, k in enumerate(self._top, start=4):
            means[f"top_{k}"] = plain[:, column] / total
        means["mean_average_precision"] = _mean(average)
        means["log_loss"] = plain[:, 2] / total
        means["brier"] = plain[:, 3] / total
        for name, gap in zip(("ece", "adaptive_ece"), gaps, strict=True):
            means[name] = np.abs(gap).sum(axis=1) / total
        return {name: values[:, None] for name, values in means.items()} | by_class


class _Curve:
    """The area under one class's precision-recall curve, as steps."""

    def __init__(self, scores: Floats, positive: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked, positive = scores[self._order], positive[self._order]
        # Photos of equal score are passed together: a threshold can only lie after the last of them.
        ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        at = np.searchsorted(ends, np.flatnonzero(positive))
        self._ends = ends[np.unique(at)]
        self._positive = np.flatnonzero(positive)
        self._steps = np.unique(at, return_index=True)[1]

    def __call__(self, weights: Floats) -> Floats:
        if not len(self._positive):
            return np.full(len(weights), np.nan)
        ranked = weights[:, self._order]
        gained = np.add.reduceat(ranked[:, self._positive], self._steps, axis=1)
        starts = np.append(0, self._ends[:-1] + 1)
        passed = np.add.reduceat(ranked[:, : self._ends[-1] + 1], starts, axis=1).cumsum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(passed > 0, gained.cumsum(axis=1) / passed, 0.0)
            return (gained * precision).sum(axis=1) / gained.sum(axis=1)


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    return np.where(known, values, 0.0).sum(axis=1) / np.maximum(counts, 1)


def measured(
    log_probabilities: Floats,
    labels: Ints,
    groups: Ints,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, list[Estimate | None]]:
    """Measure a classifier, each number with its bootstrap interval.

    Args:
        log_probabilities: Logarithms of probabilities, (N, classes).
        labels: True class indices, (N,).
        groups: Numbers of the photos' groups from 0 (`activitynet.data.splits.group_numbers`), (N,).
        resamples: How many.
        confidence: How often an interval should hold the truth, in (0, 1).
        seed: Fixes what is drawn.

    Returns:
        By name: one estimate, or one a class for those of `PER_CLASS`.

    Raises:
        DataError: There are no photos, or an argument is out of range.
    """
    return intervals(
        Measures(log_probabilities, labels),
        groups,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
        pivotal=FLATTERED,
    )


MIN_SUPPORT = 30
"""A class with fewer photos than this moves a macro average by chance more than by skill."""


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Attributes:
        name: The class.
        precision: Share of the photos called this that are this, in [0, 1].
        recall: Share of the photos that are this that are called this, in [0, 1].
        f1: Harmonic mean of the two, in [0, 1].
        support: Photos of this class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """What a classifier scored on labelled photos.

    Attributes:
        photos: How many photos were scored.
        accuracy: Share of photos whose most probable class is the right one, in [0, 1].
        macro_f1: Mean F1 of the classes named in `scored`: the score that picks a run's best epoch.
        macro_f1_present: Mean F1 of all classes that have photos.
        scored: The classes that `macro_f1` averages over: those with at least 30 photos, or all that
            have photos when fewer than two do.
        classes: One entry a class, in the classifier's order, photos or not.
        confusion: Counts; row = true class, column = predicted class.
        skipped: Photos that were not scored, since they cannot be read.
    """

    photos: int
    accuracy: float
    macro_f1: float
    macro_f1_present: float
    scored: tuple[str, ...]
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    skipped: tuple[SkippedPhoto, ...] = ()

    def summary(self) -> str:
        """Return the scores as one line that says what they average over."""
        present = sum(entry.support > 0 for entry in self.classes)
        line = (
            f"macro-F1 {self.macro_f1:.3f} over {len(self.scored)} classes, accuracy {self.accuracy:.3f} "
            f"on {self.photos} photos"
        )
        if present != len(self.scored):
            line += f" (macro-F1 {self.macro_f1_present:.3f} over all {present} classes with photos)"
        if self.skipped:
            line += f"; {skipped_message(count_skipped(self.skipped))}"
        return line

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as plain JSON values."""
        return {
            "photos": self.photos,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "macro_f1_present": self.macro_f1_present,
            "scored": list(self.scored),
            "classes": [vars(entry) for entry in self.classes],
            "confusion": [list(row) for row in self.confusion],
            "skipped": [photo.to_dict([entry.name for entry in self.classes]) for photo in self.skipped],
        }


def scored_classes(support: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which classes macro-F1 averages over: see `Scores`.

    Args:
        support: Photos of each class, (classes,).
    """
    enough: NDArray[np.bool_] = support >= MIN_SUPPORT
    return enough if enough.sum() >= 2 else support > 0


def score(
    labels: ArrayLike,
    predicted: ArrayLike,
    classes: Sequence[str],
    *,
    skipped: tuple[SkippedPhoto, ...] = (),
) -> Scores:
    """Score predicted classes against the true ones.

    Args:
        labels: True class indices, shape (N,).
        predicted: Predicted class indices, shape (N,).
        classes: Class names in index order.
        skipped: Photos that could not be scored.

    Returns:
        The scores. A class that is neither there nor predicted has precision, recall and F1 of 0.

    Raises:
        DataError: There are no photos to score.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support  # noqa: PLC0415 - slow to import

    truth, guess = np.asarray(labels), np.asarray(predicted)
    if truth.size == 0:
        raise DataError("there are no labelled photos to score; check that this split has photos.")
    indices = np.arange(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, guess, labels=indices, zero_division=0.0
    )
    present: NDArray[np.bool_] = support > 0
    scored = scored_classes(support)
    return Scores(
        photos=int(truth.size),
        accuracy=float((truth == guess).mean()),
        macro_f1=float(f1[scored].mean()),
        macro_f1_present=float(f1[present].mean()),
        scored=tuple(name for name, chosen in zip(classes, scored, strict=True) if chosen),
        classes=tuple(
            ClassScore(name, float(p), float(r), float(f), int(s))
            for name, p, r, f, s in zip(classes, precision, recall, f1, support, strict=True)
        ),
        confusion=tuple(
            tuple(int(count) for count in row) for row in confusion_matrix(truth, guess, labels=indices)
        ),
        skipped=skipped,
    )


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model says of labelled photos.

    Attributes:
        photos: The photos, in the order of the rows.
        classes: Class names in the order of the columns.
        logits: The model's outputs, not divided by the temperature, float32 (N, classes).
        temperature: What they are divided by before the softmax.
        sizes: Width and height of each photo in pixels, int64 (N, 2).
        brightness: Mean luminance of each photo, float32 (N,), from 0 (black) to 1 (white).
        skipped: Photos that were not asked about, since they cannot be read.
    """

    photos: tuple[Photo, ...]
    classes: tuple[str, ...]
    logits: NDArray[np.float32]
    temperature: float
    sizes: Ints
    brightness: NDArray[np.float32]
    skipped: tuple[SkippedPhoto, ...] = ()

    @property
    def labels(self) -> Ints:
        """True class indices, (N,)."""
        return np.array([photo.label for photo in self.photos], dtype=np.int64)

    @property
    def groups(self) -> Ints:
        """Numbers of the photos' groups, (N,); a photo without one is a group of its own."""
        return group_numbers(self.photos)

    @property
    def guesses(self) -> Ints:
        """Index of the most probable class, (N,)."""
        return self.logits.argmax(axis=1)

    @property
    def log_probabilities(self) -> Floats:
        """Logarithms of probabilities, float64 (N, classes)."""
        return log_softmax(self.logits.astype(np.float64) / self.temperature)

    def scores(self) -> Scores:
        """Return accuracy, F1 and confusion."""
        return score(self.labels, self.guesses, self.classes, skipped=self.skipped)


class _Facts(Dataset[tuple[Any, int, torch.Tensor]]):
    """Photos with what a slice is cut by: width, height and brightness."""

    def __init__(self, photos: Sequence[Photo], preprocess: Callable[[Image.Image], Any]) -> None:
        self._photos = photos
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> tuple[Any, int, torch.Tensor]:
        photo = self._photos[index]
        image = decode_image(photo.path)
        (mean,) = ImageStat.Stat(image.reduce(max(1, min(image.size) // 64)).convert("L")).mean
        facts = torch.tensor([*image.size, mean / 255], dtype=torch.float64)
        return self._preprocess(image), photo.label, facts


def collect_outputs(
    model: nn.Module,
    photos: Sequence[Photo],
    preprocess: Callable[[Image.Image], Any],
    classes: Sequence[str],
    *,
    temperature: float = 1.0,
    batch_size: int = 64,
    workers: int = 0,
) -> Outputs:
    """Ask a model about labelled photos, in float32.

    Photos are read and forgotten one batch after the other. Every process of a distributed run calls this at
    once, computes a share, and gets all answers.

    Args:
        model: A zoo model with one output a class.
        photos: What to ask about, at least one.
        preprocess: What turns a photo into the model's input.
        classes: Class names in the order of the outputs.
        temperature: What the outputs are divided by before the softmax.
        batch_size: Photos a forward pass.
        workers: Processes that decode.

    Raises:
        ImageError: A photo cannot be read.
    """
    logits, (_, facts) = forward_items(
        model, _Facts(photos, preprocess), batch_size=batch_size, workers=workers, shared=True
    )
    return Outputs(
        photos=tuple(photos),
        classes=tuple(classes),
        logits=logits.numpy(),
        temperature=temperature,
        sizes=facts[:, :2].long().numpy(),
        brightness=facts[:, 2].float().numpy(),
    )
