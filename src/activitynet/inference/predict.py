"""Forward passes over photos, and the stream of predictions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset, Subset, default_collate

from activitynet.data.inputs import NamedPhoto, iter_photos
from activitynet.data.loader import PhotoDataset, PhotoLoader
from activitynet.data.preprocess import Images
from activitynet.errors import ActivityNetError, DataError, printable
from activitynet.inference.engines import Engine
from activitynet.runtime import distributed
from activitynet.runtime.devices import device_of, usable_cores


def photo_loader(
    dataset: Dataset[Any], *, batch_size: int, workers: int = 0, device: torch.device | None = None
) -> PhotoLoader:
    """Return a loader that yields every photo once, in order.

    Args:
        dataset: The photos, with the transform to apply.
        batch_size: Photos a batch; the last one may be smaller.
        workers: Processes that decode; 0 decodes in this one.
        device: Where the batches go; memory is pinned for a GPU.
    """
    pinned = device is not None and device.type == "cuda"
    return PhotoLoader(dataset, batch_size=batch_size, num_workers=workers, shuffle=False, pin_memory=pinned)


def forward_batches(
    model: nn.Module, batches: Iterable[Images], *, features: bool = False, bf16: bool = False
) -> Iterator[torch.Tensor]:
    """Run a model in evaluation mode over batches of images.

    Args:
        model: A zoo model. Its training mode is restored afterwards.
        batches: Model inputs: float tensors (N, C, H, W), or lists of several.
        features: Yield the pooled features before the classifier instead of the logits.
        bf16: Use bfloat16 autocast.

    Yields:
        Float32 tensors on the CPU, (N, classes) or (N, features), one a batch.
    """
    device = device_of(model)
    layout = torch.contiguous_format if isinstance(model, Engine) else torch.channels_last
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            images = _moved(batch, device, layout)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                if features:
                    output = model.forward_head(model.forward_features(images), pre_logits=True)  # type: ignore[operator]
                else:
                    output = model(images)
            yield output.float().cpu()
    finally:
        model.train(was_training)


def _moved(batch: Images, device: torch.device, layout: torch.memory_format) -> Images:
    if isinstance(batch, torch.Tensor):
        return batch.to(device, memory_format=layout, non_blocking=True)
    return [images.to(device, memory_format=layout, non_blocking=True) for images in batch]


def forward_dataset(
    model: nn.Module,
    dataset: PhotoDataset,
    *,
    batch_size: int = 64,
    workers: int = 0,
    features: bool = False,
    bf16: bool = False,
    shared: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a model over a data set.

    Args:
        model: A zoo model.
        dataset: The photos, with the transform to apply.
        batch_size: Photos a forward pass.
        workers: Processes that decode; 0 decodes in this one.
        features: Return the pooled features before the classifier instead of the logits.
        bf16: Compute in bfloat16.
        shared: Divide the work among the processes of a distributed run, which all call this.

    Returns:
        The outputs, float32 (N, classes) or (N, features), and the labels, int64 (N,), in the data
        set's order.
    """
    outputs, (labels, _) = forward_items(
        model,
        dataset,
        batch_size=batch_size,
        workers=workers,
        features=features,
        bf16=bf16,
        shared=shared,
    )
    return outputs, labels


def forward_items(
    model: nn.Module,
    dataset: Dataset[Any],
    *,
    batch_size: int = 64,
    workers: int = 0,
    features: bool = False,
    bf16: bool = False,
    shared: bool = False,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Run a model over a data set whose items are an image and further numbers.

    Args:
        model: A zoo model.
        dataset: Its items are tuples: an image (or several views of one), then numbers or tensors.
        batch_size: Photos a forward pass.
        workers: Processes that decode; 0 decodes in this one.
        features: Return the pooled features before the classifier instead of the logits.
        bf16: Use bfloat16 autocast.
        shared: Divide the work among the processes of a distributed run, which all call this.

    Returns:
        The outputs, and for each of the numbers a tensor of (N, ...), in the data set's order.
    """
    numbers: list[Sequence[torch.Tensor]] = []
    total = len(dataset)  # type: ignore[arg-type]
    part = dataset
    if shared and distributed.world_size() > 1:
        part = Subset(dataset, range(distributed.rank(), total, distributed.world_size()))

    device = device_of(model)
    loader = photo_loader(part, batch_size=batch_size, workers=workers, device=device)

    def images() -> Iterator[Images]:
        for batch, *others in loader:
            numbers.append(others)
            yield batch

    outputs = torch.cat(list(forward_batches(model, images(), features=features, bf16=bf16)))
    columns = tuple(torch.cat(column) for column in zip(*numbers, strict=True))
    if part is dataset:
        return outputs, columns
    return (
        distributed.all_gather_interleaved(outputs, total, device),
        tuple(distributed.all_gather_interleaved(column, total, device) for column in columns),
    )


@dataclass(frozen=True)
class Prediction:
    """The prediction for one photo.

    Attributes:
        source: The path or URL as given, or a position such as ``"bytes[3]"`` for input without a name.
        label: The most probable class; `None` when the photo could not be read, or is unknown.
        probability: The most probable class's probability, in [0, 1]; `None` when the photo could not be
            read.
        top: The most probable classes with their probabilities, best first.
        error: Why the photo could not be read; `None` when it could.
    """

    source: str
    label: str | None
    probability: float | None
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    @property
    def unknown(self) -> bool:
        """Whether the photo was read but no class is probable enough."""
        return self.label is None and self.error is None

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
    workers: int | None = None,
    allow_urls: bool = False,
    after: Iterable[str] = (),
) -> Iterator[Prediction]:
    """Yield predictions for photos, in order.

    Threads decode and preprocess the next photos while the model runs on a batch (Pillow and torch release
    the GIL). About two batches are in progress at any time, so memory stays flat.

    Args:
        model: A zoo model with one output a class.
        photos: Whatever `activitynet.data.inputs.iter_photos` takes.
        preprocess: Turns a photo into the model's input.
        classes: Class names in the order of the model's outputs.
        temperature: Logits are divided by it before the softmax.
        unknown_below: A photo whose most probable class is less probable is unknown.
        top: Number of classes a prediction lists.
        batch_size: Photos a forward pass. Predictions do not depend on it.
        workers: Threads that decode; `None` uses one a core.
        allow_urls: Fetch photos that are given as http(s) URLs.
        after: Sources of the first photos, in order; these are skipped without being opened.

    Yields:
        One prediction a photo. A photo that cannot be read yields its error.

    Raises:
        DataError: The first photos are not those of ``after``.
    """
    items = _skip_first(iter_photos(photos, allow_urls=allow_urls), after)
    batch: list[tuple[str, Any]] = []
    readable = 0
    for source, image in _decoded(items, preprocess, batch_size, workers or usable_cores()):
        batch.append((source, image))
        readable += not isinstance(image, ActivityNetError)
        if readable == batch_size or len(batch) == 8 * batch_size:  # however many are broken
            yield from _predict_batch(model, batch, classes, temperature, unknown_below, top)
            batch, readable = [], 0
    yield from _predict_batch(model, batch, classes, temperature, unknown_below, top)


def _skip_first(items: Iterator[NamedPhoto], after: Iterable[str]) -> Iterator[NamedPhoto]:
    for position, before in enumerate(after):
        now, _ = next(items, (None, None))
        if now is None or before not in (now, printable(now)):
            found = "is missing" if now is None else f"is {now!r}"
            raise DataError(
                f"cannot resume: the photo at position {position} was {before!r}, and now {found}. Photos "
                "were added, removed or renamed since: predict into a new file."
            )
    yield from items


def _decoded(
    items: Iterator[NamedPhoto], preprocess: Callable[[Image.Image], Any], batch_size: int, workers: int
) -> Iterator[tuple[str, Any]]:
    """Yield each photo's name with the model's input or an error; threads decode ahead."""

    def load(open_photo: Callable[[], Image.Image]) -> Any:
        try:
            return preprocess(open_photo())
        except ActivityNetError as error:
            return error

    pool = ThreadPoolExecutor(workers)
    pending: deque[tuple[str, Future[Any]]] = deque()
    try:
        for source, open_photo in items:
            pending.append((source, pool.submit(load, open_photo)))
            if len(pending) == batch_size + workers:
                name, future = pending.popleft()
                yield name, future.result()
        while pending:
            name, future = pending.popleft()
            yield name, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _predict_batch(  # noqa: PLR0917
    model: nn.Module,
    batch: list[tuple[str, Any]],
    classes: Sequence[str],
    temperature: float,
    unknown_below: float,
    top: int,
) -> Iterator[Prediction]:
    images = [image for _, image in batch if not isinstance(image, ActivityNetError)]
    rows: Iterator[torch.Tensor] = iter(())
    if images:
        (logits,) = forward_batches(model, [default_collate(images)])
        rows = iter((logits.double() / temperature).softmax(dim=1))
    for source, image in batch:
        if isinstance(image, ActivityNetError):
            yield Prediction(source, None, None, error=str(image))
        else:
            yield _prediction(source, next(rows), classes, top, unknown_below)


def _prediction(
    source: str, probabilities: torch.Tensor, classes: Sequence[str], top: int, unknown_below: float
) -> Prediction:
    best = probabilities.topk(min(max(top, 1), len(classes)))
    pairs: Iterable[tuple[float, int]] = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ranked = tuple((classes[index], probability) for probability, index in pairs)
    label, probability = ranked[0]
    return Prediction(source, label if probability >= unknown_below else None, probability, ranked)
