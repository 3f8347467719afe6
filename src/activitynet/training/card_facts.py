"""What training and evaluation add to the card of weights."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activitynet.data.dataset import PhotoData
from activitynet.data.scan import count_skipped
from activitynet.evaluation import Scores, plot_confusion
from activitynet.training.recipe import Recipe

_FEW = 10  # photos: a class with fewer cannot be learned


def run_facts(data: PhotoData, recipe: Recipe, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run adds to a card.

    Args:
        data: The photos of the run.
        recipe: Its recipe.
        entry: The history's entry of the epoch whose weights are saved.
    """
    scores = {name: entry[name] for name in ("macro_f1", "macro_f1_present", "accuracy")}
    return {
        "metrics": {"split": f"val ({len(data.val)} photos)", **scores},
        "training_data": training_text(data),
        "skipped": count_skipped(data.skipped),
        "license": "unknown",
        "recipe": recipe.to_dict(),
    }


def training_text(data: PhotoData) -> str:
    """Return what a card says of the training photos, and of classes with too few of them."""
    counts = Counter(photo.label for photo in data.train)
    text = f"{len(data.train)} photos in {len(counts)} classes."
    few = [(name, counts[label]) for label, name in enumerate(data.classes) if counts[label] < _FEW]
    if few:
        text += f" Too few to learn: {', '.join(f'{name} ({count})' for name, count in few)}."
    return text


def card_scores(scores: Scores) -> dict[str, Any]:
    """Return what an evaluation adds to a card's metrics: the scores, overall and per class."""
    return {
        "split": f"evaluated ({scores.photos} photos)",
        "macro_f1": scores.macro_f1,
        "macro_f1_present": scores.macro_f1_present,
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
    """Return the confusion matrix as a PNG, for the page of weights; `None` without scores."""
    if scores is None:
        return None
    with tempfile.TemporaryDirectory() as temporary:
        plot_confusion(scores, path := Path(temporary) / "confusion.png")
        return path.read_bytes()
