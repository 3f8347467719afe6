"""An ensemble of models, and its cascade, which runs later members only on undecided photos."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from activitynet.data.preprocess import Images, as_images, views_for, views_of
from activitynet.errors import ModelError
from activitynet.evaluation import Scores
from activitynet.export import is_exported
from activitynet.predictor import Predictor, Ready
from activitynet.runtime.devices import resolve_device
from activitynet.serialization.paths import user_path
from activitynet.training.card_facts import card_scores, confusion_picture
from activitynet.weights import (
    Averaging,
    Card,
    EnsembleCard,
    Member,
    Stages,
    find_weights,
    load_members,
    save_ensemble,
)
from activitynet.zoo.build import count_macs


class Cascade(nn.Module, Predictor):
    """Runs an ensemble's members in order, each only on photos that are not decided yet.

    After Wang et al. 2022, "Wisdom of Committees", https://arxiv.org/abs/2012.01988.

    Args:
        ensemble: The ensemble, with its members cheapest first.
        stages: The threshold and temperatures that decide when a photo needs no further member.

    Attributes:
        seen: Number of photos that each member has seen so far.
    """

    def __init__(self, ensemble: Ensemble, stages: Stages) -> None:
        super().__init__()
        self.ensemble, self.stages = ensemble, stages
        self.classes, self.temperature = ensemble.classes, 1.0  # each stage has its own
        self.seen = [0] * len(ensemble.members)

    def _ready(self) -> Ready:
        return self, self.ensemble.preprocess, self.ensemble.classes

    def macs(self) -> float:
        """Return the mean multiply-adds a photo so far; before the first photo, those of all members."""
        each = self.ensemble.member_macs()
        if not self.seen[0]:
            return sum(each)
        return sum(count * macs for count, macs in zip(self.seen, each, strict=True)) / self.seen[0]

    def forward(self, images: Images) -> torch.Tensor:
        """Return calibrated log-probabilities, float32 (N, classes)."""
        views = views_for(images)
        count, device = len(views[0]), views[0].device
        result = torch.empty(count, len(self.ensemble.classes), device=device)
        log_probs = torch.empty(0, count, result.shape[1], device=device)
        left = torch.arange(count, device=device)
        for index, temperature in enumerate(self.stages.temperatures):
            own = self.ensemble.member_log_probs(index, as_images([view[left] for view in views]))
            self.seen[index] += len(left)
            log_probs = torch.cat([log_probs, own[None]])
            combined = (self.ensemble.combine(log_probs) / temperature).log_softmax(dim=1)
            result[left] = combined
            undecided = combined.max(dim=1).values.exp() <= self.stages.threshold
            left, log_probs = left[undecided], log_probs[:, undecided]
            if not len(left):
                break
        return result


class Ensemble(nn.Module, Predictor):
    """Several models whose predictions are averaged.

    It predicts, evaluates, saves and loads like a `Classifier`, and it is a plain module: `forward` maps a
    batch of images to log-probabilities. Members may differ in architecture, image size and class order.

    Args:
        members: Models with their cards, in the order of the cascade: cheapest first.
        classes: Class names in the order of the outputs; `None` takes the first member's order.
        weights: Weight of each member in the average, normalised to a sum of 1. `None` weights all equally.
        average: ``"probabilities"`` is the mean of the members' probabilities, ``"logits"`` the softmax of
            the mean of their logits. Each member's logits are first divided by its card's temperature.
        temperature: The averaged log-probabilities are divided by it before the last softmax.
        cascade: Stages of the cascade (see `fit_cascade`); `None` for no cascade.
        metrics: Scores with their split, for the card.
        training_data: What the members were trained on, for the card; `None` joins what their cards say.
        license: License of the weights; `None` joins what the members' cards say.

    Attributes:
        classes: Class names in the order of the outputs.
        preprocess: Turns a photo into the input of `forward`.

    Raises:
        ModelError: There are no members, their classes differ, or the weights cannot be used.

    Example:
        >>> from activitynet import Ensemble
        >>> ensemble = Ensemble.load("weights/deep-seers")  # doctest: +SKIP
        >>> ensemble.predict_one("photo.jpg").label  # doctest: +SKIP
        'dancing'
    """

    classes: tuple[str, ...]
    weights: torch.Tensor

    def __init__(
        self,
        members: Sequence[tuple[nn.Module, Card]],
        *,
        classes: Sequence[str] | None = None,
        weights: Sequence[float] | None = None,
        average: Averaging = "probabilities",
        temperature: float = 1.0,
        cascade: Stages | None = None,
        metrics: dict[str, Any] | None = None,
        training_data: str | None = None,
        license: str | None = None,
    ) -> None:
        super().__init__()
        if not members:
            raise ModelError("an ensemble needs at least one member.")
        self.cards = tuple(card for _, card in members)
        self.classes = self.cards[0].classes if classes is None else tuple(classes)
        self.members = nn.ModuleList(model for model, _ in members)
        for number, card in enumerate(self.cards, start=1):
            self.register_buffer(f"_order_{number - 1}", _order(card, self.classes, number), persistent=False)
        self.register_buffer("weights", _shares(weights, len(members)))
        self.average: Averaging = average
        self.temperature = temperature
        self.cascade = cascade
        self.metrics = dict(metrics or {})
        self.training_data = _joined(training_data, (card.training_data for card in self.cards))
        self.license = _joined(license, (card.license for card in self.cards))
        self.preprocess, self._view = views_of([card.preprocess for card in self.cards])
        self.eval()

    def forward(self, images: Images) -> torch.Tensor:
        """Run all members.

        Args:
            images: A float tensor (N, 3, H, W), or one for each view of `preprocess` where it makes several.

        Returns:
            Log-probabilities, float32 (N, classes), before the temperature.
        """
        log_probs = [self.member_log_probs(index, images) for index in range(len(self.members))]
        return self.combine(torch.stack(log_probs))

    def member_log_probs(self, index: int, images: Images) -> torch.Tensor:
        """Return one member's calibrated log-probabilities, float32 (N, classes)."""
        view = images if isinstance(images, torch.Tensor) else images[self._view[index]]
        logits: torch.Tensor = self.members[index](view).float()
        calibrated = (logits / self.cards[index].temperature).log_softmax(dim=1)
        return calibrated.index_select(1, getattr(self, f"_order_{index}"))

    def combine(self, log_probs: torch.Tensor) -> torch.Tensor:
        """Average the predictions of the first members.

        Args:
            log_probs: Log-probabilities of the first members, float32 (members, N, classes).

        Returns:
            Log-probabilities of the average, float32 (N, classes).
        """
        shares = self.weights[: len(log_probs)].view(-1, 1, 1)
        shares = shares / shares.sum()
        if self.average == "logits":
            return (log_probs * shares).sum(dim=0).log_softmax(dim=1)
        return (log_probs + shares.log()).logsumexp(dim=0)

    def _ready(self) -> Ready:
        return self, self.preprocess, self.classes

    def cascaded(self) -> Cascade:
        """Return a predictor that runs only as many members a photo as the cascade needs.

        Raises:
            ModelError: There is no cascade in this ensemble.
        """
        if self.cascade is None:
            raise ModelError("this ensemble has no cascade; fit one with activitynet.ensemble.fit_cascade.")
        return Cascade(self, self.cascade)

    def card(self) -> EnsembleCard:
        """Return the ensemble's card."""
        width = len(str(len(self.cards)))
        folders = [
            f"{number:0{width}d}-{card.architecture.replace('/', '-')}"
            for number, card in enumerate(self.cards, start=1)
        ]
        return EnsembleCard(
            members=tuple(
                Member(folder=folder, weight=weight, sha256=card.sha256)
                for folder, weight, card in zip(
                    folders, self.weights.double().tolist(), self.cards, strict=True
                )
            ),
            classes=self.classes,
            average=self.average,
            temperature=self.temperature,
            cascade=self.cascade,
            metrics=self.metrics,
            training_data=self.training_data,
            license=self.license,
        )

    def macs(self) -> float:
        """Return the multiply-adds a photo, summed over the members."""
        return sum(self.member_macs())

    def member_macs(self) -> list[int]:
        """Return the multiply-adds of each member."""
        pairs = zip(self.members, self.cards, strict=True)
        return [count_macs(model, (3, *card.preprocess.size)) for model, card in pairs]

    def _export_card(self) -> EnsembleCard:
        return self.card()

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        training_data: str | None = None,
        license: str | None = None,
        scores: Scores | None = None,
        half: bool = False,
    ) -> Path:
        """Write a folder that `Ensemble.load` reads: a card, and one weights folder a member.

        Args:
            folder: Where to write. An existing ensemble folder is replaced.
            training_data: What the members were trained on, for the card. `None` keeps the current text.
            license: License of the weights. `None` keeps the current one.
            scores: Result of `evaluate`, for the card and its page with the confusion matrix. `None` keeps
                the current scores.
            half: Store float16, in half the bytes.

        Returns:
            The folder.

        Raises:
            StorageError: The folder cannot be written.
        """
        card = self.card()
        card = dataclasses.replace(
            card,
            training_data=card.training_data if training_data is None else training_data,
            license=card.license if license is None else license,
            metrics=card.metrics if scores is None else {**card.metrics, **card_scores(scores)},
        )
        members = list(zip(self.members, self.cards, strict=True))
        save_ensemble(folder, members, card, half=half, picture=confusion_picture(scores))
        return user_path(folder)

    @classmethod
    def load(cls, source: str | os.PathLike[str], *, device: str | None = None) -> Ensemble:
        """Load an ensemble from a folder, by a released name, or from the Hub.

        Args:
            source: A folder that `save` wrote; a name of ``list_models(pretrained=True)``; or a repository,
                ``"org/name"`` or ``"org/name@revision"``.
            device: ``"cpu"``, ``"cuda"``, …; `None` takes the machine's accelerator if there is one.

        Raises:
            ModelError: It is an exported file: use `activitynet.Classifier.load`.
            WeightsError: The weights are incomplete, corrupt or do not fit.
            HubError: The Hub cannot be reached, refuses, or has no such repository.
            StorageError: The Hub's cache cannot be written.
        """
        if is_exported(source):
            raise ModelError(f"{str(source)!r} is an exported file: load it with Classifier.load.")
        members, card = load_members(find_weights(source))
        ensemble = cls(
            members,
            classes=card.classes,
            weights=[member.weight for member in card.members],
            average=card.average,
            temperature=card.temperature,
            cascade=card.cascade,
            metrics=dict(card.metrics),
            training_data=card.training_data,
            license=card.license,
        )
        return ensemble.to(resolve_device(device))


def _order(card: Card, classes: Sequence[str], number: int) -> torch.Tensor:
    """Return the index of each class among a member's outputs."""
    for name in (*classes, *card.classes):
        if name not in card.classes or name not in classes:
            raise ModelError(
                f"member {number} has other classes than its ensemble: {name!r} is in one of the "
                f"two lists only. Members need the same classes, in any order."
            )
    return torch.tensor([card.classes.index(name) for name in classes])


def _joined(text: str | None, others: Iterable[str]) -> str:
    return text if text is not None else "; ".join(dict.fromkeys(filter(None, others)))


def _shares(weights: Sequence[float] | None, count: int) -> torch.Tensor:
    if weights is None:
        return torch.full((count,), 1 / count)
    shares = torch.tensor(list(weights), dtype=torch.float64)
    if len(shares) != count or not (shares >= 0).all() or not 0 < shares.sum() < float("inf"):
        raise ModelError(
            f"an ensemble of {count} members needs {count} weights from 0, not all 0; got {list(weights)}."
        )
    return (shares / shares.sum()).float()


def load_ensemble(source: str | os.PathLike[str] = "deep-seers", *, device: str | None = None) -> Ensemble:
    """Load an ensemble; by default the pretrained one of five members.

    Args:
        source: As for `Ensemble.load`. ``"deep-seers"`` comes from the Hub, or from the folder that
            ``ACTIVITYNET_WEIGHTS`` names: ``weights`` in a checkout.
        device: As for `Ensemble.load`.

    Raises:
        ActivityNetError: As for `Ensemble.load`.
    """
    return Ensemble.load(source, device=device)
