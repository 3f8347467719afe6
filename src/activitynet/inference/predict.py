"""Photos in, predictions out: a stream that overlaps decoding with the forward pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import default_collate

from activitynet.data.inputs import iter_photos
from activitynet.errors import ActivityNetError
from activitynet.inference.forward import forward_batches


@dataclass(frozen=True)
class Prediction:
    """What a model says of one photo.

    Attributes:
        source: The path or URL as given, or a position such as ``"bytes[3]"`` for nameless input.
        label: The most probable class; `None` when the photo could not be read, or is unknown.
        probability: The most probable class's probability, in [0, 1]; `None` when the photo could not be
            read.
        top: The most probable classes with their probabilities, best first.
        error: Why the photo could not be read; `None` when it could.
        unknown: No class is probable enough to be named.
    """

    source: str
    label: str | None
    probability: float | None
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    unknown: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as plain JSON values."""
        return {
            "source": self.source,
            "label": self.label,
            "probability": self.probability,
            "top": [{"label": label, "probability": probability} for label, probability in self.top],
            "error": self.error,
            "unknown": self.unknown,
        }


def stream_predictions(
    model: nn.Module,
    photos: Any,
    *,
    preprocess: Callable[[Image.Image], Any],
    classes: Sequence[str],
    temperature: float = 1.0,
    unknown_below: float = 0.0,
    top: int = 5,
    batch_size: int = 32,
    allow_urls: bool = False,
) -> Iterator[Prediction]:
    """Predict photos one after the other, in the order they come.

    Threads decode the next batch while the model looks at this one, so memory stays flat whatever the
    number of photos.

    Args:
        model: A zoo model with one output a class.
        photos: Anything `activitynet.data.inputs.iter_photos` takes.
        preprocess: What turns a photo into the model's input.
        classes: Class names in the order of the model's outputs.
        temperature: Logits are divided by it before the softmax.
        unknown_below: A photo whose most probable class is less probable is unknown.
        top: How many classes a prediction lists.
        batch_size: Photos a forward pass. The answer does not depend on it.
        allow_urls: Fetch photos that are given as http(s) URLs.

    Yields:
        One prediction a photo. A photo that cannot be read yields its error, and the rest go on.
    """

    def load(open_photo: Callable[[], Image.Image]) -> Any:
        try:
            return preprocess(open_photo())
        except ActivityNetError as error:
            return error

    items = iter_photos(photos, allow_urls=allow_urls)
    with ThreadPoolExecutor(max_workers=2) as pool:

        def next_batch() -> list[tuple[str, Future[Any]]]:
            return [
                (source, pool.submit(load, photo)) for source, photo in itertools.islice(items, batch_size)
            ]

        batch = next_batch()
        while batch:
            upcoming = next_batch()
            loaded = [(source, future.result()) for source, future in batch]
            images = [image for _, image in loaded if not isinstance(image, ActivityNetError)]
            rows: Iterator[torch.Tensor] = iter(())
            if images:
                (logits,) = forward_batches(model, [default_collate(images)])
                rows = iter((logits.double() / temperature).softmax(dim=1))
            for source, image in loaded:
                if isinstance(image, ActivityNetError):
                    yield Prediction(source, None, None, error=str(image))
                else:
                    yield _prediction(source, next(rows), classes, top, unknown_below)
            batch = upcoming


def _prediction(
    source: str, probabilities: torch.Tensor, classes: Sequence[str], top: int, unknown_below: float
) -> Prediction:
    best = probabilities.topk(min(max(top, 1), len(classes)))
    pairs: Iterable[tuple[float, int]] = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ranked = tuple((classes[index], probability) for probability, index in pairs)
    label, probability = ranked[0]
    unknown = probability < unknown_below
    return Prediction(source, None if unknown else label, probability, ranked, unknown=unknown)
