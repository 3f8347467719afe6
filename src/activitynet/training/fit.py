"""A training run on photos: the head start, the loop, what validates it and what is drawn of it."""

from __future__ import annotations

import functools
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn

from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.cache import PhotoCache
from activitynet.data.dataset import Photo, PhotoData
from activitynet.data.loader import PhotoDataset
from activitynet.data.preprocess import Preprocess
from activitynet.data.scan import count_skipped
from activitynet.errors import DataError
from activitynet.evaluation import Scores, plot_confusion, plot_learning_curves, plot_per_class_f1, score
from activitynet.evaluation.linear_probe import fit_head
from activitynet.inference import device_of, forward_dataset
from activitynet.runtime import distributed
from activitynet.runtime.devices import keep_freed_memory, usable_cores
from activitynet.training import (
    Callback,
    Event,
    FitResult,
    LiveProgress,
    Recipe,
    RunFolder,
    computes_in_bf16,
    load_recipe,
    train,
)
from activitynet.training.checkpoint import has_checkpoint
from activitynet.training.distill import Teachers, load_teachers
from activitynet.training.loop import Keep
from activitynet.training.tune import LearningRates, auto_grad_accum_steps, find_learning_rate

_log = logging.getLogger(__name__)

_FEW = 10  # photos of a class that say nothing about it
_DRAWING = 0.05  # of a run's time is for its curves, where epochs are short
_RIGHT = 0.6  # of a teacher's answers: below it, students were seen to learn less than without one


def default_workers() -> int:
    """Return how many processes load photos unless told: half the usable cores, from one to eight."""
    return min(8, max(1, usable_cores() // 2))


def resolve_recipe(
    recipe: str | os.PathLike[str] | Recipe,
    settings: Mapping[str, Any] | None = None,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
) -> Recipe:
    """Return a recipe with its changes, those that have an argument of their own included.

    Raises:
        TrainingError: There is no such recipe or field, or a value has the wrong type or range.
    """
    shortcuts = {"epochs": epochs, "batch_size": batch_size, "optimizer.lr": lr}
    changes = {name: value for name, value in shortcuts.items() if value is not None}
    known = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    return known.override({**(settings or {}), **changes})


def fitting_grad_accum_steps(
    model: nn.Module, preprocess: Preprocess, recipe: Recipe, run: RunFolder | None
) -> int:
    """Return in how many parts to compute a step: as a run to go on with began, or as memory asks for.

    Raises:
        TrainingError: Not even one photo fits, or the device does not tell its free memory.
    """
    begun = run.begun() if run is not None else None
    if begun is not None and isinstance(parts := begun.get("recipe", {}).get("grad_accum_steps"), int):
        return parts
    # The process with the least free memory decides.
    parts = distributed.all_reduce_max(
        auto_grad_accum_steps(model, preprocess.size, recipe), device_of(model)
    )
    _log.info("each step is computed in %d part(s), so that it fits into memory", parts)
    return parts


def open_cache(
    folder: str | os.PathLike[str], recipe: Recipe, preprocess: Preprocess, *, gigabytes: float
) -> PhotoCache:
    """Return a cache of photos so large that a recipe's crops are not enlarged on average.

    Raises:
        DataError: It may not take any room.
        StorageError: The folder cannot be written.
    """
    if not gigabytes > 0:
        raise DataError(f"the cache must have room: cache_gb is {gigabytes}; give more than 0.")
    side = max(max(size) for size in _training_sizes(recipe, preprocess))
    size = math.ceil(side / math.sqrt(sum(recipe.augment.scale) / 2))
    return PhotoCache(folder, size=size, max_bytes=max(1, round(min(gigabytes, 1e9) * 1e9)))


def search_learning_rate(
    model: nn.Module, data: PhotoData, preprocess: Preprocess, recipe: Recipe, *, seed: int, workers: int
) -> LearningRates:
    """Search for the learning rate of a run on photos; see `find_learning_rate`."""
    teachers = _teachers(model, data, preprocess, recipe)
    teach = teachers.loss if teachers else None
    dataset = _training_photos(data, preprocess, recipe, seed)
    return find_learning_rate(model, dataset, recipe, seed=seed, workers=workers, teach=teach)


def _training_sizes(recipe: Recipe, preprocess: Preprocess) -> list[tuple[int, int]]:
    """Return the height and width of the images of each epoch."""
    return [recipe.training_size(preprocess.size, epoch) for epoch in range(1, max(1, recipe.epochs) + 1)]


def _training_photos(
    data: PhotoData, preprocess: Preprocess, recipe: Recipe, seed: int, cache: PhotoCache | None = None
) -> AugmentedPhotos:
    sizes = _training_sizes(recipe, preprocess)
    return AugmentedPhotos(data.train, recipe.augment, preprocess, seed=seed, size_at=sizes, cache=cache)


def _teachers(model: nn.Module, data: PhotoData, preprocess: Preprocess, recipe: Recipe) -> Teachers | None:
    device = device_of(model)
    bf16 = computes_in_bf16(recipe, device)
    return load_teachers(recipe.distill, data.classes, preprocess, device, bf16=bf16)


def _tell_how_right(teachers: Teachers, photos: AugmentedPhotos, device: torch.device) -> None:
    """Warn of teachers that do not recognise what the student is to learn from."""
    right = teachers.share_right(photos, device)
    if right < _RIGHT:
        _log.warning(
            "the teachers are right about %.0f%% of the training photos as the student sees them: it learns "
            "their errors. Train on larger images, or with less noise, rotation and cropping.",
            100 * right,
        )
    else:
        _log.info("the teachers are right about %.0f%% of the training photos", 100 * right)


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
    cache: PhotoCache | None = None,
    keep: Keep | None = None,
    callbacks: Sequence[Callback] = (),
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
        cache: Where training photos are kept decoded.
        keep: Writes the epochs that the recipe keeps.
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

    photos = _training_photos(data, preprocess, recipe, seed, cache)
    teachers = _teachers(model, data, preprocess, recipe)
    if teachers and not resuming:
        _tell_how_right(teachers, photos, device_of(model))

    latest: list[Scores] = []
    val = PhotoDataset(data.val, preprocess)
    bf16 = computes_in_bf16(recipe, device_of(model))

    def validate(candidate: nn.Module) -> Mapping[str, Any]:
        logits, labels = forward_dataset(candidate, val, workers=workers, bf16=bf16, shared=True)
        scores = score(labels.numpy(), logits.argmax(dim=1).numpy(), data.classes)
        latest[:] = [scores]
        return {
            **{name: getattr(scores, name) for name in ("macro_f1", "macro_f1_present", "accuracy")},
            "per_class_f1": [item.f1 if item.support else None for item in scores.classes],
        }

    next_drawing = 0.0

    def draw(event: Event) -> None:
        nonlocal next_drawing
        if run is None or event.kind not in ("epoch", "end"):
            return
        if event.best:
            plot_confusion(latest[0], run.plots / "confusion.png")
        began = time.monotonic()
        if event.kind == "end" or began >= next_drawing:
            history, timings = run.read_metrics()
            plot_learning_curves(history, run.plots / "learning_curves.png", timings)
            plot_per_class_f1(history, data.classes, run.plots / "per_class_f1.png")
            now = time.monotonic()
            next_drawing = now + (now - began) / _DRAWING

    live = LiveProgress() if progress and distributed.is_main_process() else None
    own: list[Callback] = [*([live] if live else []), *([draw] if distributed.is_main_process() else [])]
    try:
        return train(
            model,
            photos,
            validate,
            recipe,
            run=run,
            resume=resume,
            seed=seed,
            workers=workers,
            teach=teachers.loss if teachers else None,
            keep=keep,
            callbacks=[*own, *callbacks],
        )
    finally:
        if live:
            live.close()


def card_facts(data: PhotoData, entry: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return what a run adds to a card: an epoch's scores, with their split, its photos and its recipe."""
    scores = {name: entry[name] for name in ("macro_f1", "macro_f1_present", "accuracy")}
    return {
        "metrics": {"split": f"val ({len(data.val)} photos)", **scores},
        "training_data": training_text(data),
        "skipped": count_skipped(data.skipped),
        "license": "unknown",
        "recipe": recipe.to_dict(),
    }


def training_text(data: PhotoData) -> str:
    """Return what a card says of the photos that were learned from, and of classes that had too few."""
    counts = Counter(photo.label for photo in data.train)
    text = f"{len(data.train)} photos in {len(counts)} classes."
    few = [(name, counts[label]) for label, name in enumerate(data.classes) if counts[label] < _FEW]
    if few:
        text += f" Too few to learn: {', '.join(f'{name} ({count})' for name, count in few)}."
    return text


def card_scores(scores: Scores) -> dict[str, Any]:
    """Return what an evaluation adds to a card's metrics: the scores, and each class's."""
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


def _start_head(
    model: nn.Module, data: PhotoData, preprocess: Preprocess, recipe: Recipe, workers: int
) -> None:
    """Fit the classifier on the frozen trunk's features of the photos and their mirror images."""
    bf16 = computes_in_bf16(recipe, device_of(model))

    def features(photos: Sequence[Photo], transform: Any) -> tuple[torch.Tensor, torch.Tensor]:
        dataset = PhotoDataset(photos, transform)
        return forward_dataset(model, dataset, workers=workers, features=True, bf16=bf16, shared=True)

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
