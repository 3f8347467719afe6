"""Forward passes over many photos, in order, so that every caller gets the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from activitynet import ranks
from activitynet.data.loading import batches_of
from activitynet.data.photos import PhotoDataset
from activitynet.data.views import Images
from activitynet.inference.devices import device_of
from activitynet.inference.engines import Engine


def photo_loader(
    dataset: Dataset[Any], *, batch_size: int, workers: int = 0, device: torch.device | None = None
) -> DataLoader[Any]:
    """Return a loader that visits every photo once, in order.

    Args:
        dataset: The photos, with the transform to apply.
        batch_size: Photos a batch; the last one may be smaller.
        workers: Processes that decode; 0 decodes in this one.
        device: Where the batches will go: those for a GPU wait in memory that it copies from by itself.
    """
    pinned = device is not None and device.type == "cuda"
    return DataLoader(dataset, batch_size=batch_size, num_workers=workers, shuffle=False, pin_memory=pinned)


def forward_batches(
    model: nn.Module, batches: Iterable[Images], *, features: bool = False, bf16: bool = False
) -> Iterator[torch.Tensor]:
    """Run a model in evaluation mode over batches of images.

    Args:
        model: A zoo model. Its training mode is put back afterwards.
        batches: What the model takes: a float tensor (N, C, H, W), or several.
        features: Yield the pooled features before the classifier instead of the logits.
        bf16: Compute in bfloat16 where that is safe: faster, and good to about two digits.

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
        shared: Every process of a distributed run calls this at once, and computes a share.

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
    """Run a model over a data set whose items are an image and numbers that go with it.

    Args:
        model: As for `forward_dataset`, and so are the options.
        dataset: Its items are tuples: an image, or several views of one, and numbers or tensors.
        batch_size: As for `forward_dataset`.
        workers: As for `forward_dataset`.
        features: As for `forward_dataset`.
        bf16: As for `forward_dataset`.
        shared: As for `forward_dataset`.

    Returns:
        The outputs, and for each of the numbers a tensor of (N, ...), in the data set's order.
    """
    numbers: list[Sequence[torch.Tensor]] = []
    total = len(dataset)  # type: ignore[arg-type]
    part = dataset
    if shared and ranks.count() > 1:
        part = Subset(dataset, range(ranks.rank(), total, ranks.count()))

    device = device_of(model)
    loader = photo_loader(part, batch_size=batch_size, workers=workers, device=device)

    def images() -> Iterator[Images]:
        for batch, *others in batches_of(loader):
            numbers.append(others)
            yield batch

    outputs = torch.cat(list(forward_batches(model, images(), features=features, bf16=bf16)))
    columns = tuple(torch.cat(column) for column in zip(*numbers, strict=True))
    if part is dataset:
        return outputs, columns
    return (
        ranks.interleaved(outputs, total, device),
        tuple(ranks.interleaved(column, total, device) for column in columns),
    )
