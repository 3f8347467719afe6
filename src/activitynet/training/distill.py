"""Distillation of teachers' probabilities and features into a student."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.preprocess import Preprocess
from activitynet.errors import TrainingError
from activitynet.export import installed
from activitynet.inference import Engine, compile_network
from activitynet.training.recipe import Distill
from activitynet.weights import Card, find_weights, is_ensemble, load_members, load_weights
from activitynet.zoo.network import classifiers_of


@contextmanager
def pooled_features(model: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Record the pooled features of each forward pass within the context.

    The features are (N, ``head_hidden_size``), after dropout, and are not detached.

    Args:
        model: A zoo model.

    Yields:
        A list to which each forward pass appends its features.

    Raises:
        TrainingError: The model has no single classifier.
    """
    features: list[torch.Tensor] = []

    def record(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        features.append(inputs[0].flatten(1))

    handle = _classifier(model).register_forward_pre_hook(record)
    try:
        yield features
    finally:
        handle.remove()


def _classifier(model: nn.Module) -> nn.Module:
    classifiers = classifiers_of(model)
    if len(classifiers) != 1:  # timm's distilled transformers have two
        raise TrainingError(
            f"cannot compare the features of {type(model).__name__}, because it has {len(classifiers)} "
            "classifiers. Set the recipe's distill.features to 0."
        )
    return classifiers[0]


class WithFeatures(nn.Module):
    """Network that outputs logits and pooled features: (N, classes + ``head_hidden_size``).

    Args:
        model: A zoo model; it is not modified.

    Raises:
        TrainingError: The model has no single classifier.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        _classifier(model)
        self.model = model
        self.num_classes = int(model.num_classes) + int(model.head_hidden_size)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits followed by the features of images (N, 3, H, W)."""
        features = self.model.forward_head(self.model.forward_features(images), pre_logits=True)  # type: ignore[operator]
        return torch.cat([self.model.get_classifier()(features), features.flatten(1)], dim=1)  # type: ignore[operator]


_STRIDE = 32  # of most networks; sides of teachers' images are multiples of it
_BATCH = 64
_EPS = 1e-5  # added to variances


class Teachers(nn.Module):
    """Teachers for distillation, with frozen weights and always in evaluation mode.

    Args:
        teachers: At least one teacher; the shares add up to 1.
        temperature: Divides the logits of teachers and student; greater than 0.
        features: Weight of the feature loss relative to the loss of the probabilities, at least 0.
    """

    def __init__(self, teachers: Sequence[_Teacher], temperature: float, features: float = 0.0) -> None:
        super().__init__()
        self.teachers = nn.ModuleList(teachers)
        self.shares = [teacher.share for teacher in teachers]
        self.temperature, self.features = temperature, features
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Teachers:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Return the teachers' mean probabilities, float32 (N, classes).

        Args:
            images: The student's normalised images, float (N, 3, H, W), of any size.
        """
        return self._mean_probabilities([teacher(images) for teacher in self.teachers])

    def _mean_probabilities(self, outputs: Sequence[_Output]) -> torch.Tensor:
        each = [
            share * (output.logits.float() / self.temperature).softmax(dim=1)
            for share, output in zip(self.shares, outputs, strict=True)
        ]
        return torch.stack(each).sum(dim=0)

    def loss(
        self, images: torch.Tensor, logits: torch.Tensor, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the distillation loss: KL(teachers ‖ student) * temperature².

        The factor temperature² makes the scale of the gradients independent of the temperature. If the weight
        of the features is not 0, their `distance_loss` is added.

        Args:
            images: The student's normalised images, float (N, 3, H, W), of any size.
            logits: The student's logits, float (N, classes).
            features: The student's pooled features, float (N, features); required if their weight is not 0.

        Returns:
            Float32 (N,), one loss per photo.
        """
        with torch.no_grad():
            outputs = [teacher(images) for teacher in self.teachers]
            target = self._mean_probabilities(outputs)
        student = (logits.float() / self.temperature).log_softmax(dim=1)
        losses = F.kl_div(student, target, reduction="none").sum(dim=1) * self.temperature**2
        if not self.features:
            return losses
        assert features is not None  # noqa: S101  the caller knows the weight
        for share, output in zip(self.shares, outputs, strict=True):
            distances = distance_loss(features.float(), output.features.float())
            losses = losses + self.features * share * distances
        return losses

    def accuracy(self, dataset: AugmentedPhotos, device: torch.device, *, photos: int = 256) -> float:
        """Return the teachers' accuracy on training photos, augmented as in the first epoch.

        Args:
            dataset: The student's training photos.
            device: Device of the teachers.
            photos: Number of photos to use, spread evenly over the data set.
        """
        dataset.set_epoch(1)
        chosen = range(0, len(dataset), math.ceil(len(dataset) / photos))
        correct = 0
        for begin in range(0, len(chosen), _BATCH):
            raw, labels, _ = dataset.collate([dataset[index] for index in chosen[begin : begin + _BATCH]])
            predicted = self.probabilities(dataset.color_jitter(raw, device)).argmax(dim=1).cpu().numpy()
            correct += int((predicted == labels).sum())
        return correct / len(chosen)


def distance_loss(features: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the distance between the features of a student and a teacher, which may differ in number.

    The teacher's features are projected to the student's number of features. The mean loss is 1 minus the
    correlation over the batch, averaged over the features. The projection is orthogonal, random and fixed, so
    there is nothing to learn or to save.

    Feature distillation was introduced by Romero et al. (2015, https://arxiv.org/abs/1412.6550), and
    normalisation over the batch by Miles and Mikolajczyk (2024, https://doi.org/10.1609/aaai.v38i5.28219),
    who learn the projection.

    Args:
        features: Features of the student, float32 (N, D).
        target: Features of the teacher, float32 (N, E).

    Returns:
        Float32 (N,), one loss per photo; the mean is in [0, 2].
    """
    projection = _projection(target.shape[1], features.shape[1]).to(target)
    return (_standardised(features) - _standardised(target @ projection)).square().mean(dim=1) / 2


@cache
def _projection(inputs: int, outputs: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return nn.init.orthogonal_(torch.empty(inputs, outputs), generator=generator)


def _standardised(features: torch.Tensor) -> torch.Tensor:
    centred = features - features.mean(dim=0)
    return centred / (centred.square().mean(dim=0) + _EPS).sqrt()


class _Output(NamedTuple):
    """Output of a teacher: logits (N, classes) and features (N, any number; 0 if they are not compared)."""

    logits: torch.Tensor
    features: torch.Tensor


class _Teacher(nn.Module):
    """Teacher that takes the student's images and converts them to its own normalisation and size.

    Smaller images are enlarged to the geometric mean of both sizes, which is cheaper than the full size and
    not less accurate: 96-pixel validation photos scored a macro-F1 of 0.77 at 160 pixels and 0.72 at 224.

    Args:
        model: The teacher's network.
        card: The teacher's card.
        preprocess: The student's preprocessing, whose mean and standard deviation the images have.
        order: Index of the teacher's output for each of the student's classes.
        share: Weight in the mean of all teachers.
        fast: Compute in bfloat16 with OpenVINO.
        features: Return features as well.
    """

    scale: torch.Tensor
    shift: torch.Tensor
    order: torch.Tensor

    def __init__(
        self,
        model: nn.Module,
        card: Card,
        preprocess: Preprocess,
        order: Sequence[int],
        share: float,
        *,
        fast: bool,
        features: bool,
    ) -> None:
        super().__init__()
        self.share, self.fast = share, fast
        self.model = WithFeatures(model) if features else model
        self._engines: dict[tuple[int, int], Engine] = {}
        self.register_buffer("order", torch.tensor(order))
        self.size = card.preprocess.size
        self.temperature = card.temperature
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocess.mean, preprocess.std))
        own_mean, own_std = (
            torch.tensor(values).view(3, 1, 1) for values in (card.preprocess.mean, card.preprocess.std)
        )
        self.register_buffer("scale", std / own_std)
        self.register_buffer("shift", (mean - own_mean) / own_std)

    def forward(self, images: torch.Tensor) -> _Output:
        """Return calibrated logits for the student's images, in the order of the student's classes."""
        images = images * self.scale + self.shift
        height, width = (_side(*sides) for sides in zip(self.size, images.shape[-2:], strict=True))
        if images.shape[-2:] != (height, width):
            images = F.interpolate(images, (height, width), mode="bilinear", antialias=True)
        output: torch.Tensor = self._network((height, width))(images)
        logits, features = output.tensor_split([len(self.order)], dim=1)
        return _Output(logits.index_select(1, self.order) / self.temperature, features)

    def _network(self, size: tuple[int, int]) -> nn.Module:
        if not self.fast:
            return self.model
        if size not in self._engines:
            # Not "auto": a resumed run needs the same engine.
            with torch.autocast("cpu", enabled=False):
                self._engines[size] = compile_network(self.model, size, "openvino")
        return self._engines[size]


def _side(own: int, given: int) -> int:
    """Return the side to which a teacher resizes images: the geometric mean, rounded up to whole strides."""
    return own if given >= own else min(own, math.ceil(math.sqrt(own * given) / _STRIDE) * _STRIDE)


def load_teachers(
    config: Distill,
    classes: Sequence[str],
    preprocess: Preprocess,
    device: torch.device,
    *,
    bf16: bool = False,
) -> Teachers | None:
    """Load a recipe's teachers; return `None` if it has none.

    Args:
        config: The recipe's distillation settings.
        classes: Names of the student's classes, in the order of its outputs.
        preprocess: The student's preprocessing.
        device: Device of the student.
        bf16: Whether bfloat16 is precise enough; a CPU then uses OpenVINO if it is installed.

    Raises:
        TrainingError: A teacher's classes differ from the student's.
        WeightsError: A teacher's weights are incomplete, corrupt, or do not match the architecture.
        HubError: The Hub cannot be reached, refuses, or has no such repository.
    """
    if not config.teachers:
        return None
    fast = bf16 and device.type == "cpu" and installed("openvino", "onnx", "onnxscript")
    teachers = []
    for source in config.teachers:
        for model, card, share in _models_of(source):
            _check_classes(source, card.classes, classes)
            order = [card.classes.index(name) for name in classes]
            part = share / len(config.teachers)
            features = config.features > 0
            teachers.append(_Teacher(model, card, preprocess, order, part, fast=fast, features=features))
    return Teachers(teachers, config.temperature, config.features).to(device)


def _models_of(source: str) -> list[tuple[nn.Module, Card, float]]:
    """Return the models of a teacher, with their shares; an ensemble has several."""
    folder = find_weights(source)
    if not is_ensemble(folder):
        return [(*load_weights(folder), 1.0)]
    members, card = load_members(folder)
    return [
        (model, member, entry.weight)
        for (model, member), entry in zip(members, card.members, strict=True)
        if entry.weight
    ]


def _check_classes(source: str, known: Sequence[str], classes: Sequence[str]) -> None:
    for name in (*known, *classes):
        if name not in known or name not in classes:
            here, there = ("model", "teacher") if name in classes else ("teacher", "model")
            raise TrainingError(
                f"the classes of teacher {source!r} differ from the model's: the {here} has {name!r}, the "
                f"{there} does not. A teacher needs the same classes, in any order."
            )
