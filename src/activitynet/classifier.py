"""`Classifier`: train, fine-tune, evaluate and predict, one object over all the rooms."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from activitynet.data.photos import PhotoData, check_photos, open_folder
from activitynet.data.preprocess import Preprocess, Resize
from activitynet.errors import DataError, ImageError, ModelError
from activitynet.evaluation import Scores
from activitynet.fitting import card_facts, default_workers, fit_model, score_photos
from activitynet.inference import Prediction, stream_predictions
from activitynet.training import DEFAULT, FINE_TUNE, Callback, FitResult, Recipe, RunFolder
from activitynet.training.order import derived_seed
from activitynet.weights import Card, load_weights, save_weights
from activitynet.zoo import create_model

__all__ = ["Classifier", "Prediction"]

_log = logging.getLogger(__name__)

Data: TypeAlias = "str | os.PathLike[str] | PhotoData"


class Classifier:
    """Tells what is in a photo, from a fixed set of classes.

    Args:
        model: A name that `activitynet.create_model` knows, or a module of your own that keeps the zoo's
            contract.
        classes: Class names in the order of the model's outputs. `None` takes them from the data of the
            first `fit` or `fine_tune`.
        init_from: Where the trunk's weights come from: a weights folder, or ``timm/NAME``. `None` starts
            from random weights.
        image_size: Side in pixels of the square image the model looks at. `None` takes the model's own.
        resize: How a photo is brought to that size: ``"squash"`` stretches the whole of it, ``"crop"`` cuts
            out its centre, ``"pad"`` fits it in. What people do often shows at the edge of a photo.
        model_args: Further arguments of the architecture (see `activitynet.create_model`).
        device: ``"cpu"``, ``"cuda"``, …; `None` takes the machine's accelerator when it has one.

    Attributes:
        classes: Class names in the order of the outputs; `None` until they are known.
        preprocess: What turns a photo into the model's input; `None` until the model is made.
        temperature: Logits are divided by it before the softmax.

    Example:
        >>> from activitynet import Classifier
        >>> classifier = Classifier("resnet18_se")
        >>> classifier.classes is None
        True
    """

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
        self.preprocess: Preprocess | None = None
        self.temperature = 1.0
        self.device = torch.device(device) if device is not None else _best_device()
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

    def _take(self, model: nn.Module, preprocess: Preprocess) -> None:
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
        recipe: Recipe = DEFAULT,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        seed: int = 0,
        workers: int | None = None,
        resume: bool = False,
        progress: bool = True,
        callbacks: Sequence[Callback] = (),
    ) -> FitResult:
        """Train all layers at full rate, and keep the epoch that scores best on the validation photos.

        Args:
            data: A folder with one folder a class, split into ``train`` and ``val`` or not (then a fifth
                is held out), or an opened `PhotoData`.
            run: Folder for checkpoints, metrics, plots and the final weights; `None` writes nothing.
            recipe: What to do; the next three arguments change one field of it each.
            epochs: Passes over the training photos.
            batch_size: Photos a step.
            lr: Peak learning rate.
            seed: Where all randomness comes from: the same seed gives the same weights.
            workers: Processes that load photos; `None` chooses by the machine's cores. The result does
                not depend on it.
            resume: Go on from the last epoch of ``run``.
            progress: Show the run in the terminal.
            callbacks: Functions called with each `activitynet.training.Event`.

        Returns:
            The history and the best epoch. The classifier now has that epoch's weights.

        Raises:
            DataError: The data cannot be used, or photos are broken; all of them are listed.
            ModelError: The model cannot be made.
            TrainingError: The run cannot start, go on, or be resumed.
            StorageError: Something cannot be written.
        """
        changes = {"epochs": epochs, "batch_size": batch_size, "optimizer__lr": lr}
        recipe = recipe.override(**{name: value for name, value in changes.items() if value is not None})
        photos = self._open(data)
        for split in ("train", "val"):
            if not getattr(photos, split):
                raise DataError(
                    f"there are no {split!r} photos, and training needs both 'train' and 'val'; add some."
                )
        check_photos((*photos.train, *photos.val))
        model, preprocess = self._model_for(photos, recipe, seed)
        folder = RunFolder(run) if run is not None else None
        if folder is not None:
            folder.open(self._run_config(recipe, photos, seed), resume=resume)
        self.classes = photos.classes
        self._take(model, preprocess)
        result = fit_model(
            model,
            photos,
            preprocess,
            recipe,
            run=folder,
            resume=resume,
            seed=seed,
            workers=default_workers() if workers is None else workers,
            progress=progress,
            callbacks=callbacks,
        )
        self._card_facts = card_facts(photos, result)
        if folder is not None:
            self.save(folder.model)
        return result

    def fine_tune(
        self,
        data: Data,
        *,
        run: str | os.PathLike[str] | None = None,
        recipe: Recipe = FINE_TUNE,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        seed: int = 0,
        workers: int | None = None,
        resume: bool = False,
        progress: bool = True,
        callbacks: Sequence[Callback] = (),
    ) -> FitResult:
        """Adapt a pretrained trunk: fit the head on frozen features, then train gently from there.

        The result never scores below the fitted head it starts from: that state is epoch 0, and the best
        epoch is kept.

        Args:
            data: As for `fit`.
            run: As for `fit`.
            recipe: As for `fit`.
            epochs: As for `fit`.
            batch_size: As for `fit`.
            lr: As for `fit`.
            seed: As for `fit`.
            workers: As for `fit`.
            resume: As for `fit`.
            progress: As for `fit`.
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
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            seed=seed,
            workers=workers,
            resume=resume,
            progress=progress,
            callbacks=callbacks,
        )

    def evaluate(
        self, data: Data, *, split: str = "val", batch_size: int = 64, workers: int | None = None
    ) -> Scores:
        """Score the classifier on labelled photos.

        Args:
            data: As for `fit`. Its folders have to bear names of this classifier's classes.
            split: ``"train"``, ``"val"``, ``"test"``, or ``"all"`` for every photo there is.
            batch_size: Photos a forward pass. The scores do not depend on it.
            workers: Processes that decode photos; `None` chooses by the machine's cores.

        Returns:
            Accuracy, macro-F1, per-class scores and the confusion matrix.

        Raises:
            DataError: The data or the split cannot be used, or photos are broken; all of them are listed.
            ModelError: There are no weights yet.
        """
        model, preprocess, classes = self._ready()
        photos = self._open(data)
        parts = {"train": photos.train, "val": photos.val, "test": photos.test}
        if split != "all" and split not in parts:
            raise DataError(f"there is no split {split!r}; choose train, val, test or all.")
        chosen = parts.get(split, (*photos.train, *photos.val, *photos.test))
        if not chosen:
            raise DataError(f"the data has no {split!r} photos; choose another split.")
        check_photos(chosen)
        workers = default_workers() if workers is None else workers
        return score_photos(model, chosen, preprocess, classes, batch_size=batch_size, workers=workers)

    def predict(
        self, photos: Any, *, top: int = 5, batch_size: int = 32, allow_urls: bool = False
    ) -> Iterator[Prediction]:
        """Say what is in photos, one after the other, however many.

        Args:
            photos: A path, a folder, a glob, bytes, a PIL image, a numpy array, a tensor, a URL, or an
                iterable that mixes them.
            top: How many classes each prediction lists.
            batch_size: Photos a forward pass. The answer does not depend on it.
            allow_urls: Fetch photos given as http(s) URLs.

        Yields:
            One `Prediction` a photo, in order. One that cannot be read carries its error; the rest go on.

        Raises:
            ModelError: There are no weights yet.
        """
        model, preprocess, classes = self._ready()
        return stream_predictions(
            model,
            photos,
            preprocess=preprocess,
            classes=classes,
            temperature=self.temperature,
            top=top,
            batch_size=batch_size,
            allow_urls=allow_urls,
        )

    def predict_one(self, photo: Any, *, top: int = 5, allow_urls: bool = False) -> Prediction:
        """Say what is in one photo.

        Args:
            photo: What `predict` takes, but one photo.
            top: How many classes the prediction lists.
            allow_urls: Fetch a photo given as an http(s) URL.

        Raises:
            ImageError: The photo cannot be read, or it is not exactly one.
            ModelError: There are no weights yet.
        """
        predictions = list(self.predict(photo, top=top, allow_urls=allow_urls))
        if len(predictions) != 1:
            raise ImageError(f"predict_one takes one photo, and {len(predictions)} were given; use predict.")
        if predictions[0].error is not None:
            raise ImageError(predictions[0].error)
        return predictions[0]

    def save(
        self, folder: str | os.PathLike[str], *, training_data: str | None = None, licence: str | None = None
    ) -> Path:
        """Write a weights folder that `Classifier.load` reads.

        Args:
            folder: Where. What is there is replaced in one step.
            training_data: What the model was trained on, for its card. `None` keeps what is known.
            licence: Under which licence the weights may be used. `None` keeps what is known.

        Returns:
            The folder.

        Raises:
            ModelError: There are no weights yet, or the network was not made by `create_model`.
            StorageError: The folder cannot be written.
        """
        facts = dict(self._card_facts)
        if training_data is not None:
            facts["training_data"] = training_data
        if licence is not None:
            facts["licence"] = licence
        model, preprocess, classes = self._ready()
        architecture: Any = getattr(model, "architecture", None)
        if architecture is None:
            raise ModelError(
                "only a network made by create_model can be saved, since its name is what builds it again: "
                "give your own to activitynet.register_model and make it by its name."
            )
        card = Card(
            architecture=architecture,
            model_args=model.model_args,  # type: ignore[arg-type]
            classes=classes,
            preprocess=preprocess,
            temperature=self.temperature,
            **facts,
        )
        save_weights(folder, model, card)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: str | None = None) -> Classifier:
        """Read a weights folder.

        Args:
            folder: A folder that `save` or a run wrote.
            device: As for the class.

        Raises:
            WeightsError: The folder cannot be trusted: something is missing, corrupt or does not fit.
        """
        model, card = load_weights(folder)
        classifier = cls(card.architecture, card.classes, model_args=card.model_args, device=device)
        classifier.temperature = card.temperature
        classifier._card_facts = {
            "metrics": card.metrics,
            "training_data": card.training_data,
            "licence": card.licence,
        }
        classifier._take(model, card.preprocess)
        return classifier

    def _open(self, data: Data) -> PhotoData:
        if isinstance(data, PhotoData):
            if self.classes is not None and data.classes != self.classes:
                raise DataError(
                    "the data's classes are not this classifier's; open it with classes=classifier.classes."
                )
            return data
        return open_folder(data, classes=self.classes)

    def _model_for(self, photos: PhotoData, recipe: Recipe, seed: int) -> tuple[nn.Module, Preprocess]:
        """Return what there is already, or make it for these photos' classes."""
        if self._model is not None and self.preprocess is not None:
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

    def _ready(self) -> tuple[nn.Module, Preprocess, tuple[str, ...]]:
        if self._model is None or self.preprocess is None or self.classes is None:
            raise ModelError(
                "this classifier has no weights yet: call fit or fine_tune, or use Classifier.load."
            )
        return self._model, self.preprocess, self.classes

    def _run_config(self, recipe: Recipe, photos: PhotoData, seed: int) -> dict[str, Any]:
        return {
            "recipe": recipe.to_dict(),
            "architecture": self._architecture,
            "model_args": self._model_args,
            "init_from": None if self._init_from is None else str(self._init_from),
            "image_size": self._image_size,
            "resize": self._resize,
            "classes": list(photos.classes),
            "seed": seed,
            "photos": {"train": len(photos.train), "val": len(photos.val)},
        }


def _best_device() -> torch.device:
    if torch.accelerator.is_available():
        return torch.device(torch.accelerator.current_accelerator() or "cpu")
    return torch.device("cpu")
