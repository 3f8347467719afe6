"""`Predictor`: the base class of `Classifier` and `Ensemble`."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from PIL import Image
from torch import nn

from activitynet.data.dataset import Photo, PhotoData, SkippedPhoto, by_split
from activitynet.data.inputs import iter_photos
from activitynet.data.open import open_data
from activitynet.data.preprocess import Preprocess, Views
from activitynet.data.scan import CheckedData, check_photos, count_skipped, skipped_message
from activitynet.errors import DataError, ImageError, ModelError, check_keywords, did_you_mean
from activitynet.evaluation import Outputs, Scores, collect_outputs
from activitynet.evaluation.explain import Explanation, How, explain, nearest_photos
from activitynet.export import Format, export_model
from activitynet.inference import (
    TTA,
    Prediction,
    PredictionFile,
    Tally,
    Ways,
    augmented,
    device_of,
    stream_predictions,
)
from activitynet.runtime import distributed
from activitynet.runtime.devices import default_workers, keep_freed_memory
from activitynet.weights import Card, EnsembleCard, push_weights

if TYPE_CHECKING:
    from typing_extensions import Unpack

_log = logging.getLogger(__name__)

Data: TypeAlias = "str | os.PathLike[str] | PhotoData"
"""Labelled photos: anything that `activitynet.data.open.open_data` takes, or what it returns."""

Ready: TypeAlias = tuple[nn.Module, Preprocess | Views, tuple[str, ...]]
"""A network, the preprocessing of its input, and the classes of its outputs."""


class EvaluateOptions(TypedDict, total=False):
    """The keyword arguments of `Predictor.evaluate`, which describes them."""

    split: str
    batch_size: int
    workers: int | None
    skip_bad: bool
    tta: Ways | None


class PredictOptions(TypedDict, total=False):
    """The keyword arguments of `Predictor.predict`, which describes them, except ``after``."""

    top: int
    batch_size: int
    workers: int | None
    unknown_below: float | None
    allow_urls: bool
    tta: Ways | None


class Predictor(ABC):
    """Predicts the class of photos; can be evaluated, published and exported.

    Attributes:
        classes: Class names in the order of the outputs; `None` until they are known.
        temperature: Logits are divided by it before the softmax.
        unknown_below: A photo is unknown if its most probable class is less probable than this; 0 for none.
    """

    classes: tuple[str, ...] | None
    temperature: float
    unknown_below: float = 0.0

    @abstractmethod
    def _ready(self) -> Ready:
        """Return the network, its preprocessing and its classes, or raise `ModelError` if there are none."""

    @abstractmethod
    def macs(self) -> float:
        """Return the multiply-adds per photo; for a cascade, their mean over the photos predicted so far."""

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        training_data: str | None = None,
        license: str | None = None,
        scores: Scores | None = None,
        half: bool = False,
    ) -> Path:
        """Write the weights and their card into a folder."""
        raise ModelError(f"a {type(self).__name__} cannot be saved; save its members.")

    def _export_card(self) -> Card | EnsembleCard:
        """Return the card to put into an exported file."""
        raise ModelError(f"a {type(self).__name__} cannot be exported; export its members.")

    def evaluate(
        self,
        data: Data,
        *,
        split: str = "val",
        batch_size: int = 64,
        workers: int | None = None,
        skip_bad: bool = False,
        tta: Ways | None = None,
    ) -> Scores:
        """Evaluate on labelled photos.

        Args:
            data: What `open_data` takes, or an opened `PhotoData`; with the same classes.
            split: ``"train"``, ``"val"``, ``"test"``, or ``"all"``.
            batch_size: Photos per forward pass. The scores do not depend on it.
            workers: Processes that decode photos; `None` chooses by the number of cores.
            skip_bad: Skip photos that cannot be read instead of raising; the scores list them.
            tta: Test-time augmentation; see `predict`.

        Returns:
            Accuracy, macro-F1, per-class scores and the confusion matrix.

        Raises:
            DataError: The data or the split cannot be used, or photos are broken; the first are listed.
            ModelError: There are no weights yet, or ``tta`` does not suit the model.
        """
        outputs = self.collect_outputs(
            data, split=split, batch_size=batch_size, workers=workers, skip_bad=skip_bad, tta=tta
        )
        return outputs.scores()

    def collect_outputs(self, data: Data, **options: Unpack[EvaluateOptions]) -> Outputs:
        """Return the outputs for labelled photos, from which `activitynet.evaluation` computes all metrics.

        In a distributed run (`torchrun`), every process calls this, computes a share and returns all outputs.

        Args:
            data: Labelled photos with the same classes.
            **options: The keyword arguments of `evaluate`.
        """
        check_keywords("collect_outputs", options, EvaluateOptions.__annotations__)
        split, skip_bad = options.get("split", "val"), options.get("skip_bad", False)
        workers = options.get("workers")
        (model, preprocess, classes), temperature = self._with_tta(options.get("tta"))
        distributed.initialize(device_of(model))
        photos, skipped = distributed.broadcast_from_main(
            lambda: self._readable_photos(data, split, skip_bad=skip_bad)
        )
        outputs = collect_outputs(
            model,
            photos,
            preprocess,
            classes,
            temperature=temperature,
            batch_size=options.get("batch_size", 64),
            workers=default_workers() if workers is None else workers,
        )
        return dataclasses.replace(outputs, skipped=skipped)

    def predict(
        self,
        photos: Any,
        *,
        top: int = 5,
        batch_size: int = 32,
        workers: int | None = None,
        unknown_below: float | None = None,
        allow_urls: bool = False,
        tta: Ways | None = None,
        after: Iterable[str] = (),
    ) -> Iterator[Prediction]:
        """Predict the class of photos as a stream, in memory that does not grow with their number.

        Args:
            photos: A path, a folder, a glob, bytes, a PIL image, a numpy array, a tensor, a URL, or an
                iterable that mixes them.
            top: How many classes each prediction lists.
            batch_size: Photos per forward pass. The predictions do not depend on it.
            workers: Threads that decode photos; `None` takes one per usable core.
            unknown_below: Threshold of the highest probability below which a photo is unknown; `None` takes
                the calibrated value, 0 always names a class.
            allow_urls: Fetch photos given as http(s) URLs.
            tta: Test-time augmentation, the mean of the probabilities of several views of each photo:
                ``"flip"``, ``"crops"``, ``"scales"``, several of them, or a `TTA`. The temperature applies to
                each view, not to the mean. A cascade decides about each view separately.
            after: Sources of the first photos, in order, to skip because they are predicted already.

        Yields:
            One `Prediction` per photo, in order; it holds the error of a photo that cannot be read.

        Raises:
            DataError: The first photos are not those of ``after``.
            ModelError: There are no weights yet, or ``tta`` does not suit the model.
        """
        (model, preprocess, classes), temperature = self._with_tta(tta)
        return stream_predictions(
            model,
            photos,
            preprocess=preprocess,
            classes=classes,
            temperature=temperature,
            unknown_below=self.unknown_below if unknown_below is None else unknown_below,
            top=top,
            batch_size=batch_size,
            workers=workers,
            allow_urls=allow_urls,
            after=after,
        )

    def predict_to(
        self,
        path: str | os.PathLike[str],
        photos: Any,
        *,
        resume: bool = False,
        progress: Callable[[Tally], None] | None = None,
        **options: Unpack[PredictOptions],
    ) -> Tally:
        """Predict into a file, one row per photo; an interrupted prediction can be resumed.

        Args:
            path: A ``.csv``, ``.jsonl`` or ``.parquet`` file; see `activitynet.inference.PredictionFile`.
            photos: What `predict` takes; to resume, the same photos in the same order.
            resume: Continue an existing file and skip the photos in it, readable or not. The file does not
                record the weights or ``tta``: pass the same.
            progress: Called with the tally after each photo.
            **options: The keyword arguments of `predict`. ``top`` is limited to the number of classes.

        Returns:
            The numbers of old rows, of added rows, and of photos that could not be read.

        Raises:
            DataError: The file exists and cannot be resumed, or holds other photos.
            ModelError: There are no weights yet, or ``tta`` does not suit the model.
            StorageError: The file cannot be written.
        """
        check_keywords("predict_to", options, {*PredictOptions.__annotations__, "resume", "progress"})
        model, _, classes = self._ready()
        if device_of(model).type == "cpu":
            keep_freed_memory()
        options["top"] = min(options.get("top", 5), len(classes))
        with PredictionFile(path, top=options["top"], resume=resume) as file:
            for prediction in self.predict(photos, after=file.sources(), **options):
                file.write(prediction)
                if progress is not None:
                    progress(file.tally)
        return file.tally

    def predict_one(self, photo: Any, **options: Unpack[PredictOptions]) -> Prediction:
        """Predict the class of one photo.

        Args:
            photo: What `predict` takes, but one photo.
            **options: The keyword arguments of `predict`.

        Raises:
            ImageError: The photo cannot be read, or there is not exactly one.
            ModelError: There are no weights yet, or ``tta`` does not suit the model.
        """
        check_keywords("predict_one", options, PredictOptions.__annotations__)
        predictions = list(self.predict(photo, **options))
        if len(predictions) != 1:
            raise ImageError(f"predict_one takes one photo, got {len(predictions)}; use predict.")
        if predictions[0].error is not None:
            raise ImageError(predictions[0].error)
        return predictions[0]

    def explain(self, photo: Any, *, label: str | None = None, how: How = "grad-cam") -> Explanation:
        """Show which parts of a photo support a class.

        Args:
            photo: What `predict` takes, but one photo.
            label: The class to explain; `None` takes the most probable one.
            how: ``"grad-cam"`` needs one pass and a single network; ``"occlusion"`` covers one part of the
                photo at a time, and works for ensembles and engines too.

        Raises:
            ImageError: The photo cannot be read, or there is not exactly one.
            ModelError: There are no weights yet, no such class, or Grad-CAM does not work for this model.
        """
        model, preprocess, classes = self._ready()
        if label is not None and label not in classes:
            raise ModelError(f"there is no class {label!r}.{did_you_mean(label, classes)}")
        return explain(
            model,
            preprocess,
            classes,
            _one_image(photo, "explain"),
            temperature=self.temperature,
            label=None if label is None else classes.index(label),
            how=how,
        )

    def nearest(
        self,
        photo: Any,
        data: Data,
        *,
        split: str = "train",
        count: int = 5,
        batch_size: int = 64,
        workers: int | None = None,
    ) -> list[tuple[Photo, float]]:
        """Find the photos of a data set whose features are most similar to those of one photo.

        Args:
            photo: What `predict` takes, but one photo.
            data: Labelled photos with the same classes.
            split: ``"train"``, ``"val"``, ``"test"``, or ``"all"``.
            count: How many photos to return.
            batch_size: Photos per forward pass.
            workers: Processes that decode photos; `None` chooses by the number of cores.

        Returns:
            The photos with the cosine similarity of their features, in [-1, 1], most similar first.

        Raises:
            DataError: The data or the split cannot be used, or photos are broken.
            ImageError: The photo cannot be read, or there is not exactly one.
            ModelError: There are no weights yet, or the model has no features.
        """
        model, preprocess, _ = self._ready()
        image = _one_image(photo, "nearest")
        photos, _ = self._readable_photos(data, split, skip_bad=False)
        workers = default_workers() if workers is None else workers
        return nearest_photos(
            model, preprocess, image, photos, count=count, batch_size=batch_size, workers=workers
        )

    def push_to_hub(
        self,
        repository: str,
        *,
        private: bool | None = None,
        revision: str = "main",
        message: str | None = None,
        training_data: str | None = None,
        license: str | None = None,
        scores: Scores | None = None,
    ) -> str:
        """Publish the weights, their card and their page on the Hub, as one commit.

        Args:
            repository: ``org/name``; created if it does not exist.
            private: Whether a new repository is private; `None` takes the account's default.
            revision: The branch to commit to; created if it does not exist.
            message: The commit message.
            training_data: Description of the training data, for the card; `None` keeps the present one.
            license: License of the weights, for the card; `None` keeps the present one.
            scores: Result of `evaluate`, for the card and the page; `None` keeps the present scores.

        Returns:
            ``org/name@COMMIT``, a permanent name for `load`.

        Raises:
            HubError: The Hub cannot be reached, or refuses.
            ModelError: There are no weights yet, or they cannot be saved.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = self.save(
                Path(temporary) / "weights", training_data=training_data, license=license, scores=scores
            )
            return push_weights(folder, repository, private=private, revision=revision, message=message)

    def export(
        self,
        path: str | os.PathLike[str],
        format: Format = "onnx",
        *,
        calibrate: Data | None = None,
    ) -> Path:
        """Write a file that turns photos into probabilities without this library.

        Input: uint8 RGB photos (batch, height, width, 3) of any size. Output: float32 probabilities (batch,
        classes). The file includes preprocessing, temperature and all members of an ensemble, and the card as
        metadata ``activitynet.card``. `activitynet.Classifier.load` reads ``.onnx`` and ``.xml``.

        Args:
            path: A ``.onnx``, ``.xml`` (with the tensors in a ``.bin`` next to it) or ``.pt2`` file.
            format: ``"onnx"``, ``"openvino"`` or ``"torch"``.
            calibrate: Labelled photos whose ``train`` calibrates an 8-bit model; `None` exports float32.

        Raises:
            DataError: The calibration data cannot be used.
            ModelError: There are no weights yet, the export fails, or packages are missing.
            StorageError: The file cannot be written.
        """
        model, preprocess, _ = self._ready()
        card = self._export_card()
        photos = None if calibrate is None else self._open(calibrate).train
        views = preprocess if isinstance(preprocess, Views) else None
        return export_model(model, card, path, format, views=views, calibrate=photos)

    def _with_tta(self, tta: Ways | None) -> tuple[Ready, float]:
        """Return the network, wrapped for test-time augmentation, and the temperature of its outputs."""
        model, preprocess, classes = self._ready()
        if tta is None:
            return (model, preprocess, classes), self.temperature
        model, views = augmented(model, preprocess, TTA.of(tta), temperature=self.temperature)
        return (model, views, classes), 1.0

    def _open(self, data: Data) -> PhotoData:
        if not isinstance(data, PhotoData):
            return open_data(data, classes=self.classes)
        if self.classes is not None and data.classes != self.classes:
            raise DataError("the data has other classes than the model; open it with classes=model.classes.")
        return data

    def _readable_photos(
        self, data: Data, split: str, *, skip_bad: bool
    ) -> tuple[tuple[Photo, ...], tuple[SkippedPhoto, ...]]:
        """Open and check the photos of a split; return the readable and the skipped ones."""
        photos = self._open(data)
        parts = dict(by_split(photos))
        if split != "all" and split not in parts:
            raise DataError(f"unknown split {split!r}; use 'train', 'val', 'test' or 'all'.")
        chosen = tuple(parts) if split == "all" else (split,)
        if not any(parts[name] for name in chosen):
            raise DataError(f"the data has no {split!r} photos; choose another split.")
        train, val, test = (part if name in chosen else () for name, part in parts.items())
        skipped = tuple(photo for photo in photos.skipped if photo.split in chosen)
        photos = PhotoData(photos.classes, train, val, test, skipped=skipped)
        checked = check_readable(photos, skip_bad=skip_bad).data
        return (*checked.train, *checked.val, *checked.test), checked.skipped


def check_readable(photos: PhotoData, *, skip_bad: bool) -> CheckedData:
    """Decode every photo once and log how many are skipped (see `check_photos`)."""
    checked = check_photos(photos, skip_bad=skip_bad)
    if checked.data.skipped:
        _log.warning("%s", skipped_message(count_skipped(checked.data.skipped)))
    return checked


def _one_image(photo: Any, method: str) -> Image.Image:
    found = list(itertools.islice(iter_photos(photo), 2))
    if len(found) != 1:
        raise ImageError(f"{method} takes one photo, got {'none' if not found else 'several'}.")
    return found[0][1]()
