"""What a model says of uploaded photos, and why, ready to be shown."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image
from torch import nn

from activitynet.classifier import Classifier
from activitynet.data.decode import decode_image
from activitynet.ensemble import Ensemble
from activitynet.errors import ActivityNetError, ImageError
from activitynet.evaluation.explain import How, explain
from activitynet.inference import Prediction, stream_predictions
from activitynet.inference.writers import csv_cells, csv_header, csv_line
from activitynet.pages import picture, readable, thumbnail
from activitynet.predictor import Predictor
from activitynet.weights import Card

TOP = 5
_BATCH = 8  # of large photos, several of which are decoded at a time
_ALONE, _MEMBER, _OF_MANY = 640, 240, 120  # longest sides in pixels of what is shown


@dataclass(frozen=True)
class Upload:
    """A photo as it came.

    Attributes:
        name: What its sender calls it; nothing but text to show.
        content: The bytes of its file.
    """

    name: str
    content: bytes


@dataclass(frozen=True)
class Asked:
    """A photo and what is said of it.

    Attributes:
        prediction: The answer, or why there is none.
        picture: The photo, small, as a data URL; `None` if it cannot be read.
    """

    prediction: Prediction
    picture: str | None = None


@dataclass(frozen=True)
class Opinion:
    """What one member of an ensemble says of a photo.

    Attributes:
        member: Its folder in the ensemble.
        share: Of it in the average, in [0, 1].
        prediction: Its own answer.
        heat: Where it looks, as a data URL; `None` where nobody asked, or it has no map.
    """

    member: str
    share: float
    prediction: Prediction
    heat: str | None = None


@dataclass(frozen=True)
class Answer:
    """All that is shown of one upload.

    Attributes:
        photos: In the order in which they came.
        unknown_below: The threshold that held, in [0, 1].
        seconds: To decode and predict.
        heat: Where one network looks in the only photo, as a data URL.
        explained: The class that heat maps are of.
        explaining: Seconds that heat maps took.
        trouble: Why there is no heat map though one was asked for.
        members: What each member of an ensemble says of the only photo.
    """

    photos: tuple[Asked, ...]
    unknown_below: float
    seconds: float
    heat: str | None = None
    explained: str | None = None
    explaining: float = 0.0
    trouble: str | None = None
    members: tuple[Opinion, ...] = ()

    @property
    def failed(self) -> int:
        """How many photos could not be read."""
        return sum(asked.prediction.error is not None for asked in self.photos)

    def csv(self) -> str:
        """Return what ``activitynet predict --csv`` prints for these photos."""
        top = max((len(asked.prediction.top) for asked in self.photos), default=0) or TOP
        rows = (csv_cells(asked.prediction, top) for asked in self.photos)
        return "".join(map(csv_line, (csv_header(top), *rows)))

    def csv_url(self) -> str:
        """Return `csv` as a data URL: the server keeps nothing that could be fetched later."""
        return picture("text/csv;charset=utf-8", readable(self.csv()).encode())


class Answering:
    """A predictor, and how it explains itself. It is asked by one thread at a time.

    Args:
        predictor: What answers.
        max_pixels: The most pixels of a photo.
    """

    def __init__(self, predictor: Predictor, *, max_pixels: int) -> None:
        self.predictor = predictor
        self._max_pixels = max_pixels

    @property
    def explains_quickly(self) -> bool:
        """Whether heat maps are one pass a network; otherwise, parts of the photo are covered one by one."""
        if isinstance(self.predictor, Ensemble):
            return True
        return isinstance(self.predictor, Classifier) and hasattr(self.predictor.model, "forward_features")

    @property
    def calibrated(self) -> bool:
        """Whether it is known that the probabilities were fitted to how often they are right."""
        predictor: Any = self.predictor
        temperatures = [
            predictor.temperature,
            *(card.temperature for card in getattr(predictor, "cards", ())),
        ]
        return any(value != 1 for value in temperatures) or "calibration" in getattr(predictor, "metrics", {})

    def what(self) -> str:
        """Return what the predictor is, in a few words."""
        if isinstance(self.predictor, Ensemble):
            return f"an ensemble of {len(self.predictor.cards)} networks"
        network: Any = getattr(self.predictor, "model", self.predictor)
        return str(getattr(network, "architecture", None) or getattr(network, "description", "a network"))

    def warm_up(self) -> None:
        """Answer once, so that the first photo does not wait for what is imported and compiled then."""
        file = io.BytesIO()
        Image.new("RGB", (64, 64), "grey").save(file, "PNG")
        self.answer([Upload("", file.getvalue())], unknown_below=0, heat=self.explains_quickly)

    def answer(self, uploads: Sequence[Upload], *, unknown_below: float, heat: bool) -> Answer:
        """Say what is in photos; of a single one, also why.

        Args:
            uploads: The photos.
            unknown_below: As for `Predictor.predict`.
            heat: Whether to draw heat maps, which only a single photo has.
        """
        began = time.perf_counter()
        pictures: dict[int, str] = {}
        errors: dict[int, str] = {}
        only: list[Image.Image] = []

        def images() -> Iterator[Image.Image]:
            for index, upload in enumerate(uploads):
                try:
                    image = decode_image(upload.content, name=upload.name, max_pixels=self._max_pixels)
                except ImageError as error:
                    errors[index] = str(error)
                    continue
                pictures[index] = thumbnail(image, _ALONE if len(uploads) == 1 else _OF_MANY)
                if len(uploads) == 1:
                    only.append(image)
                yield image

        said = list(self.predictor.predict(images(), top=TOP, unknown_below=unknown_below, batch_size=_BATCH))
        following = iter(said)
        photos = tuple(
            Asked(Prediction(upload.name, None, None, error=errors[index]))
            if index in errors
            else Asked(replace(next(following), source=upload.name), pictures[index])
            for index, upload in enumerate(uploads)
        )
        answer = Answer(photos, unknown_below, time.perf_counter() - began)
        if not only:
            return answer
        answer = replace(answer, members=self._opinions(only[0], unknown_below))
        return self._explained(answer, only[0]) if heat else answer

    def _opinions(self, image: Image.Image, unknown_below: float) -> tuple[Opinion, ...]:
        ensemble = self.predictor
        if not isinstance(ensemble, Ensemble):
            return ()
        card = ensemble.card()
        opinions = []
        for model, own, member in zip(ensemble.members, ensemble.cards, card.members, strict=True):
            (prediction,) = stream_predictions(
                model,
                image,
                preprocess=own.preprocess,
                classes=own.classes,
                temperature=own.temperature,
                unknown_below=unknown_below,
                top=TOP,
            )
            opinions.append(Opinion(member.folder, member.weight, prediction))
        return tuple(opinions)

    def _explained(self, answer: Answer, image: Image.Image) -> Answer:
        began = time.perf_counter()
        label = answer.photos[0].prediction.top[0][0]
        try:
            if isinstance(self.predictor, Ensemble):
                pairs = zip(self.predictor.members, self.predictor.cards, answer.members, strict=True)
                members = tuple(
                    replace(said, heat=_member_heat(model, card, image, label)) for model, card, said in pairs
                )
                answer = replace(answer, members=members)
            else:
                how: How = "grad-cam" if self.explains_quickly else "occlusion"
                found = self.predictor.explain(image, label=label, how=how)
                answer = replace(answer, heat=thumbnail(found.overlay, _ALONE))
        except ActivityNetError as error:
            return replace(answer, trouble=str(error))
        return replace(answer, explained=label, explaining=time.perf_counter() - began)


def _member_heat(model: nn.Module, card: Card, image: Image.Image, label: str) -> str:
    found = explain(
        model,
        card.preprocess,
        card.classes,
        image,
        temperature=card.temperature,
        label=card.classes.index(label),
    )
    return thumbnail(found.overlay, _MEMBER)
