"""What answers for photos has in common, be it one model, an ensemble or a cascade."""

from __future__ import annotations

import dataclasses
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from PIL import Image
from torch import nn

from activitynet.data.checking import Checked, check_photos, count_skipped, skip_note
from activitynet.data.opening import open_data
from activitynet.data.photos import PhotoData
from activitynet.data.splits import by_split
from activitynet.errors import DataError, ImageError
from activitynet.evaluation import Scores
from activitynet.fitting import default_workers, score_photos
from activitynet.inference import Prediction, PredictionFile, Tally, device_of, stream_predictions
from activitynet.training.memory import keep_freed_memory

_log = logging.getLogger(__name__)

Data: TypeAlias = "str | os.PathLike[str] | PhotoData"

Ready: TypeAlias = tuple[nn.Module, Callable[[Image.Image], Any], tuple[str, ...]]
"""A module, what turns a photo into its input, and the classes of its outputs."""


class Predictor(ABC):
    """Something that tells the class of photos, and can be scored.

    Attributes:
        classes: Class names in the order of the outputs; `None` until they are known.
        temperature: Outputs are divided by it before the softmax.
    """

    classes: tuple[str, ...] | None
    temperature: float

    @abstractmethod
    def _ready(self) -> Ready: ...

    def evaluate(
        self,
        data: Data,
        *,
        split: str = "val",
        batch_size: int = 64,
        workers: int | None = None,
        skip_bad: bool = False,
    ) -> Scores:
        """Score on labelled photos.

        Args:
            data: What `open_data` takes, or an opened `PhotoData`; of these classes.
            split: ``"train"``, ``"val"``, ``"test"``, or ``"all"`` for every photo there is.
            batch_size: Photos a forward pass. The scores do not depend on it.
            workers: Processes that decode photos; `None` chooses by the machine's cores.
            skip_bad: Leave out photos that cannot be read, instead of refusing the data. The scores name
                each of them.

        Returns:
            Accuracy, macro-F1, per-class scores and the confusion matrix.

        Raises:
            DataError: The data or the split cannot be used, or photos are broken; all of them are listed.
            ModelError: There are no weights yet.
        """
        model, preprocess, classes = self._ready()
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
        readable = (*checked.train, *checked.val, *checked.test)
        workers = default_workers() if workers is None else workers
        scores = score_photos(model, readable, preprocess, classes, batch_size=batch_size, workers=workers)
        return dataclasses.replace(scores, skipped=checked.skipped)

    def predict(
        self,
        photos: Any,
        *,
        top: int = 5,
        batch_size: int = 32,
        workers: int | None = None,
        allow_urls: bool = False,
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
            allow_urls: Fetch photos given as http(s) URLs.
            after: Sources of the first photos, in order, which are predicted already: they are passed over.

        Yields:
            One `Prediction` a photo, in order. One that cannot be read carries its error; the rest go on.

        Raises:
            DataError: The first photos are not those of ``after``.
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
        allow_urls: bool = False,
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
            allow_urls: As for `predict`.
            resume: Go on with a file that is there: its photos are not predicted again, those that could not
                be read included. Nothing in it tells the weights: give the same.
            progress: Called with the tally after each photo.

        Returns:
            How many rows there were, how many were added, and how many photos could not be read.

        Raises:
            DataError: The file is there and not to be gone on with, or is of other photos.
            ModelError: There are no weights yet.
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
                allow_urls=allow_urls,
                after=file.sources(),
            )
            for prediction in predictions:
                file.write(prediction)
                if progress is not None:
                    progress(file.tally)
        return file.tally

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

    def _check(self, photos: PhotoData, *, skip_bad: bool) -> Checked:
        checked = check_photos(photos, skip_bad=skip_bad)
        if checked.data.skipped:
            _log.warning("%s", skip_note(count_skipped(checked.data.skipped)))
        return checked

    def _open(self, data: Data) -> PhotoData:
        if isinstance(data, PhotoData):
            if self.classes is not None and data.classes != self.classes:
                raise DataError(
                    "the data's classes are not this classifier's; open it with classes=classifier.classes."
                )
            return data
        return open_data(data, classes=self.classes)
