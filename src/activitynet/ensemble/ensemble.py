"""A cascade: further members are asked only about what the first ones are not sure of."""

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
    """Asks an ensemble's members in their order, each only about photos that are not decided yet.

    After Wang et al. 2022, "Wisdom of Committees", https://arxiv.org/abs/2012.01988.

    Args:
        ensemble: Its members, cheapest first.
        stages: When a photo is decided.

    Attributes:
        asked: How many photos each member was asked about so far.
    """

    def __init__(self, ensemble: Ensemble, stages: Stages) -> None:
        super().__init__()
        self.ensemble, self.stages = ensemble, stages
        self.classes, self.temperature = ensemble.classes, 1.0  # each stage has its own
        self.asked = [0] * len(ensemble.members)

    def _ready(self) -> Ready:
        return self, self.ensemble.preprocess, self.ensemble.classes

    def macs(self) -> float:
        """Return the multiply-adds that a photo has cost on average; before the first, of all members."""
        each = self.ensemble.member_macs()
        if not self.asked[0]:
            return sum(each)
        return sum(count * macs for count, macs in zip(self.asked, each, strict=True)) / self.asked[0]

    def forward(self, images: Images) -> torch.Tensor:
        """Return calibrated logarithms of probabilities, float32 (N, classes), as `Ensemble.forward` does."""
        views = views_for(images)
        count, device = len(views[0]), views[0].device
        result = torch.empty(count, len(self.ensemble.classes), device=device)
        answers = torch.empty(0, count, result.shape[1], device=device)
        left = torch.arange(count, device=device)
        for index, temperature in enumerate(self.stages.temperatures):
            now = self.ensemble.member_log_probs(index, as_images([view[left] for view in views]))
            self.asked[index] += len(left)
            answers = torch.cat([answers, now[None]])
            sure = (self.ensemble.combine(answers) / temperature).log_softmax(dim=1)
            result[left] = sure
            undecided = sure.max(dim=1).values.exp() <= self.stages.threshold
            left, answers = left[undecided], answers[:, undecided]
            if not len(left):
                break
        return result


class Ensemble(nn.Module, Predictor):
    """Several models whose answers are averaged.

    It predicts, evaluates, saves and loads as a `Classifier` does. It also is a plain module: `forward` takes
    a batch of images and returns logarithms of the average's probabilities. Members may be of different
    architectures, look at images of different sizes, and have their classes in different orders.

    Args:
        members: Models with their cards, in the order in which a cascade asks them: cheap ones first.
        classes: Class names in the order of the outputs; `None` takes the first member's order.
        weights: Share of each member in the average; they are made to add up to 1. `None` weighs all alike.
        average: ``"probabilities"`` is the mean of the members' probabilities, ``"logits"`` the softmax of
            the mean of their logits. Either way a member's logits are first divided by its own card's
            temperature.
        temperature: The logarithm of the average is divided by it before the last softmax.
        cascade: When a cascade need not ask its next member (see `fit_cascade`).
        metrics: Scores, with the split they were measured on, for the card.
        training_data: What the members were trained on, for the card; `None` takes it from theirs.
        license: Under which license the weights may be used; `None` takes it from theirs.

    Attributes:
        classes: Class names in the order of the outputs.
        preprocess: Turns a photo into what `forward` takes.

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
            raise ModelError("an ensemble needs members; give it one or more.")
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
        """Ask all members.

        Args:
            images: A float tensor (N, 3, H, W), or one for each view of `preprocess` where it makes several.

        Returns:
            Logarithms of probabilities, float32 (N, classes), not yet divided by the temperature.
        """
        answers = [self.member_log_probs(index, images) for index in range(len(self.members))]
        return self.combine(torch.stack(answers))

    def member_log_probs(self, index: int, images: Images) -> torch.Tensor:
        """Return what one member says: logarithms of probabilities, float32 (N, classes)."""
        view = images if isinstance(images, torch.Tensor) else images[self._view[index]]
        logits: torch.Tensor = self.members[index](view).float()
        calibrated = (logits / self.cards[index].temperature).log_softmax(dim=1)
        return calibrated.index_select(1, getattr(self, f"_order_{index}"))

    def combine(self, answers: torch.Tensor) -> torch.Tensor:
        """Average what the first members say.

        Args:
            answers: Logarithms of probabilities, float32 (members, N, classes): of the first so many members.

        Returns:
            Logarithms of the average's probabilities, float32 (N, classes).
        """
        shares = self.weights[: len(answers)].view(-1, 1, 1)
        shares = shares / shares.sum()
        if self.average == "logits":
            return (answers * shares).sum(dim=0).log_softmax(dim=1)
        return (answers + shares.log()).logsumexp(dim=0)

    def _ready(self) -> Ready:
        return self, self.preprocess, self.classes

    def cascaded(self) -> Cascade:
        """Return what predicts as this does, and asks only as many members as the cascade needs.

        Raises:
            ModelError: There is no cascade in this ensemble.
        """
        if self.cascade is None:
            raise ModelError("this ensemble has no cascade; fit one with activitynet.ensemble.fit_cascade.")
        return Cascade(self, self.cascade)

    def card(self) -> EnsembleCard:
        """Return what is to be known of the ensemble besides its members' tensors."""
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
        """Return the multiply-adds that a photo costs: those of all members."""
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
            folder: Where. An ensemble's folder that is there already is replaced.
            training_data: What the members were trained on, for the card. `None` keeps what is known.
            license: Under which license the weights may be used. `None` keeps what is known.
            scores: What `evaluate` measured, for the card and its page, with the confusion matrix as a
                picture. `None` keeps what is known.
            half: Keep float16: half the bytes, rounded.

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
        return Path(folder)

    @classmethod
    def load(cls, source: str | os.PathLike[str], *, device: str | None = None) -> Ensemble:
        """Read an ensemble: a folder's, a released one, or that of a repository on the Hub.

        Args:
            source: A folder that `save` wrote; a name of ``list_models(pretrained=True)``; or a repository,
                ``"org/name"`` or ``"org/name@revision"``.
            device: ``"cpu"``, ``"cuda"``, …; `None` takes the machine's accelerator when it has one.

        Raises:
            ModelError: It is an exported file, which `activitynet.Classifier.load` takes.
            WeightsError: The weights cannot be trusted: something is missing, corrupt or does not fit.
            HubError: The Hub cannot be reached, refuses, or has no such repository.
            StorageError: The Hub's cache cannot be written.
        """
        if is_exported(source):
            raise ModelError(f"{str(source)!r} is one network now: load it with Classifier.load.")
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
    """Return which output of a member is each class."""
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
    """Load an ensemble; without a name, that of five members in the published form.

    Args:
        source: As for `Ensemble.load`. ``"deep-seers"`` comes from the Hub, or from the folder that
            ``ACTIVITYNET_WEIGHTS`` names: ``weights`` in a checkout.
        device: As for `Ensemble.load`.

    Raises:
        ActivityNetError: As for `Ensemble.load`.
    """
    return Ensemble.load(source, device=device)
