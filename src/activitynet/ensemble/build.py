"""From any number of trained models to an ensemble or a soup, fitted and measured on validation photos."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from activitynet.data.dataset import Photo
from activitynet.data.loader import PhotoDataset
from activitynet.data.preprocess import Images
from activitynet.ensemble.cascade import decided_at, fit_cascade, stage_answers
from activitynet.ensemble.combine import (
    Metric,
    fit_weights,
    greedy_selection,
    greedy_soup,
    leave_one_out_gains,
    uniform_soup,
)
from activitynet.ensemble.ensemble import Ensemble
from activitynet.errors import ModelError
from activitynet.evaluation import score
from activitynet.evaluation.calibration import expected_calibration_error, fit_temperature
from activitynet.evaluation.stats import log_softmax
from activitynet.inference import best_device, forward_dataset
from activitynet.weights import Averaging, Card, find_weights, load_weights, read_card

Method = Literal["uniform", "greedy", "weights"]

Members = list[tuple[nn.Module, Card]]


@dataclasses.dataclass(frozen=True)
class Row:
    """What a candidate, or all that was chosen, scored on the photos that the ensemble was fitted on.

    Attributes:
        name: The candidate's folder, or what stands for the whole.
        macro_f1: Mean F1 of the scored classes.
        accuracy: Share of right answers.
        ece: Expected calibration error before a temperature was fitted.
        ece_fitted: The same after.
        share: In the average; 0 for a candidate that was not chosen.
        adds: By how much macro-F1 falls without it.
        macs: Multiply-adds a photo.
    """

    name: str
    macro_f1: float
    accuracy: float
    ece: float
    ece_fitted: float
    share: float
    adds: float
    macs: float

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain JSON values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Report:
    """How an ensemble came about.

    Attributes:
        photos: How many photos it was fitted on.
        candidates: A row for each candidate, in the order given.
        ensemble: The row of all that was chosen.
        cascade: The row of the cascade, where one was fitted; `macs` is the mean over the photos.
    """

    photos: int
    candidates: tuple[Row, ...]
    ensemble: Row
    cascade: Row | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "photos": self.photos,
            "candidates": [row.to_dict() for row in self.candidates],
            "ensemble": self.ensemble.to_dict(),
            "cascade": None if self.cascade is None else self.cascade.to_dict(),
        }


def find_members(sources: Sequence[str | os.PathLike[str]]) -> Iterator[Path]:
    """Yield the weights folders that sources stand for.

    Args:
        sources: Weights folders, names that `find_weights` takes, or folders of runs: of a run all kept
            snapshots and the best epoch are meant, each once.

    Raises:
        ActivityNetError: As for `find_weights`.
    """
    for source in sources:
        cards = [*sorted(Path(source).glob("checkpoints/epoch-*/config.json"))]
        cards += Path(source).glob("model/config.json")
        if cards:
            kept: dict[str, Path] = {}
            for card in cards:  # the best epoch may be one of the snapshots
                kept.setdefault(read_card(card.parent).sha256, card.parent)
            yield from kept.values()
        else:
            yield find_weights(source)


def build_ensemble(
    sources: Sequence[str | os.PathLike[str]],
    photos: Sequence[Photo],
    classes: Sequence[str],
    *,
    method: Method = "greedy",
    average: Averaging = "probabilities",
    cascade_loss: float | None = None,
    batch_size: int = 64,
    workers: int = 0,
    seed: int = 0,
) -> tuple[Ensemble, Report]:
    """Choose, weigh and calibrate members by what they say of photos that they have not learned from.

    Every photo is decoded once, for all candidates. Each member gets a temperature of its own, then the
    whole does.

    Args:
        sources: What `find_members` takes.
        photos: Validation photos. What the report says of them is fitted on them: a little too good.
        classes: Class names in the order of the photos' labels.
        method: ``"uniform"`` takes all candidates alike; ``"greedy"`` picks (`greedy_selection`), and leaves
            out what does not help; ``"weights"`` fits shares of all (`fit_weights`).
        average: As for `Ensemble`.
        cascade_loss: Fit a cascade as well, that may score so much below the whole ensemble in macro-F1.
        batch_size: Photos a forward pass.
        workers: Processes that decode.
        seed: Fixes the bags of ``"greedy"``.

    Returns:
        The ensemble, its members in order of cost, and the report.

    Raises:
        ModelError: There are no candidates, or their classes differ.
        DataError: There are no photos.
        ImageError: A photo cannot be read.
        WeightsError: Weights cannot be trusted.
    """
    names, members = [], []
    for folder in find_members(sources):
        model, card = load_weights(folder)
        names.append(str(folder))
        members.append((model, dataclasses.replace(card, temperature=1.0)))
    if not members:
        raise ModelError("an ensemble needs members; name one or more.")
    everyone = Ensemble(members, classes=classes)
    answers, labels = member_answers(everyone, photos, batch_size=batch_size, workers=workers)
    temperatures = [fit_temperature(logits, labels) for logits in answers]
    calibrated = log_softmax(answers / np.reshape(temperatures, (-1, 1, 1)))
    probabilities = np.exp(calibrated)

    def macro_f1(truth: NDArray[np.int64], guesses: NDArray[np.int64]) -> float:
        return score(truth, guesses, classes).macro_f1

    shares = _shares(method, probabilities, labels, macro_f1, seed)
    adds = leave_one_out_gains(probabilities, shares.tolist(), labels, macro_f1)
    macs = everyone.member_macs()
    rows = tuple(
        _row(name, classes, labels, raw, fitted, share=share, adds=added, macs=cost)
        for name, raw, fitted, share, added, cost in zip(
            names, answers, calibrated, shares, adds, macs, strict=True
        )
    )
    order = sorted((index for index, share in enumerate(shares) if share > 0), key=lambda index: macs[index])
    chosen = [
        (members[index][0], dataclasses.replace(members[index][1], temperature=temperatures[index]))
        for index in order
    ]
    ensemble = Ensemble(chosen, classes=classes, weights=[shares[index] for index in order], average=average)
    ensemble = ensemble.cpu()
    said = calibrated[order]
    whole = ensemble.combine(torch.from_numpy(said)).double().numpy()
    ensemble.temperature = fit_temperature(whole, labels)
    row = _row(
        "ensemble",
        classes,
        labels,
        whole,
        log_softmax(whole / ensemble.temperature),
        share=1.0,
        adds=0.0,
        macs=sum(macs[index] for index in order),
    )
    ensemble.metrics = {"fitted_on": len(labels), "macro_f1": row.macro_f1, "ece": row.ece_fitted}
    cascade = None
    if cascade_loss is not None:
        ensemble.cascade = fit_cascade(ensemble, said, labels, macro_f1, loss=cascade_loss)
        stages = stage_answers(ensemble, said, ensemble.cascade.temperatures)
        last = decided_at(stages, ensemble.cascade.threshold)
        decided = stages[last, np.arange(len(labels))]
        spent = np.cumsum([macs[index] for index in order])[last].mean()
        cascade = _row("cascade", classes, labels, decided, decided, share=1.0, adds=0.0, macs=spent)
    return ensemble, Report(len(labels), rows, row, cascade)


def member_answers(
    ensemble: Ensemble, photos: Sequence[Photo], *, batch_size: int = 64, workers: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Ask each member about photos, each photo decoded once.

    Returns:
        Logarithms of probabilities, (members, N, classes), and the labels, (N,).
    """
    dataset = PhotoDataset(photos, ensemble.preprocess)
    each = _Each(ensemble).to(best_device())
    answers, labels = forward_dataset(each, dataset, batch_size=batch_size, workers=workers)
    return answers.double().numpy().transpose(1, 0, 2), labels.numpy()


class _Each(nn.Module):
    """Says what each member of an ensemble says: (N, members, classes)."""

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        self.ensemble = ensemble

    def forward(self, images: Images) -> torch.Tensor:
        count = len(self.ensemble.members)
        return torch.stack([self.ensemble.member_log_probs(index, images) for index in range(count)], dim=1)


def _shares(
    method: Method,
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    metric: Metric,
    seed: int,
) -> NDArray[np.float64]:
    if method == "greedy":
        return greedy_selection(probabilities, labels, metric, seed=seed)
    if method == "weights":
        return fit_weights(probabilities, labels)
    if method != "uniform":
        raise ModelError(f"an ensemble is built by uniform, greedy or weights, not by {method!r}.")
    return np.full(len(probabilities), 1 / len(probabilities))


def _row(
    name: str,
    classes: Sequence[str],
    labels: NDArray[np.int64],
    raw: NDArray[np.float64],
    fitted: NDArray[np.float64],
    *,
    share: float,
    adds: float,
    macs: float,
) -> Row:
    scores = score(labels, fitted.argmax(axis=1), classes)
    return Row(
        name=name,
        macro_f1=scores.macro_f1,
        accuracy=scores.accuracy,
        ece=expected_calibration_error(np.exp(raw), labels),
        ece_fitted=expected_calibration_error(np.exp(fitted), labels),
        share=float(share),
        adds=float(adds),
        macs=float(macs),
    )


def build_soup(
    sources: Sequence[str | os.PathLike[str]],
    photos: Sequence[Photo],
    classes: Sequence[str],
    *,
    greedy: bool = False,
    batch_size: int = 64,
    workers: int = 0,
) -> tuple[nn.Module, Card, tuple[Path, ...]]:
    """Average the weights of models of one network, and fit the temperature of the result.

    Args:
        sources: What `find_members` takes.
        photos: Validation photos.
        classes: Class names in the order of the photos' labels.
        greedy: Add models only as long as macro-F1 does not fall, best first (`greedy_soup`).
        batch_size: Photos a forward pass.
        workers: Processes that decode.

    Returns:
        The model, its card, and the folders that went into it.

    Raises:
        ModelError: There are no models, or they are not of one kind.
        DataError: There are no photos.
        ImageError: A photo cannot be read.
        WeightsError: Weights cannot be trusted.
    """
    folders = list(find_members(sources))
    loaded = [load_weights(folder) for folder in folders]
    if not loaded:
        raise ModelError("a soup needs models; name one or more.")
    models, card = [model for model, _ in loaded], dataclasses.replace(loaded[0][1], temperature=1.0)
    for folder, (_, other) in zip(folders, loaded, strict=True):
        if (other.classes, other.preprocess) != (card.classes, card.preprocess):
            raise ModelError(
                f"{str(folder)!r} cannot be in a soup with {str(folders[0])!r}: it has other classes, in "
                f"another order, or another preprocessing."
            )
    measured: dict[nn.Module, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}

    def answers(model: nn.Module) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        if model not in measured:
            said, labels = member_answers(
                Ensemble([(model, card)], classes=classes), photos, batch_size=batch_size, workers=workers
            )
            measured[model] = said[0], labels
        return measured[model]

    def macro_f1(model: nn.Module) -> float:
        said, labels = answers(model)
        return score(labels, said.argmax(axis=1), classes).macro_f1

    chosen = list(range(len(models)))
    if greedy:
        soup, chosen = greedy_soup(models, macro_f1)
    else:
        soup = uniform_soup(models)
    said, labels = answers(soup)
    scores = score(labels, said.argmax(axis=1), classes)
    card = dataclasses.replace(
        card,
        temperature=fit_temperature(said, labels),
        metrics={"val": {"photos": len(labels), "macro_f1": scores.macro_f1, "accuracy": scores.accuracy}},
    )
    return soup.eval(), card, tuple(folders[index] for index in chosen)
