"""`Classifier`: train, fine-tune, evaluate and predict, one object over all the rooms."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from activitynet.data.preprocess import Preprocess, Views
from activitynet.errors import ModelError
from activitynet.evaluation import Scores
from activitynet.evaluation.calibration import Calibration, Method, fit_calibration, fold_scaling
from activitynet.export import is_exported
from activitynet.inference import (
    Engine,
    EngineName,
    Precision,
    Prediction,
    best_device,
    compile_network,
    load_exported,
)
from activitynet.learner import Learner
from activitynet.predictor import Data
from activitynet.publishable import confusion_picture
from activitynet.training.fit import card_scores
from activitynet.weights import DEFAULT, Card, EnsembleCard, find_weights, load_weights, save_weights
from activitynet.zoo.build import count_macs

__all__ = ["Classifier", "Prediction"]


class Classifier(Learner):
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
        unknown_below: A photo whose most probable class is less probable is unknown; 0 for none.

    Example:
        >>> from activitynet import Classifier
        >>> classifier = Classifier("resnet18_se")
        >>> classifier.classes is None
        True
    """

    @property
    def engine(self) -> str:
        """What predictions run on and in which numbers, such as ``"openvino bf16"``.

        Raises:
            ModelError: There is no model yet.
        """
        model = self.model
        return model.description if isinstance(model, Engine) else "torch fp32"

    def calibrate(
        self,
        data: Data,
        *,
        split: str = "val",
        method: Method = "temperature",
        risk: float | None = None,
        batch_size: int = 64,
        workers: int | None = None,
        skip_bad: bool = False,
    ) -> Calibration:
        """Make probabilities believable, and perhaps say when a photo is of no known class.

        The classifier, and what it saves from then on, has the result: a temperature and a threshold in its
        card, vector scaling in its last layer.

        Args:
            data: As for `evaluate`; photos that were not learned from.
            split: As for `evaluate`.
            method: ``"temperature"``, which never changes the class that is named, or ``"vector"``.
            risk: Share of wrong answers to allow, in (0, 1): photos are unknown below the probability that
                promises it. `None` names a class for every photo.
            batch_size: As for `evaluate`.
            workers: As for `evaluate`.
            skip_bad: As for `evaluate`.

        Raises:
            DataError: As for `evaluate`, or the risk cannot be promised.
            ModelError: There are no weights yet, or vector scaling has no linear layer to go into.
        """
        self._refuse_engine()
        answers = self.collect_outputs(
            data, split=split, batch_size=batch_size, workers=workers, skip_bad=skip_bad
        )
        found = fit_calibration(answers, method=method, risk=risk)
        if found.factors:
            fold_scaling(self._ready()[0], np.array(found.factors), np.array(found.offsets))
        self.temperature, self.unknown_below = found.temperature, found.unknown_below
        facts = {"split": f"{split} ({found.photos} photos)", "method": method, "risk": risk}
        facts |= {"ece": found.ece, "ece_held_out": found.ece_held_out}
        self._card_facts["metrics"] = {**self._card_facts.get("metrics", {}), "calibration": facts}
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
        """Write a weights folder that `Classifier.load` reads.

        Args:
            folder: Where. What is there is replaced in one step.
            training_data: What the model was trained on, for its card. `None` keeps what is known.
            license: Under which license the weights may be used. `None` keeps what is known.
            scores: What `evaluate` measured, for the card and its page, with the confusion matrix as a
                picture, in place of scores of before. `None` keeps what is known.
            half: Keep float16: half the bytes, rounded.

        Returns:
            The folder.

        Raises:
            ModelError: There are no weights yet, or the network was not made by `create_model`.
            WeightsError: The weights hold numbers that are not finite.
            StorageError: The folder cannot be written.
        """
        facts = dict(self._card_facts)
        if training_data is not None:
            facts["training_data"] = training_data
        if license is not None:
            facts["license"] = license
        if scores is not None:
            # Scores of before take their leave, for two sets of them would only confuse.
            kept = {name: fact for name, fact in facts.get("metrics", {}).items() if name == "calibration"}
            facts["metrics"] = {**kept, **card_scores(scores)}
        picture = confusion_picture(scores)
        save_weights(folder, self._ready()[0], self._card(facts), half=half, picture=picture)
        return Path(folder)

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] = DEFAULT,
        *,
        device: str | None = None,
        engine: EngineName | None = None,
        precision: Precision | None = None,
    ) -> Classifier:
        """Read weights: the package's own, a folder's, released ones, a Hub repository's, an exported file.

        With an engine the classifier predicts and evaluates only, and faster; its probabilities then agree
        with the network's to about 1e-5 in float32, and to about 1e-2 in bfloat16.

        Args:
            source: ``"default"``, the small model that comes with the package; a folder that `save` or a run
                wrote; a file that ends in ``.onnx`` or ``.xml``; a name of ``list_models(pretrained=True)``;
                or a repository, ``"org/name"`` or ``"org/name@revision"``. See
                `activitynet.weights.find_weights`.
            device: As for the class.
            engine: What to run on: ``"torch"``, ``"onnxruntime"``, ``"openvino"``, or ``"auto"``, which tries
                those that are installed, takes the fastest and logs which. `None` keeps a folder's network as
                it is, to be trained, and is ``"auto"`` for a file. Making one ready takes some seconds.
            precision: ``"fp32"`` or ``"bf16"`` for the engine; `None` takes bfloat16 where engine and
                processor compute in it.

        Raises:
            ModelError: The engine is unknown, not installed, or cannot run it.
            WeightsError: The weights cannot be trusted: something is missing, corrupt or does not fit.
            HubError: The Hub cannot be reached, refuses, or has no such repository.
            StorageError: The Hub's cache cannot be written.
        """
        model: nn.Module
        card: Card | EnsembleCard
        preprocess: Preprocess | Views
        if is_exported(source):
            model, contents = load_exported(Path(source), engine or "auto", precision)
            card, preprocess = contents.card, contents.preprocess
        else:
            model, card = load_weights(find_weights(source))
            preprocess = card.preprocess
            if engine is not None:
                on = torch.device(device) if device is not None else best_device()
                model = compile_network(model.to(on), card.preprocess.size, engine, precision)
            elif precision is not None:
                raise ModelError("precision belongs to an engine: name one, such as engine='auto'.")
        if isinstance(card, Card):
            classifier = cls(card.architecture, card.classes, model_args=card.model_args, device=device)
            facts = ("metrics", "training_data", "skipped", "license", "recipe")
            classifier._card_facts = {name: getattr(card, name) for name in facts}
            classifier.unknown_below = card.unknown_below
        else:
            classifier = cls("ensemble", card.classes, device=device)
        classifier.temperature = card.temperature
        classifier._take(model, preprocess)
        return classifier

    def macs(self) -> float:
        """Return the multiply-adds that a photo costs.

        Raises:
            ModelError: There is no model yet, or it runs on an engine, which does not tell.
        """
        self._refuse_engine()
        model, preprocess, _ = self._ready()
        assert isinstance(preprocess, Preprocess)  # noqa: S101  as in _card
        return count_macs(model, (3, *preprocess.size))

    def _file_card(self) -> Card:
        return self._card(
            self._card_facts, architecture=getattr(self.model, "architecture", type(self.model).__name__)
        )

    def _card(self, facts: Mapping[str, Any], *, architecture: Any = None) -> Card:
        """Return the card of this network, with what is known of its weights."""
        self._refuse_engine()
        model, preprocess, classes = self._ready()
        architecture = architecture or getattr(model, "architecture", None)
        if architecture is None:
            raise ModelError(
                "only a network made by create_model can be saved, since its name is what builds it again: "
                "give your own to activitynet.register_model and make it by its name."
            )
        assert isinstance(preprocess, Preprocess)  # noqa: S101  several views come with an engine only
        return Card(
            architecture=architecture,
            model_args=getattr(model, "model_args", {}),
            classes=classes,
            preprocess=preprocess,
            temperature=self.temperature,
            unknown_below=self.unknown_below,
            **facts,
        )
