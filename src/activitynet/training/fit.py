"""Training runs on photos: options, run folder, head fitting, validation and plots."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch
from PIL import Image
from torch import nn

from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.cache import PhotoCache
from activitynet.data.dataset import Photo, PhotoData
from activitynet.data.loader import PhotoDataset
from activitynet.data.preprocess import Preprocess
from activitynet.data.scan import CheckedData, count_skipped
from activitynet.errors import DataError, ModelError, StorageError, TrainingError
from activitynet.evaluation import Scores, plot_confusion, plot_learning_curves, plot_per_class_f1, score
from activitynet.evaluation.linear_probe import fit_head
from activitynet.inference import device_of, forward_dataset
from activitynet.runtime import distributed
from activitynet.runtime.devices import default_workers, keep_freed_memory
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
from activitynet.training.callbacks import Tracker
from activitynet.training.card_facts import run_facts
from activitynet.training.checkpoint import has_checkpoint
from activitynet.training.distill import Teachers, load_teachers
from activitynet.training.tune import LearningRates, auto_grad_accum_steps, find_learning_rate
from activitynet.weights import Card, save_weights

_log = logging.getLogger(__name__)

_PLOT_TIME = 0.05  # maximum share of a run's time for drawing curves
_LOW_ACCURACY = 0.6  # with teachers below this accuracy, students scored lower than without teachers


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """How to execute a run; the `Recipe` defines the training itself.

    Attributes:
        run: Folder for checkpoints, metrics, plots and the final weights; `None` writes nothing.
        seed: Random seed. The same seed gives the same weights.
        workers: Processes that load photos; `None` chooses by the number of cores. The result does not
            depend on it.
        resume: Continue from the last checkpoint of ``run``.
        skip_bad: Skip photos that cannot be read, in all splits, instead of raising. The result and the card
            count them, and ``skipped.jsonl`` of the run lists them.
        cache: Folder for decoded training photos, reduced to the size that crops need. It saves most of the
            loading time, and several runs can share it. It changes the training images slightly, so a run
            can only be resumed with the same cache. Evaluation does not use it. `None` caches nothing.
        cache_gb: Maximum size of the cache in gigabytes (10⁹ bytes), greater than 0. When it is full, the
            oldest photos are removed.
        progress: Show the progress in the terminal.
        track: Experiment trackers to log to, such as ``"tensorboard"``; they require ``run``.
        callbacks: Functions called with each `activitynet.training.Event`.

    Raises:
        TrainingError: There are trackers, but no run folder.
    """

    run: str | os.PathLike[str] | None = None
    seed: int = 0
    workers: int | None = None
    resume: bool = False
    skip_bad: bool = False
    cache: str | os.PathLike[str] | None = None
    cache_gb: float = 20.0
    progress: bool = True
    track: Sequence[str] = ()
    callbacks: Sequence[Callback] = ()

    def __post_init__(self) -> None:
        if self.track and self.run is None:
            raise TrainingError("experiment trackers need a run folder; set 'run'.")

    @property
    def loading_workers(self) -> int:
        """Number of processes that load photos."""
        return default_workers() if self.workers is None else self.workers


class TrainKeywords(TypedDict, total=False):
    """The fields of `TrainOptions`, which describes them, as keyword arguments."""

    run: str | os.PathLike[str] | None
    seed: int
    workers: int | None
    resume: bool
    skip_bad: bool
    cache: str | os.PathLike[str] | None
    cache_gb: float
    progress: bool
    track: Sequence[str]
    callbacks: Sequence[Callback]


class FitKeywords(TrainKeywords, total=False):
    """The keyword arguments of `activitynet.Classifier.fit`, which describes them, except ``recipe``."""

    settings: Mapping[str, Any] | None
    epochs: int | None
    batch_size: int | None
    lr: float | None


def check_trainable(model: nn.Module | None, model_args: Mapping[str, Any]) -> None:
    """Check that a network can be trained on photos; `None` stands for one that is created later.

    Raises:
        ModelError: The weights are not float32 or are inference tensors, or the input is not RGB.
    """
    channels = getattr(model, "model_args", model_args).get("in_chans", 3)
    if channels != 3:
        raise ModelError(f"photos have 3 channels, but this model takes {channels}; remove in_chans.")
    for name, weight in () if model is None else model.named_parameters():
        if weight.dtype != torch.float32:
            kind = str(weight.dtype).removeprefix("torch.")
            raise ModelError(
                f"training needs float32 weights, but {name!r} is {kind}; call model.float(), and set the "
                "precision of the computation in the recipe."
            )
        if weight.is_inference():
            raise ModelError("a model created in torch.inference_mode cannot be trained; create it outside.")


def resolve_recipe(
    recipe: str | os.PathLike[str] | Recipe,
    settings: Mapping[str, Any] | None = None,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
) -> Recipe:
    """Load a recipe and override fields of it.

    Raises:
        TrainingError: The recipe or a field does not exist, or a value has the wrong type or range.
    """
    shortcuts = {"epochs": epochs, "batch_size": batch_size, "optimizer.lr": lr}
    changes = {name: value for name, value in shortcuts.items() if value is not None}
    known = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    return known.override({**(settings or {}), **changes})


def _grad_accum_steps(model: nn.Module, preprocess: Preprocess, recipe: Recipe, run: RunFolder | None) -> int:
    """Return the parts per step: those of the run to resume, or as few as fit into memory.

    Raises:
        TrainingError: Not even one photo fits, or the device does not report its free memory.
    """
    begun = run.begun() if run is not None else None
    if begun is not None and isinstance(parts := begun.get("recipe", {}).get("grad_accum_steps"), int):
        return parts
    # The process with the least free memory decides.
    parts = distributed.all_reduce_max(
        auto_grad_accum_steps(model, preprocess.size, recipe), device_of(model)
    )
    _log.info("splitting each step into %d part(s) to fit into memory", parts)
    return parts


def open_cache(
    folder: str | os.PathLike[str], recipe: Recipe, preprocess: Preprocess, *, gigabytes: float
) -> PhotoCache:
    """Open a cache of photos, large enough that a recipe's crops are on average not enlarged.

    Raises:
        DataError: The maximum size is not greater than 0.
        StorageError: The folder cannot be written.
    """
    if not gigabytes > 0:
        raise DataError(f"cache_gb must be greater than 0, not {gigabytes}.")
    side = max(max(size) for size in _training_sizes(recipe, preprocess))
    size = math.ceil(side / math.sqrt(sum(recipe.augment.scale) / 2))
    return PhotoCache(folder, size=size, max_bytes=max(1, round(min(gigabytes, 1e9) * 1e9)))


def search_learning_rate(
    model: nn.Module,
    data: PhotoData,
    preprocess: Preprocess,
    recipe: Recipe,
    *,
    seed: int,
    workers: int | None,
) -> LearningRates:
    """Search for the learning rate of a run on photos; see `find_learning_rate`."""
    workers = default_workers() if workers is None else workers
    teachers = _teachers(model, data, preprocess, recipe)
    dataset = _training_photos(data, preprocess, recipe, seed)
    distill_loss = teachers.loss if teachers else None
    return find_learning_rate(model, dataset, recipe, seed=seed, workers=workers, distill_loss=distill_loss)


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


def _log_teacher_accuracy(teachers: Teachers, photos: AugmentedPhotos, device: torch.device) -> None:
    """Log the teachers' accuracy on the training images; warn if it is low."""
    accuracy = teachers.accuracy(photos, device)
    if accuracy < _LOW_ACCURACY:
        _log.warning(
            "the teachers classify only %.0f%% of the augmented training photos correctly, so the student "
            "learns their errors. Train on larger images, or with less noise, rotation and cropping.",
            100 * accuracy,
        )
    else:
        _log.info("the teachers classify %.0f%% of the training photos correctly", 100 * accuracy)


@dataclasses.dataclass(frozen=True)
class FitPlan:
    """A training run that is ready to start.

    Attributes:
        data: The photos, all readable.
        preprocess: Preprocessing outside training.
        recipe: The recipe, with the number of parts per step set.
        options: How to execute the run.
        folder: The run folder; `None` writes nothing.
        cache: Cache of decoded training photos, if any.
        tracker: Experiment trackers, if any.
    """

    data: PhotoData
    preprocess: Preprocess
    recipe: Recipe
    options: TrainOptions
    folder: RunFolder | None
    cache: PhotoCache | None
    tracker: Tracker | None

    def facts(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return the run's fields for the card of an epoch's weights, from the epoch's history entry."""
        return run_facts(self.data, self.recipe, entry)


def plan_fit(
    model: nn.Module,
    checked: CheckedData,
    preprocess: Preprocess,
    recipe: Recipe,
    options: TrainOptions,
    *,
    network: Mapping[str, Any],
) -> FitPlan:
    """Open the run folder, the cache and the trackers of a run.

    Args:
        model: The network on its device.
        checked: The photos, all readable.
        preprocess: Preprocessing outside training.
        recipe: The recipe.
        options: How to execute the run.
        network: Description of the network for the run's configuration, as JSON values.

    Raises:
        DataError: The maximum size of the cache is not greater than 0.
        TrainingError: The run cannot be resumed, its folder holds another run, or a tracker is missing.
        StorageError: A folder cannot be written.
    """
    data = checked.data
    folder = RunFolder(options.run) if options.run is not None else None
    if recipe.grad_accum_steps == 0:
        recipe = recipe.override(grad_accum_steps=_grad_accum_steps(model, preprocess, recipe, folder))
    cache = None
    if options.cache is not None:
        cache = open_cache(options.cache, recipe, preprocess, gigabytes=options.cache_gb)
    config = {
        "recipe": recipe.to_dict(),
        **network,
        "classes": list(data.classes),
        "seed": options.seed,
        "cache": None if cache is None else {"size": cache.size},  # the training images depend on it
    }
    tracker = Tracker(options.track, folder.path, config) if folder is not None and options.track else None
    if folder is not None and distributed.is_main_process():
        skipped = [photo.to_dict(data.classes) for photo in data.skipped]
        folder.open(config, checked.fingerprint, skipped=skipped, resume=options.resume)
    distributed.barrier()
    return FitPlan(data, preprocess, recipe, options, folder, cache, tracker)


def fit_model(model: nn.Module, plan: FitPlan, *, card: Callable[[Mapping[str, Any]], Card]) -> FitResult:
    """Train a model as planned, show the progress, and draw the plots.

    Args:
        model: The network, with one output per class. Afterwards it has the weights of the best epoch.
        plan: The run.
        card: Returns the card of the network from the fields of `FitPlan.facts`, for saved epochs.

    Raises:
        TrainingError: The run cannot continue.
        StorageError: A file cannot be written.
    """
    data, preprocess, recipe = plan.data, plan.preprocess, plan.recipe
    options, run = plan.options, plan.folder
    device, workers = device_of(model), options.loading_workers
    if device.type == "cpu":
        keep_freed_memory()
    resuming = run is not None and options.resume and has_checkpoint(run.last)
    if recipe.fit_head and not resuming:
        _fit_head(model, data, preprocess, recipe, workers)

    photos = _training_photos(data, preprocess, recipe, options.seed, plan.cache)
    teachers = _teachers(model, data, preprocess, recipe)
    if teachers and not resuming:
        _log_teacher_accuracy(teachers, photos, device)

    val = PhotoDataset(data.val, preprocess)
    plots = _Plots(run, data.classes) if run is not None and distributed.is_main_process() else None
    latest: list[Scores] = []

    def validate(candidate: nn.Module) -> Mapping[str, Any]:
        bf16 = computes_in_bf16(recipe, device)
        logits, labels = forward_dataset(candidate, val, workers=workers, bf16=bf16, shared=True)
        scores = score(labels.numpy(), logits.argmax(dim=1).numpy(), data.classes)
        latest[:] = [scores]
        return {
            **{name: getattr(scores, name) for name in ("macro_f1", "macro_f1_present", "accuracy")},
            "per_class_f1": [item.f1 if item.support else None for item in scores.classes],
        }

    def save_epoch(path: Path, network: nn.Module, entry: Mapping[str, Any]) -> None:
        save_weights(path, network, card(plan.facts(entry)))

    drawn = -1  # the epoch of the last confusion matrix

    def draw(event: Event) -> None:
        nonlocal drawn
        if event.kind == "epoch":
            drawn = event.epoch if event.best else drawn
            if plots is not None:
                plots.draw(latest[0] if event.best else None)

    live = LiveProgress() if options.progress and distributed.is_main_process() else None
    with contextlib.ExitStack() as stack:
        for closed in (live, plan.tracker):
            if closed is not None:
                stack.enter_context(contextlib.closing(closed))
        result = train(
            model,
            photos,
            validate,
            recipe,
            run=run,
            resume=options.resume,
            seed=options.seed,
            workers=workers,
            distill_loss=teachers.loss if teachers else None,
            save_epoch=save_epoch,
            callbacks=[*filter(None, (live,)), draw, *filter(None, (plan.tracker,)), *options.callbacks],
        )
    is_stale = run is not None and drawn != result.best_epoch  # a resumed run did not draw its best epoch
    if is_stale:
        validate(model)
    if plots is not None:
        plots.draw(latest[0] if is_stale else None, at_once=True)
    return dataclasses.replace(result, skipped=count_skipped(data.skipped))


class _Plots:
    """Plots of a run folder; drawing the curves takes at most a share ``_PLOT_TIME`` of the run's time."""

    def __init__(self, run: RunFolder, classes: Sequence[str]) -> None:
        self._run, self._classes = run, classes
        self._due = 0.0

    def draw(self, best: Scores | None, *, at_once: bool = False) -> None:
        """Draw the confusion matrix of a new best epoch, and the curves when they are due.

        Raises:
            StorageError: A plot cannot be written, or the run folder is gone.
        """
        run, began = self._run, time.monotonic()
        if not run.config.exists():
            raise StorageError(
                f"the run folder {str(run.path)!r} was removed or moved during the run; start again in a "
                "new folder."
            )
        if best is not None:
            plot_confusion(best, run.plots / "confusion.png")
        if at_once or began >= self._due:
            history, timings = run.read_metrics()
            plot_learning_curves(history, run.plots / "learning_curves.png", timings)
            plot_per_class_f1(history, self._classes, run.plots / "per_class_f1.png")
            now = time.monotonic()
            self._due = now + (now - began) / _PLOT_TIME


def _fit_head(
    model: nn.Module, data: PhotoData, preprocess: Preprocess, recipe: Recipe, workers: int
) -> None:
    """Fit the classifier on features of the photos and their mirror images; the trunk is frozen."""
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
