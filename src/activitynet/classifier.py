"""`Classifier`: train, evaluate, predict, save and load."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from activitynet.data.dataset import PhotoData
from activitynet.data.preprocess import Preprocess, Resize, Views
from activitynet.data.scan import CheckedData
from activitynet.errors import DataError, ModelError, check_keywords
from activitynet.evaluation import Scores, plot_learning_rates
from activitynet.evaluation.calibration import Calibration, Method, fit_calibration, fold_scaling
from activitynet.export import is_exported
from activitynet.inference import Engine, EngineName, Precision, Prediction, compile_network, load_exported
from activitynet.predictor import Data, EvaluateOptions, Predictor, Ready, check_readable
from activitynet.runtime import distributed
from activitynet.runtime.devices import resolve_device
from activitynet.runtime.seeds import derived_seed
from activitynet.serialization.paths import user_path
from activitynet.training import FitResult, Recipe
from activitynet.training.card_facts import card_scores, confusion_picture
from activitynet.training.fit import (
    FitKeywords,
    TrainKeywords,
    TrainOptions,
    check_trainable,
    fit_model,
    plan_fit,
    resolve_recipe,
    search_learning_rate,
)
from activitynet.training.tune import LearningRates
from activitynet.weights import DEFAULT, Card, EnsembleCard, find_weights, load_weights, save_weights
from activitynet.zoo import create_model
from activitynet.zoo.build import check_model_name, count_macs

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Classifier", "Prediction"]

_log = logging.getLogger(__name__)

_LEARNED_FACTS = ("metrics", "training_data", "skipped", "license", "recipe")  # of a card


class Classifier(Predictor):
    """Predicts which of a fixed set of classes a photo shows.

    Args:
        model: A model name (see `activitynet.create_model`), or a module with the interface of such a model.
        classes: Class names in the order of the model's outputs. `None` takes them from the data of the
            first `fit` or `fine_tune`.
        init_from: Pretrained weights of the trunk: a weights folder, or ``timm/NAME``. `None` starts from
            random weights.
        image_size: Side in pixels of the model's square input. `None` takes the model's own.
        resize: How to resize a photo to that size: ``"squash"`` stretches the whole photo, ``"crop"`` cuts
            out its centre, ``"pad"`` adds a border.
        model_args: Other arguments of the architecture (see `activitynet.create_model`).
        device: ``"cpu"``, ``"cuda"``, …; `None` takes the machine's accelerator if it has one.

    Attributes:
        preprocess: Turns a photo into the model's input; `None` until the model is created.

    Raises:
        ModelError: The model or device does not exist, or the classes do not match the model.

    Example:
        >>> from activitynet import Classifier
        >>> Classifier("resnet18_se").classes is None
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
        self.preprocess: Preprocess | Views | None = None
        self.temperature, self.unknown_below = 1.0, 0.0
        self.device = resolve_device(device)
        self._init_from = init_from
        self._image_size = image_size
        self._resize: Resize = resize
        self._model_args = dict(model_args or {})
        self._model: nn.Module | None = None
        self._card_facts: dict[str, Any] = {}
        if isinstance(model, str):
            check_model_name(model)
            self._architecture = model
            return
        if self.classes is None:
            raise ModelError("your own model needs class names: Classifier(model, classes=[...]).")
        self._architecture = getattr(model, "architecture", type(model).__name__)
        if not isinstance(model, Engine):
            self.preprocess = Preprocess.from_model(model, size=image_size, resize=resize)
        self._set_model(model, self.preprocess)

    @property
    def model(self) -> nn.Module:
        """The network, in evaluation mode; raises a `ModelError` if there is none yet."""
        return self._ready()[0]

    @property
    def engine(self) -> str:
        """The inference engine and its precision, such as ``"openvino bf16"``."""
        model = self.model
        return model.description if isinstance(model, Engine) else "torch fp32"

    @property
    def metrics(self) -> dict[str, Any]:
        """Scores of the weights, the split they were measured on, and the calibration."""
        return dict(self._card_facts.get("metrics", {}))

    @torch.inference_mode(mode=False)
    @torch.enable_grad()
    def fit(
        self,
        data: Data,
        *,
        recipe: str | os.PathLike[str] | Recipe = "default",
        settings: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        **options: Unpack[TrainKeywords],
    ) -> FitResult:
        """Train with a recipe and keep the epoch with the best score on the validation photos.

        Args:
            data: A folder with one folder per class, with or without ``train`` and ``val`` folders (without,
                a fifth is held out); anything else that `open_data` takes; or an opened `PhotoData`.
            recipe: A name of `activitynet.training.list_recipes`, a TOML file, or a `Recipe`.
            settings: Recipe fields to change, by their dotted names: ``{"optimizer.lr": 3e-4}``.
            epochs: Number of epochs. Like ``batch_size`` and ``lr``, it overrides the recipe.
            batch_size: Photos per step, over all devices.
            lr: Peak learning rate.
            **options: The fields of `activitynet.training.fit.TrainOptions`.

        Returns:
            The history and the best epoch, whose weights the classifier now has.

        Raises:
            DataError: The data cannot be used, or photos are broken; the first are listed.
            ModelError: The model cannot be created or trained.
            TrainingError: The run cannot start, continue, or be resumed.
            StorageError: A file cannot be written.
            activitynet.training.Interrupted: Ctrl-C or SIGTERM stopped the run; the state is saved.
        """
        check_keywords("fit", options, {*FitKeywords.__annotations__, "recipe"})
        chosen = resolve_recipe(recipe, settings, epochs=epochs, batch_size=batch_size, lr=lr)
        how = TrainOptions(**options)
        self._refuse_engine()
        check_trainable(self._model, self._model_args)
        distributed.initialize(self.device)
        checked = distributed.broadcast_from_main(
            lambda: self._open_for_training(data, skip_bad=how.skip_bad)
        )
        model, preprocess = self._model_for(checked.data, chosen, how.seed)
        network = {
            "architecture": self._architecture,
            "model_args": self._model_args,
            "init_from": None if self._init_from is None else str(self._init_from),
            "image_size": self._image_size,
            "resize": self._resize,
        }
        plan = plan_fit(model, checked, preprocess, chosen, how, network=network)
        self.classes = checked.data.classes
        self._set_model(model, preprocess)
        self.temperature, self.unknown_below = 1.0, 0.0  # drop the calibration of the old weights
        result = fit_model(model, plan, card=self._card)
        self._card_facts = plan.facts(result.best)
        if plan.folder is not None and distributed.is_main_process():
            self.save(plan.folder.model)
        distributed.barrier()
        return result

    def fine_tune(
        self,
        data: Data,
        *,
        recipe: str | os.PathLike[str] | Recipe = "fine_tune",
        **options: Unpack[FitKeywords],
    ) -> FitResult:
        """Adapt pretrained weights: fit the head on frozen features, then train with a low learning rate.

        The fitted head is epoch 0. Since the best epoch is kept, the result never scores below it.

        Args:
            data: Labelled photos; see `fit`.
            recipe: A name of `activitynet.training.list_recipes`, a TOML file, or a `Recipe`.
            **options: The other keyword arguments of `fit`.

        Raises:
            ModelError: There are no pretrained weights to fine-tune.
            ActivityNetError: Any error of `fit`.
        """
        check_keywords("fine_tune", options, {*FitKeywords.__annotations__, "recipe"})
        if self._model is None and self._init_from is None:
            raise ModelError(
                "fine-tuning needs pretrained weights: set init_from (--init-from on the command line), or "
                "load a classifier; fit (the train command) starts from random weights."
            )
        return self.fit(data, recipe=recipe, **options)

    @torch.inference_mode(mode=False)
    @torch.enable_grad()
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
        """Try learning rates from low to high, one step each, and suggest one; leave the network unchanged.

        Args:
            data: Labelled photos; see `fit`.
            recipe: A name of `activitynet.training.list_recipes`, a TOML file, or a `Recipe`.
            settings: Recipe fields to change, by their dotted names.
            plot: PNG file for a plot of the losses; `None` draws none.
            seed: Random seed.
            workers: Processes that load photos; `None` chooses by the number of cores.
            skip_bad: Skip photos that cannot be read instead of raising.

        Raises:
            ActivityNetError: Any error of `fit`.
        """
        chosen = resolve_recipe(recipe, settings)
        self._refuse_engine()
        check_trainable(self._model, self._model_args)
        photos = self._open_for_training(data, skip_bad=skip_bad).data
        model, preprocess = self._model_for(photos, chosen, seed)
        found = search_learning_rate(model, photos, preprocess, chosen, seed=seed, workers=workers)
        if plot is not None:
            plot_learning_rates(found.rates, found.losses, found.suggestion, plot)
        return found

    def calibrate(
        self,
        data: Data,
        *,
        method: Method = "temperature",
        risk: float | None = None,
        **options: Unpack[EvaluateOptions],
    ) -> Calibration:
        """Calibrate the probabilities, and optionally fit a threshold for unknown photos.

        The classifier and weights saved later keep the result: temperature and threshold in the card, vector
        scaling in the last layer.

        Args:
            data: Labelled photos that were not used for training.
            method: ``"temperature"``, which never changes the predicted class, or ``"vector"``.
            risk: Allowed share of wrong predictions, in (0, 1); it sets the threshold below which a photo is
                unknown. `None` sets no threshold.
            **options: The keyword arguments of `evaluate`.

        Raises:
            DataError: The data cannot be used, or the risk cannot be met.
            ModelError: There are no weights yet, or the model has no linear layer for vector scaling.
        """
        check_keywords("calibrate", options, {*EvaluateOptions.__annotations__, "method", "risk"})
        self._refuse_engine()
        split = options.get("split", "val")
        found = fit_calibration(self.collect_outputs(data, **options), method=method, risk=risk)
        if found.factors:
            fold_scaling(self.model, np.array(found.factors), np.array(found.offsets))
        self.temperature, self.unknown_below = found.temperature, found.unknown_below
        facts = {"split": f"{split} ({found.photos} photos)", "method": method, "risk": risk}
        facts |= {"ece": found.ece, "ece_held_out": found.ece_held_out}
        self._card_facts["metrics"] = {**self.metrics, "calibration": facts}
        return found

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        training_data: str | None = None,
        license: str | None = None,
        scores: Scores | None = None,
        half: bool = False,
    ) -> Path:
        """Write a weights folder that `Classifier.load` reads, and return its path.

        Args:
            folder: The folder to write. An existing weights folder is replaced atomically.
            training_data: Description of the training data, for the card; `None` keeps the present one.
            license: License of the weights, for the card; `None` keeps the present one.
            scores: Result of `evaluate`; replaces the scores of the card and its page, and adds a picture of
                the confusion matrix. `None` keeps the present scores.
            half: Round to float16, which halves the size.

        Raises:
            ModelError: There are no weights yet, or the network was not built by `create_model`.
            WeightsError: The weights are not finite.
            StorageError: The folder cannot be written.
        """
        given = {"training_data": training_data, "license": license}
        facts = self._card_facts | {name: text for name, text in given.items() if text is not None}
        if scores is not None:
            calibration = {name: fact for name, fact in self.metrics.items() if name == "calibration"}
            facts["metrics"] = {**calibration, **card_scores(scores)}
        save_weights(folder, self.model, self._card(facts), half=half, picture=confusion_picture(scores))
        return user_path(folder)

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] = DEFAULT,
        *,
        device: str | None = None,
        engine: EngineName | None = None,
        precision: Precision | None = None,
    ) -> Classifier:
        """Load weights from a folder, the package, a release, a Hub repository, or an exported file.

        With an engine the classifier is faster but can only predict and evaluate. Its probabilities differ
        from the network's by about 1e-5 in float32, and 1e-2 in bfloat16.

        Args:
            source: ``"default"``, the small model that comes with the package; a weights folder; a ``.onnx``
                or ``.xml`` file; a name of ``list_models(pretrained=True)``; or a repository,
                ``"org/name"`` or ``"org/name@revision"``. See `activitynet.weights.find_weights`.
            device: ``"cpu"``, ``"cuda"``, …; `None` takes the machine's accelerator if it has one.
            engine: ``"torch"``, ``"onnxruntime"``, ``"openvino"``, or ``"auto"``, the fastest of the
                installed ones. `None` is ``"auto"`` for a file; otherwise it keeps the network trainable.
                Preparing an engine takes some seconds.
            precision: ``"fp32"`` or ``"bf16"`` for the engine; `None` takes bfloat16 where engine and
                processor support it.

        Raises:
            ModelError: The engine or the device is unknown or not installed, or cannot run the network.
            WeightsError: The weights are incomplete, corrupt, or do not match the architecture.
            HubError: The Hub cannot be reached, refuses, or has no such repository.
            StorageError: The Hub's cache cannot be written.
        """
        model: nn.Module
        card: Card | EnsembleCard
        preprocess: Preprocess | Views
        if is_exported(source):
            model, contents = load_exported(user_path(source), engine or "auto", precision)
            card, preprocess = contents.card, contents.preprocess
        else:
            model, card = load_weights(find_weights(source))
            preprocess = card.preprocess
            if engine is not None:
                model = model.to(resolve_device(device))
                model = compile_network(model, card.preprocess.size, engine, precision)
            elif precision is not None:
                raise ModelError("precision belongs to an engine: name one, such as engine='auto'.")
        classifier = cls(model, card.classes, device=device)
        classifier.preprocess, classifier.temperature = preprocess, card.temperature
        if isinstance(card, Card):
            classifier._card_facts = {name: getattr(card, name) for name in _LEARNED_FACTS}
            classifier.unknown_below = card.unknown_below
        return classifier

    def macs(self) -> float:
        """Return the multiply-adds per photo; raise a `ModelError` for an engine."""
        self._refuse_engine()
        model, preprocess, _ = self._ready()
        assert isinstance(preprocess, Preprocess)  # noqa: S101  only an engine has several views
        return count_macs(model, (3, *preprocess.size))

    def _ready(self) -> Ready:
        if self._model is None or self.preprocess is None or self.classes is None:
            raise ModelError("there are no weights yet; call fit or fine_tune, or use Classifier.load.")
        return self._model, self.preprocess, self.classes

    def _refuse_engine(self) -> None:
        if isinstance(self._model, Engine):
            raise ModelError(
                f"this classifier runs on {self._model.description}, which only predicts; load the weights "
                "folder without an engine to train, save or export it."
            )

    def _set_model(self, model: nn.Module, preprocess: Preprocess | Views | None) -> None:
        if self.classes is not None and model.num_classes != len(self.classes):
            raise ModelError(
                f"the model has {model.num_classes} outputs for {len(self.classes)} classes; make them equal."
            )
        self._model = model.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.preprocess = preprocess

    def _open_for_training(self, data: Data, *, skip_bad: bool) -> CheckedData:
        photos = self._open(data)
        for split in ("train", "val"):
            if not getattr(photos, split):
                raise DataError(f"there are no {split!r} photos; training needs both 'train' and 'val'.")
        return check_readable(photos, skip_bad=skip_bad)

    def _model_for(self, photos: PhotoData, recipe: Recipe, seed: int) -> tuple[nn.Module, Preprocess]:
        """Return the network and its preprocessing; create them for these photos if there are none."""
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
        preprocess = Preprocess.from_model(model, size=self._image_size, resize=self._resize)
        return model.to(self.device), preprocess

    def _export_card(self) -> Card:
        return self._card(self._card_facts, architecture=type(self.model).__name__)

    def _card(self, facts: Mapping[str, Any], *, architecture: str | None = None) -> Card:
        """Return the card; ``architecture`` names a network that `create_model` did not build."""
        self._refuse_engine()
        model, preprocess, classes = self._ready()
        architecture = getattr(model, "architecture", architecture)
        if architecture is None:
            raise ModelError(
                "only a network built by create_model can be saved, because loading builds it by its name; "
                "register your own with activitynet.register_model and create it by its name."
            )
        assert isinstance(preprocess, Preprocess)  # noqa: S101  only an engine has several views
        return Card(
            architecture=architecture,
            model_args=getattr(model, "model_args", {}),
            classes=classes,
            preprocess=preprocess,
            temperature=self.temperature,
            unknown_below=self.unknown_below,
            **facts,
        )
