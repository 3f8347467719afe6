"""What is common to all whose weights can be kept, published and exported."""

from __future__ import annotations

import os
import tempfile
from abc import abstractmethod
from pathlib import Path

from activitynet.data.preprocess import Views
from activitynet.evaluation import Scores, plot_confusion
from activitynet.export import Format, export_model
from activitynet.predictor import Data, Predictor
from activitynet.weights import Card, EnsembleCard, push_weights


class Publishable(Predictor):
    """A predictor whose weights can be kept in a folder, published, and exported."""

    @abstractmethod
    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        training_data: str | None = None,
        license: str | None = None,
        scores: Scores | None = None,
        half: bool = False,
    ) -> Path:
        """Write the weights, and what is known of them."""

    @abstractmethod
    def _file_card(self) -> Card | EnsembleCard:
        """Return the card for an exported file."""

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
        """Publish the weights, their card and a page about them on the Hub, as one commit.

        Args:
            repository: ``org/name``; made where there is none.
            private: Whether a repository that is made is private; `None` leaves it to the account.
            revision: The branch to commit to; made where there is none.
            message: The commit's message.
            training_data: As for `save`.
            license: As for `save`.
            scores: As for `save`.

        Returns:
            ``org/name@COMMIT``, which `load` takes, and which never changes.

        Raises:
            ModelError: As for `save`.
            HubError: The Hub cannot be reached, or refuses.
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

        It takes uint8 RGB photos (batch, height, width, 3) of any size, those of one batch of the same, and
        gives float32 probabilities (batch, classes). Preprocessing and temperature are inside, and of an
        ensemble all members, each with its own; the card, with the class names, is in its metadata as
        ``activitynet.card``. `activitynet.Classifier.load` takes ``.onnx`` and ``.xml``.

        Args:
            path: A file that ends in ``.onnx``, ``.xml`` (its tensors go into a ``.bin`` beside it) or
                ``.pt2``.
            format: ``"onnx"``, ``"openvino"`` or ``"torch"``.
            calibrate: Photos (as for `evaluate`; those of ``train``) by which to choose the ranges of 8-bit
                numbers; `None` keeps float32.

        Returns:
            The path.

        Raises:
            DataError: The data to calibrate with cannot be used.
            ModelError: There are no weights yet, the model has no such form, or packages are missing.
            StorageError: The file cannot be written.
        """
        model, preprocess, _ = self._ready()
        card = self._file_card()
        photos = None if calibrate is None else self._open(calibrate).train
        views = preprocess if isinstance(preprocess, Views) else None
        return export_model(model, card, path, format, views=views, calibrate=photos)


def confusion_picture(scores: Scores | None) -> bytes | None:
    """Return the confusion matrix as a PNG, for a page about weights; `None` without scores."""
    if scores is None:
        return None
    with tempfile.TemporaryDirectory() as temporary:
        plot_confusion(scores, drawn := Path(temporary) / "confusion.png")
        return drawn.read_bytes()
