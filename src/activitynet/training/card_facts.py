"""Fields that training and evaluation add to a card."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from activitynet.data.dataset import PhotoData
from activitynet.data.scan import count_skipped
from activitynet.evaluation import Scores, plot_confusion
from activitynet.evaluation.metrics import scored_classes
from activitynet.training.recipe import Recipe

_FEW = 10  # a class with fewer photos cannot be learned


def run_facts(data: PhotoData, recipe: Recipe, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a run adds to a card.

    Args:
        data: The photos of the run.
        recipe: Its recipe.
        entry: The history entry of the epoch whose weights are saved.
    """
    scores = {name: entry[name] for name in ("macro_f1", "macro_f1_present", "accuracy")}
    support = np.bincount([photo.label for photo in data.val], minlength=len(data.classes))
    scores["macro_f1_classes"] = int(scored_classes(support).sum())
    return {
        "metrics": {"split": f"val ({len(data.val)} photos)", **scores},
        "training_data": training_text(data),
        "skipped": count_skipped(data.skipped),
        "license": "unknown",
        "recipe": recipe.to_dict(),
    }


def training_text(data: PhotoData) -> str:
    """Return a card's description of the training photos; it names classes with too few photos."""
    counts = Counter(photo.label for photo in data.train)
    text = f"{len(data.train)} photos in {len(counts)} classes."
    few = [(name, counts[label]) for label, name in enumerate(data.classes) if counts[label] < _FEW]
    if few:
        text += f" Too few to learn: {', '.join(f'{name} ({count})' for name, count in few)}."
    return text


def card_scores(scores: Scores) -> dict[str, Any]:
    """Return the scores of an evaluation, overall and per class, for a card's metrics."""
    return {
        "split": f"evaluated ({scores.photos} photos)",
        "macro_f1": scores.macro_f1,
        "macro_f1_present": scores.macro_f1_present,
        "macro_f1_classes": len(scores.scored),
        "accuracy": scores.accuracy,
        "per_class": {
            entry.name: {
                "precision": entry.precision,
                "recall": entry.recall,
                "f1": entry.f1,
                "photos": entry.support,
            }
            for entry in scores.classes
        },
    }


def confusion_picture(scores: Scores | None) -> bytes | None:
    """Return the confusion matrix as a PNG for the weights' page; `None` without scores."""
    if scores is None:
        return None
    with tempfile.TemporaryDirectory() as temporary:
        plot_confusion(scores, path := Path(temporary) / "confusion.png")
        return path.read_bytes()
