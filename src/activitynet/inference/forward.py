"""Forward passes over many photos, in order, so that every caller gets the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from activitynet.data.photos import PhotoDataset


def photo_loader(dataset: PhotoDataset, *, batch_size: int, workers: int = 0) -> DataLoader[Any]:
    """Return a loader that visits every photo once, in order.

    Args:
        dataset: The photos, with the transform to apply.
        batch_size: Photos a batch; the last one may be smaller.
        workers: Processes that decode; 0 decodes in this one.
    """
    return DataLoader(dataset, batch_size=batch_size, num_workers=workers, shuffle=False)


def device_of(model: nn.Module) -> torch.device:
    """Return the device that the model's parameters are on."""
    return next(model.parameters()).device


def forward_batches(
    model: nn.Module, batches: Iterable[torch.Tensor], *, features: bool = False, bf16: bool = False
) -> Iterator[torch.Tensor]:
    """Run a model in evaluation mode over batches of images.

    Args:
        model: A zoo model. Its training mode is put back afterwards.
        batches: Float tensors of shape (N, C, H, W).
        features: Yield the pooled features before the classifier instead of the logits.
        bf16: Compute in bfloat16 where that is safe: faster, and good to about two digits.

    Yields:
        Float32 tensors on the CPU, (N, classes) or (N, features), one a batch.
    """
    device = device_of(model)
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            images = batch.to(device, memory_format=torch.channels_last, non_blocking=True)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                if features:
                    output = model.forward_head(model.forward_features(images), pre_logits=True)  # type: ignore[operator]
                else:
                    output = model(images)
            yield output.float().cpu()
    finally:
        model.train(was_training)


def forward_dataset(
    model: nn.Module,
    dataset: PhotoDataset,
    *,
    batch_size: int = 64,
    workers: int = 0,
    features: bool = False,
    bf16: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a model over a data set.

    Args:
        model: A zoo model.
        dataset: The photos, with the transform to apply.
        batch_size: Photos a forward pass.
        workers: Processes that decode; 0 decodes in this one.
        features: Return the pooled features before the classifier instead of the logits.
        bf16: Compute in bfloat16.

    Returns:
        The outputs, float32 (N, classes) or (N, features), and the labels, int64 (N,), in the data
        set's order.
    """
    labels: list[torch.Tensor] = []

    def images() -> Iterator[torch.Tensor]:
        for batch, batch_labels, _ in photo_loader(dataset, batch_size=batch_size, workers=workers):
            labels.append(batch_labels)
            yield batch

    outputs = torch.cat(list(forward_batches(model, images(), features=features, bf16=bf16)))
    return outputs, torch.cat(labels)
