"""A training run on photos: the head start, the loop, what validates it and what is drawn of it."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn

from activitynet.data.photos import Photo, PhotoData, PhotoDataset
from activitynet.data.preprocess import Preprocess
from activitynet.evaluation import Scores, plot_confusion, plot_learning_curves, score
from activitynet.inference import device_of, forward_dataset
from activitynet.training import (
    Callback,
    Event,
    FitResult,
    LiveProgress,
    Recipe,
    RunFolder,
    computes_in_bf16,
    fit_head,
    train,
)
from activitynet.training.checkpoint import has_checkpoint
from activitynet.training.memory import keep_freed_memory

_log = logging.getLogger(__name__)


def default_workers() -> int:
    """Return how many processes load photos unless told: half the cores, at least one, at most eight."""
    return min(8, max(1, (os.cpu_count() or 1) // 2))


def score_photos(
    model: nn.Module,
    photos: Sequence[Photo],
    preprocess: Preprocess,
    classes: Sequence[str],
    *,
    batch_size: int = 64,
    workers: int = 0,
) -> Scores:
    """Score a model on labelled photos, in float32.

    Args:
        model: A zoo model with one output a class.
        photos: What to score it on.
        preprocess: What turns a photo into the model's input.
        classes: Class names in the order of the outputs.
        batch_size: Photos a forward pass.
        workers: Processes that decode.

    Raises:
        DataError: There are no photos.
        ImageError: A photo cannot be read.
    """
    dataset = PhotoDataset(photos, preprocess)
    logits, labels = forward_dataset(model, dataset, batch_size=batch_size, workers=workers)
    return score(labels.numpy(), logits.argmax(dim=1).numpy(), classes)


def fit_model(
    model: nn.Module,
    data: PhotoData,
    preprocess: Preprocess,
    recipe: Recipe,
    *,
    run: RunFolder | None,
    resume: bool,
    seed: int,
    workers: int,
    progress: bool,
    callbacks: Sequence[Callback],
) -> FitResult:
    """Train a model on photos, show how it goes, and draw what came of it.

    Args:
        model: A zoo model with one output a class; it ends with the weights of its best epoch.
        data: Photos whose readability has been checked.
        preprocess: What turns a photo into the model's input outside training.
        recipe: What to do.
        run: Where the run is written; `None` writes nothing.
        resume: Go on from the run's last checkpoint when there is one.
        seed: Where all randomness comes from.
        workers: Processes that load photos.
        progress: Show the run in the terminal.
        callbacks: Called with each event after the library's own.

    Raises:
        TrainingError: The run cannot go on.
        StorageError: Something cannot be written.
    """
    if device_of(model).type == "cpu":
        keep_freed_memory()
    resuming = run is not None and resume and has_checkpoint(run.last)
    if recipe.fit_head and not resuming:
        _start_head(model, data, preprocess, recipe, workers)

    size = recipe.training_size(preprocess.size)
    transform = recipe.augment.build(dataclasses.replace(preprocess, size=size))
    latest: list[Scores] = []

    def validate(candidate: nn.Module) -> Mapping[str, float]:
        scores = score_photos(candidate, data.val, preprocess, data.classes, workers=workers)
        latest[:] = [scores]
        return {name: getattr(scores, name) for name in ("macro_f1", "macro_f1_present", "accuracy")}

    def draw(event: Event) -> None:
        if run is not None and event.kind == "epoch":
            plot_learning_curves(run.read_metrics(), run.plots / "learning_curves.png")
            if event.best:
                plot_confusion(latest[0], run.plots / "confusion.png")

    live = LiveProgress() if progress else None
    try:
        return train(
            model,
            PhotoDataset(data.train, transform, seed=seed),
            validate,
            recipe,
            run=run,
            resume=resume,
            seed=seed,
            workers=workers,
            callbacks=[*([live] if live else []), draw, *callbacks],
        )
    finally:
        if live:
            live.close()


def card_facts(data: PhotoData, result: FitResult) -> dict[str, Any]:
    """Return what a run adds to a card: its scores, with their split, and what it was trained on."""
    learned = {photo.label for photo in data.train}
    absent = [name for label, name in enumerate(data.classes) if label not in learned]
    text = f"{len(data.train)} photos in {len(learned)} classes."
    if absent:
        text += f" None of: {', '.join(absent)}."
    scores = {name: result.best[name] for name in ("macro_f1", "macro_f1_present", "accuracy")}
    return {
        "metrics": {"split": f"val ({len(data.val)} photos)", **scores},
        "training_data": text,
        "licence": "unknown",
    }


def _start_head(
    model: nn.Module, data: PhotoData, preprocess: Preprocess, recipe: Recipe, workers: int
) -> None:
    """Fit the classifier on the frozen trunk's features of the photos and their mirror images."""
    bf16 = computes_in_bf16(recipe, device_of(model))

    def features(photos: Sequence[Photo], transform: Any) -> tuple[torch.Tensor, torch.Tensor]:
        dataset = PhotoDataset(photos, transform)
        return forward_dataset(model, dataset, workers=workers, features=True, bf16=bf16)

    _log.info("fitting the head on the frozen trunk's features of %d photos", len(data.train))
    plain, labels = features(data.train, preprocess)
    mirrored, _ = features(data.train, functools.partial(_mirrored, preprocess))
    best = fit_head(
        model,
        train=(torch.cat([plain, mirrored]), torch.cat([labels, labels])),
        val=features(data.val, preprocess),
        score=lambda truth, guess: score(truth, guess, data.classes).macro_f1,
    )
    _log.info("the fitted head scores macro-F1 %.3f on the validation photos", best)


def _mirrored(preprocess: Preprocess, photo: Image.Image) -> torch.Tensor:
    return preprocess(photo).flip(-1)
