"""What can be taught: a network for a set of classes, made when they are known, and trained on photos."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from activitynet.data.cache import PhotoCache
from activitynet.data.dataset import PhotoData
from activitynet.data.preprocess import Preprocess, Resize, Views
from activitynet.data.scan import CheckedData, count_skipped
from activitynet.errors import DataError, ModelError, TrainingError
from activitynet.evaluation import plot_learning_rates
from activitynet.inference import Engine, best_device
from activitynet.predictor import Data, Ready
from activitynet.publishable import Publishable
from activitynet.runtime import distributed
from activitynet.runtime.seeds import derived_seed
from activitynet.training import Callback, FitResult, Recipe, RunFolder
from activitynet.training.callbacks import Tracker
from activitynet.training.fit import (
    card_facts,
    default_workers,
    fit_model,
    fitting_grad_accum_steps,
    open_cache,
    resolve_recipe,
    search_learning_rate,
)
from activitynet.training.tune import LearningRates
from activitynet.weights import Card, save_weights
from activitynet.zoo import create_model

_log = logging.getLogger(__name__)


class Learner(Publishable):
    """A predictor that learns; `activitynet.Classifier` is one, and describes the arguments."""

    def __init__(
        self,
        model: str | nn.Module = "resnet18_se",
        classes: Sequence[str] | None = None,
        *,
        init_from: str | os.PathLike[str] | None = None,
        image_size: int | None = None,
        resize: Resize = "squash",
        model_args: Mapping[str, Any] | None = None,
        device: str | None = None,
    ) -> None:
        self.classes: tuple[str, ...] | None = tuple(classes) if classes is not None else None
        self.preprocess: Preprocess | Views | None = None
        self.temperature, self.unknown_below = 1.0, 0.0
        self.device = torch.device(device) if device is not None else best_device()
        self._architecture = model if isinstance(model, str) else type(model).__name__
        self._init_from = init_from
        self._image_size = image_size
        self._resize: Resize = resize
        self._model_args = dict(model_args or {})
        self._model: nn.Module | None = None
        self._card_facts: dict[str, Any] = {}
        if isinstance(model, nn.Module):
            if self.classes is None:
                raise ModelError("name the classes of a model of your own: Classifier(model, classes=[...]).")
            self._take(model, Preprocess.from_model(model, size=image_size, resize=resize))

    @property
    def model(self) -> nn.Module:
        """The network, in evaluation mode unless you change it.

        Raises:
            ModelError: There is none yet.
        """
        return self._ready()[0]

    @property
    def metrics(self) -> dict[str, Any]:
        """Scores of the weights with the split they were measured on, and how they were calibrated."""
        return dict(self._card_facts.get("metrics", {}))

    def _take(self, model: nn.Module, preprocess: Preprocess | Views) -> None:
        if self.classes is not None and model.num_classes != len(self.classes):
            raise ModelError(
                f"the model has {model.num_classes} outputs, and {len(self.classes)} classes are named; "
                "make them the same."
            )
        self._model = model.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.preprocess = preprocess

    def fit(
        self,
        data: Data,
        *,
        run: str | os.PathLike[str] | None = None,
        recipe: str | os.PathLike[str] | Recipe = "default",
        settings: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        seed: int = 0,
        workers: int | None = None,
        resume: bool = False,
        skip_bad: bool = False,
        cache: str | os.PathLike[str] | None = None,
        cache_gb: float = 20.0,
        progress: bool = True,
        track: Sequence[str] = (),
        callbacks: Sequence[Callback] = (),
    ) -> FitResult:
        """Train as a recipe says, and keep the epoch that scores best on the validation photos.

        Args:
            data: A folder with one folder a class, split into ``train`` and ``val`` or not (then a fifth
                is held out); a table; or what else `open_data` takes. Or an opened `PhotoData`.
            run: Folder for checkpoints, metrics, plots and the final weights; `None` writes nothing.
            recipe: What to do: a name of `activitynet.training.list_recipes`, a TOML file, or a `Recipe`.
            settings: Fields of it to change, by their dotted names: ``{"optimizer.lr": 3e-4}``.
            epochs: Passes over the training photos; this and the next two change the recipe as well.
            batch_size: Photos a step, over all devices together.
            lr: Peak learning rate.
            seed: Where all randomness comes from: the same seed gives the same weights.
            workers: Processes that load photos; `None` chooses by the machine's cores. The result does
                not depend on it.
            resume: Go on from where ``run`` was last saved.
            skip_bad: Leave out photos that cannot be read, instead of refusing the data. They are counted in
                the result and in the card, and the run's ``skipped.jsonl`` names each. Photos of ``test``
                count as well: the run lists them.
            cache: Folder to keep training photos in, decoded and shrunk to what crops need, which takes most
                of the time off loading them; `None` decodes each anew. Several runs may share it. What
                training sees differs a little with it, so a run resumes only as it began; evaluation does not
                use it.
            cache_gb: Most gigabytes (10⁹ bytes) that the folder's photos take together, greater than 0.
                When they are reached, the oldest leave.
            progress: Show the run in the terminal.
            track: Experiment trackers to tell of the run, such as ``"tensorboard"``.
            callbacks: Functions called with each `activitynet.training.Event`.

        Returns:
            The history and the best epoch. The classifier now has that epoch's weights.

        Raises:
            DataError: The data cannot be used, or photos are broken; all of them are listed.
            ModelError: The model cannot be made.
            TrainingError: The run cannot start, go on, or be resumed.
            StorageError: Something cannot be written.
            activitynet.training.Interrupted: By Ctrl-C or SIGTERM; the state is saved.
        """
        resolved = resolve_recipe(recipe, settings, epochs=epochs, batch_size=batch_size, lr=lr)
        if track and run is None:
            raise TrainingError("a run that is tracked needs a folder: name one as 'run'.")
        distributed.initialize(self.device)
        photos, listed = distributed.broadcast_from_main(lambda: self._open_to_learn(data, skip_bad=skip_bad))
        model, preprocess = self._model_for(photos, resolved, seed)
        folder = RunFolder(run) if run is not None else None
        if resolved.grad_accum_steps == 0:
            parts = fitting_grad_accum_steps(model.to(self.device), preprocess, resolved, folder)
            resolved = resolved.override(grad_accum_steps=parts)
        kept = open_cache(cache, resolved, preprocess, gigabytes=cache_gb) if cache is not None else None
        config = self._run_config(resolved, photos, seed, kept)
        tracker = Tracker(track, folder.path, config) if folder is not None and track else None
        if folder is not None and distributed.is_main_process():
            skipped = [photo.to_dict(photos.classes) for photo in photos.skipped]
            folder.open(config, listed, skipped=skipped, resume=resume)
        distributed.barrier()
        self.classes = photos.classes
        self._take(model, preprocess)
        self.temperature, self.unknown_below = 1.0, 0.0  # those before are of other weights

        def keep(path: Path, network: nn.Module, entry: Mapping[str, Any]) -> None:
            save_weights(path, network, self._card(card_facts(photos, entry, resolved)))

        with contextlib.closing(tracker) if tracker is not None else contextlib.nullcontext():
            result = fit_model(
                model,
                photos,
                preprocess,
                resolved,
                run=folder,
                resume=resume,
                seed=seed,
                workers=default_workers() if workers is None else workers,
                progress=progress,
                cache=kept,
                keep=keep,
                callbacks=[*([tracker] if tracker is not None else []), *callbacks],
            )
        self._card_facts = card_facts(photos, result.best, resolved)
        if folder is not None and distributed.is_main_process():
            self.save(folder.model)
        distributed.barrier()
        return dataclasses.replace(result, skipped=count_skipped(photos.skipped))

    def fine_tune(
        self,
        data: Data,
        *,
        run: str | os.PathLike[str] | None = None,
        recipe: str | os.PathLike[str] | Recipe = "fine_tune",
        settings: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        seed: int = 0,
        workers: int | None = None,
        resume: bool = False,
        skip_bad: bool = False,
        cache: str | os.PathLike[str] | None = None,
        cache_gb: float = 20.0,
        progress: bool = True,
        track: Sequence[str] = (),
        callbacks: Sequence[Callback] = (),
    ) -> FitResult:
        """Adapt a pretrained trunk: fit the head on frozen features, then train gently from there.

        The result never scores below the fitted head it starts from: that state is epoch 0, and the best
        epoch is kept.

        Args:
            data: As for `fit`.
            run: As for `fit`.
            recipe: As for `fit`.
            settings: As for `fit`.
            epochs: As for `fit`.
            batch_size: As for `fit`.
            lr: As for `fit`.
            seed: As for `fit`.
            workers: As for `fit`.
            resume: As for `fit`.
            skip_bad: As for `fit`.
            cache: As for `fit`.
            cache_gb: As for `fit`.
            progress: As for `fit`.
            track: As for `fit`.
            callbacks: As for `fit`.

        Returns:
            The history and the best epoch.

        Raises:
            ModelError: There is nothing to fine-tune: no ``init_from`` and no weights.
            ActivityNetError: As for `fit`.
        """
        if self._model is None and self._init_from is None:
            raise ModelError(
                "fine-tuning needs pretrained weights: name them with init_from (--init-from on the command "
                "line), or load a classifier; fit (the train command) starts from random weights."
            )
        return self.fit(
            data,
            run=run,
            recipe=recipe,
            settings=settings,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            seed=seed,
            workers=workers,
            resume=resume,
            skip_bad=skip_bad,
            cache=cache,
            cache_gb=cache_gb,
            progress=progress,
            track=track,
            callbacks=callbacks,
        )

    def find_learning_rate(
        self,
        data: Data,
        *,
        recipe: str | os.PathLike[str] | Recipe = "default",
        settings: Mapping[str, Any] | None = None,
        plot: str | os.PathLike[str] | None = None,
        seed: int = 0,
        workers: int | None = None,
        skip_bad: bool = False,
    ) -> LearningRates:
        """Try rates from low to high for a step each, and suggest one to train with.

        The network is afterwards as it was.

        Args:
            data: As for `fit`.
            recipe: As for `fit`.
            settings: As for `fit`.
            plot: A PNG to draw the losses into.
            seed: As for `fit`.
            workers: As for `fit`.
            skip_bad: As for `fit`.

        Raises:
            DataError: The data cannot be used, or photos are broken.
            ModelError: The model cannot be made.
            TrainingError: The recipe cannot be used.
            StorageError: The plot cannot be written.
        """
        resolved = resolve_recipe(recipe, settings)
        photos = self._open_to_learn(data, skip_bad=skip_bad).data
        model, preprocess = self._model_for(photos, resolved, seed)
        found = search_learning_rate(
            model,
            photos,
            preprocess,
            resolved,
            seed=seed,
            workers=default_workers() if workers is None else workers,
        )
        if plot is not None:
            plot_learning_rates(found.rates, found.losses, found.suggestion, plot)
        return found

    @abstractmethod
    def _card(self, facts: Mapping[str, Any]) -> Card:
        """Return the card of this network, with what is known of its weights."""

    def _open_to_learn(self, data: Data, *, skip_bad: bool) -> CheckedData:
        photos = self._open(data)
        for split in ("train", "val"):
            if not getattr(photos, split):
                raise DataError(
                    f"there are no {split!r} photos, and training needs both 'train' and 'val'; add some."
                )
        return self._check(photos, skip_bad=skip_bad)

    def _model_for(self, photos: PhotoData, recipe: Recipe, seed: int) -> tuple[nn.Module, Preprocess]:
        """Return what there is already, or make it for these photos' classes."""
        self._refuse_engine()
        if self._model is not None and isinstance(self.preprocess, Preprocess):
            return self._model, self.preprocess
        with torch.random.fork_rng():
            torch.manual_seed(derived_seed(seed, "init"))
            model = create_model(
                self._architecture,
                num_classes=len(photos.classes),
                drop_rate=recipe.drop_rate,
                drop_path_rate=recipe.drop_path_rate,
                init_from=self._init_from,
                model_args=self._model_args,
            )
        if self._init_from is not None:
            _log.info("%s", model.warm_start.summary())  # type: ignore[operator, union-attr]
        return model, Preprocess.from_model(model, size=self._image_size, resize=self._resize)

    def _ready(self) -> Ready:
        if self._model is None or self.preprocess is None or self.classes is None:
            raise ModelError(
                "this classifier has no weights yet: call fit or fine_tune, or use Classifier.load."
            )
        return self._model, self.preprocess, self.classes

    def _refuse_engine(self) -> None:
        if isinstance(self._model, Engine):
            raise ModelError(
                f"this classifier runs on {self._model.description}, which only predicts: load the weights "
                "folder without an engine to train, save or export it."
            )

    def _run_config(
        self, recipe: Recipe, photos: PhotoData, seed: int, cache: PhotoCache | None
    ) -> dict[str, Any]:
        return {
            "recipe": recipe.to_dict(),
            "architecture": self._architecture,
            "model_args": self._model_args,
            "init_from": None if self._init_from is None else str(self._init_from),
            "image_size": self._image_size,
            "resize": self._resize,
            "classes": list(photos.classes),
            "seed": seed,
            "cache": None if cache is None else {"size": cache.size},  # what is seen depends on it
        }
