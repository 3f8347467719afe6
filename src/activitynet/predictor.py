"""What answers for photos has in common, be it one model, an ensemble or a cascade."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from PIL import Image
from torch import nn

from activitynet.data.dataset import Photo, PhotoData, SkippedPhoto, by_split
from activitynet.data.inputs import iter_photos
from activitynet.data.open import open_data
from activitynet.data.preprocess import Preprocess, Views
from activitynet.data.scan import CheckedData, check_photos, count_skipped, skipped_message
from activitynet.errors import DataError, ImageError, ModelError, did_you_mean
from activitynet.evaluation import Outputs, Scores, collect_outputs
from activitynet.evaluation.explain import Explanation, How, explain, nearest_photos
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
from activitynet.runtime.devices import keep_freed_memory
from activitynet.training.fit import default_workers

_log = logging.getLogger(__name__)

Data: TypeAlias = "str | os.PathLike[str] | PhotoData"

Ready: TypeAlias = tuple[nn.Module, Preprocess | Views, tuple[str, ...]]
"""A module, what turns a photo into its input, and the classes of its outputs."""


class Predictor(ABC):
    """Something that tells the class of photos, and can be scored.

    Attributes:
        classes: Class names in the order of the outputs; `None` until they are known.
        temperature: Outputs are divided by it before the softmax.
        unknown_below: A photo whose most probable class is less probable is unknown; 0 for none.
    """

    classes: tuple[str, ...] | None
    temperature: float
    unknown_below: float = 0.0

    @abstractmethod
    def _ready(self) -> Ready: ...

    @abstractmethod
    def macs(self) -> float:
        """Return the multiply-adds that a photo costs; of a cascade, on average over those it has seen."""

    def _looking(self, tta: Ways | None) -> tuple[Ready, float]:
        """Return what is ready to look at photos in several ways, and the temperature of its answers."""
        model, preprocess, classes = self._ready()
        if tta is None:
            return (model, preprocess, classes), self.temperature
        looks, views = augmented(model, preprocess, TTA.of(tta), temperature=self.temperature)
        return (looks, views, classes), 1.0

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
        """Score on labelled photos.

        Args:
            data: What `open_data` takes, or an opened `PhotoData`; of these classes.
            split: ``"train"``, ``"val"``, ``"test"``, or ``"all"`` for every photo there is.
            batch_size: Photos a forward pass. The scores do not depend on it.
            workers: Processes that decode photos; `None` chooses by the machine's cores.
            skip_bad: Leave out photos that cannot be read, instead of refusing the data. The scores name
                each of them.
            tta: As for `predict`.

        Returns:
            Accuracy, macro-F1, per-class scores and the confusion matrix.

        Raises:
            DataError: The data or the split cannot be used, or photos are broken; all of them are listed.
            ModelError: There are no weights yet, or ``tta`` cannot be.
        """
        return self.collect_outputs(
            data, split=split, batch_size=batch_size, workers=workers, skip_bad=skip_bad, tta=tta
        ).scores()

    def collect_outputs(
        self,
        data: Data,
        *,
        split: str = "val",
        batch_size: int = 64,
        workers: int | None = None,
        skip_bad: bool = False,
        tta: Ways | None = None,
    ) -> Outputs:
        """Answer for labelled photos: what everything that `evaluation` measures is computed from.

        Of a distributed run (`torchrun`), every process calls this at once; each computes a share, and all
        get all answers.

        Args:
            data: As for `evaluate`.
            split: As for `evaluate`.
            batch_size: As for `evaluate`.
            workers: As for `evaluate`.
            skip_bad: As for `evaluate`.
            tta: As for `predict`.

        Raises:
            DataError: As for `evaluate`.
            ModelError: As for `evaluate`.
        """
        (model, preprocess, classes), temperature = self._looking(tta)
        distributed.initialize(device_of(model))
        readable, skipped = distributed.broadcast_from_main(
            lambda: self._readable(data, split, skip_bad=skip_bad)
        )
        answers = collect_outputs(
            model,
            readable,
            preprocess,
            classes,
            temperature=temperature,
            batch_size=batch_size,
            workers=default_workers() if workers is None else workers,
        )
        return dataclasses.replace(answers, skipped=skipped)

    def _readable(
        self, data: Data, split: str, *, skip_bad: bool
    ) -> tuple[tuple[Photo, ...], tuple[SkippedPhoto, ...]]:
        photos = self._open(data)
        parts = dict(by_split(photos))
        if split != "all" and split not in parts:
            raise DataError(f"there is no split {split!r}; choose train, val, test or all.")
        chosen = tuple(parts) if split == "all" else (split,)
        if not any(parts[name] for name in chosen):
            raise DataError(f"the data has no {split!r} photos; choose another split.")
        train, val, test = (part if name in chosen else () for name, part in parts.items())
        skipped = tuple(photo for photo in photos.skipped if photo.split in chosen)
        photos = PhotoData(photos.classes, train, val, test, skipped=skipped)
        checked = self._check(photos, skip_bad=skip_bad).data
        return (*checked.train, *checked.val, *checked.test), checked.skipped

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
        """Say what is in photos, one after the other, however many.

        Threads decode the next photos while the model looks at a batch. Memory does not grow with the number
        of photos.

        Args:
            photos: A path, a folder, a glob, bytes, a PIL image, a numpy array, a tensor, a URL, or an
                iterable that mixes them.
            top: How many classes each prediction lists.
            batch_size: Photos a forward pass. The answer does not depend on it.
            workers: Threads that decode; `None` takes one for each core that this process may use.
            unknown_below: Do not name the class of a photo whose most probable one is less probable; `None`
                takes what the weights were calibrated with, 0 names a class always.
            allow_urls: Fetch photos given as http(s) URLs.
            tta: Look at each photo in several ways, and average the probabilities: ``"flip"``, ``"crops"``,
                ``"scales"``, several of them, or a `TTA`. Each look's probabilities are those of the
                temperature; the average is left as it is. Of a cascade, each look is decided for itself.
            after: Sources of the first photos, in order, which are predicted already: they are passed over.

        Yields:
            One `Prediction` a photo, in order. One that cannot be read carries its error; the rest go on.

        Raises:
            DataError: The first photos are not those of ``after``.
            ModelError: There are no weights yet, or ``tta`` cannot be.
        """
        (model, preprocess, classes), temperature = self._looking(tta)
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
        top: int = 5,
        batch_size: int = 32,
        workers: int | None = None,
        unknown_below: float | None = None,
        allow_urls: bool = False,
        tta: Ways | None = None,
        resume: bool = False,
        progress: Callable[[Tally], None] | None = None,
    ) -> Tally:
        """Predict into a file, a row a photo as they come, so that a run that was killed can go on.

        On a CPU with glibc, the process keeps the memory it frees for the next photo, until it ends: photos
        are decoded twice as fast.

        Args:
            path: A file that ends in ``.csv``, ``.jsonl`` or ``.parquet``; see
                `activitynet.inference.PredictionFile`.
            photos: As for `predict`; to go on, the same in the same order.
            top: As for `predict`; at most as many as there are classes.
            batch_size: As for `predict`.
            workers: As for `predict`.
            unknown_below: As for `predict`.
            allow_urls: As for `predict`.
            tta: As for `predict`.
            resume: Go on with a file that is there: its photos are not predicted again, those that could not
                be read included. Nothing in it tells the weights or ``tta``: give the same.
            progress: Called with the tally after each photo.

        Returns:
            How many rows there were, how many were added, and how many photos could not be read.

        Raises:
            DataError: The file is there and not to be gone on with, or is of other photos.
            ModelError: As for `predict`.
            StorageError: The file cannot be written.
        """
        model, _, classes = self._ready()
        if device_of(model).type == "cpu":
            keep_freed_memory()
        with PredictionFile(path, top=min(top, len(classes)), resume=resume) as file:
            predictions = self.predict(
                photos,
                top=top,
                batch_size=batch_size,
                workers=workers,
                unknown_below=unknown_below,
                allow_urls=allow_urls,
                tta=tta,
                after=file.sources(),
            )
            for prediction in predictions:
                file.write(prediction)
                if progress is not None:
                    progress(file.tally)
        return file.tally

    def predict_one(
        self,
        photo: Any,
        *,
        top: int = 5,
        unknown_below: float | None = None,
        allow_urls: bool = False,
        tta: Ways | None = None,
    ) -> Prediction:
        """Say what is in one photo.

        Args:
            photo: What `predict` takes, but one photo.
            top: How many classes the prediction lists.
            unknown_below: As for `predict`.
            allow_urls: Fetch a photo given as an http(s) URL.
            tta: As for `predict`.

        Raises:
            ImageError: The photo cannot be read, or it is not exactly one.
            ModelError: There are no weights yet.
        """
        predictions = list(
            self.predict(photo, top=top, unknown_below=unknown_below, allow_urls=allow_urls, tta=tta)
        )
        if len(predictions) != 1:
            raise ImageError(f"predict_one takes one photo, and {len(predictions)} were given; use predict.")
        if predictions[0].error is not None:
            raise ImageError(predictions[0].error)
        return predictions[0]

    def explain(self, photo: Any, *, label: str | None = None, how: How = "grad-cam") -> Explanation:
        """Say where the model looks in a photo.

        Args:
            photo: What `predict` takes, but one photo.
            label: The class to explain; `None` takes the most probable one.
            how: ``"grad-cam"`` is one pass through one network; ``"occlusion"`` covers the photo part by
                part, and works for ensembles and engines, too.

        Raises:
            ImageError: The photo cannot be read, or it is not exactly one.
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
        """Find the photos of a data set that look most like one to the network.

        Args:
            photo: What `predict` takes, but one photo.
            data: As for `evaluate`.
            split: Where to look, as for `evaluate`.
            count: How many to return.
            batch_size: Photos a forward pass.
            workers: Processes that decode photos; `None` chooses by the machine's cores.

        Returns:
            Photos with the cosine of their features' and the photo's, in [-1, 1], the nearest first.

        Raises:
            DataError: The data or the split cannot be used, or photos are broken.
            ImageError: The photo cannot be read, or it is not exactly one.
            ModelError: There are no weights yet, or the model has no features to compare.
        """
        model, preprocess, _ = self._ready()
        image = _one_image(photo, "nearest")
        photos, _ = self._readable(data, split, skip_bad=False)
        workers = default_workers() if workers is None else workers
        return nearest_photos(
            model, preprocess, image, photos, count=count, batch_size=batch_size, workers=workers
        )

    def _check(self, photos: PhotoData, *, skip_bad: bool) -> CheckedData:
        checked = check_photos(photos, skip_bad=skip_bad)
        if checked.data.skipped:
            _log.warning("%s", skipped_message(count_skipped(checked.data.skipped)))
        return checked

    def _open(self, data: Data) -> PhotoData:
        if isinstance(data, PhotoData):
            if self.classes is not None and data.classes != self.classes:
                raise DataError(
                    "the data's classes are not this classifier's; open it with classes=classifier.classes."
                )
            return data
        return open_data(data, classes=self.classes)


def _one_image(photo: Any, what: str) -> Image.Image:
    found = list(itertools.islice(iter_photos(photo), 2))
    if len(found) != 1:
        raise ImageError(f"{what} takes one photo, and {len(found) or 'none'} or more were given.")
    return found[0][1]()
