"""Build an ensemble or a soup from trained models, fitted on validation photos."""

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
from activitynet.ensemble.cascade import exit_stages, fit_cascade, stage_log_probs
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
from activitynet.serialization.paths import user_path
from activitynet.weights import Averaging, Card, find_weights, load_weights, read_card

Method = Literal["uniform", "greedy", "weights"]

Members = list[tuple[nn.Module, Card]]


@dataclasses.dataclass(frozen=True)
class Row:
    """Scores of a candidate or of the whole ensemble, on the photos that the ensemble was fitted on.

    Attributes:
        name: The candidate's folder, or ``"ensemble"`` or ``"cascade"``.
        macro_f1: Mean F1 of the scored classes.
        accuracy: Accuracy, in [0, 1].
        ece: Expected calibration error before a temperature was fitted.
        ece_fitted: The same with the temperature.
        share: Weight in the average; 0 for a candidate that was not chosen.
        adds: Loss of macro-F1 without it.
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
    """How an ensemble was built.

    Attributes:
        photos: Number of photos it was fitted on.
        candidates: One row a candidate, in the given order.
        ensemble: The row of the whole ensemble.
        cascade: The row of the cascade, if one was fitted; its `macs` is the mean over the photos.
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
    """Yield the weights folders of sources.

    Args:
        sources: Weights folders, names that `find_weights` takes, or run folders. A run folder stands for all
            its kept snapshots and its best epoch, each once.

    Raises:
        ActivityNetError: A source is not found or cannot be loaded (see `find_weights`).
    """
    for source in sources:
        folder = user_path(source)
        cards = [*sorted(folder.glob("checkpoints/epoch-*/config.json"))]
        cards += folder.glob("model/config.json")
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
    device: torch.device | None = None,
    seed: int = 0,
) -> tuple[Ensemble, Report]:
    """Choose, weight and calibrate members on validation photos.

    Every photo is decoded once for all candidates. Each member gets its own temperature, then the whole
    ensemble does.

    Args:
        sources: What `find_members` takes.
        photos: Validation photos, which no member was trained on. The report's scores on them are slightly
            optimistic, because the ensemble is fitted on them.
        classes: Class names in the order of the photos' labels.
        method: ``"uniform"`` weights all candidates equally; ``"greedy"`` selects (`greedy_selection`) and
            leaves out those that do not help; ``"weights"`` fits a weight for each (`fit_weights`).
        average: ``"probabilities"`` or ``"logits"``; see `Ensemble`.
        cascade_loss: Also fit a cascade that may lose this much macro-F1.
        batch_size: Photos a forward pass.
        workers: Processes that decode.
        device: Runs the members; `None` takes the machine's accelerator if it has one.
        seed: Seed of the bags of ``"greedy"``.

    Returns:
        The ensemble, with its members in order of cost, and the report.

    Raises:
        ModelError: There are no candidates, or their classes differ.
        DataError: There are no photos.
        ImageError: A photo cannot be read.
        WeightsError: Weights are incomplete or corrupt.
    """
    names, members = [], []
    for folder in find_members(sources):
        model, card = load_weights(folder)
        names.append(str(folder))
        members.append((model, dataclasses.replace(card, temperature=1.0)))
    if not members:
        raise ModelError("an ensemble needs at least one member.")
    candidates = Ensemble(members, classes=classes)
    answers, labels = collect_member_log_probs(
        candidates, photos, batch_size=batch_size, workers=workers, device=device
    )
    temperatures = [fit_temperature(logits, labels) for logits in answers]
    calibrated = log_softmax(answers / np.reshape(temperatures, (-1, 1, 1)))
    probabilities = np.exp(calibrated)

    def macro_f1(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
        return score(truth, predicted, classes).macro_f1

    shares = _shares(method, probabilities, labels, macro_f1, seed)
    adds = leave_one_out_gains(probabilities, shares.tolist(), labels, macro_f1)
    macs = candidates.member_macs()
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
    log_probs = calibrated[order]
    whole = ensemble.combine(torch.from_numpy(log_probs)).double().numpy()
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
        ensemble.cascade = fit_cascade(ensemble, log_probs, labels, macro_f1, loss=cascade_loss)
        stages = stage_log_probs(ensemble, log_probs, ensemble.cascade.temperatures)
        last = exit_stages(stages, ensemble.cascade.threshold)
        decided = stages[last, np.arange(len(labels))]
        spent = np.cumsum([macs[index] for index in order])[last].mean()
        cascade = _row("cascade", classes, labels, decided, decided, share=1.0, adds=0.0, macs=spent)
    return ensemble, Report(len(labels), rows, row, cascade)


def collect_member_log_probs(
    ensemble: Ensemble,
    photos: Sequence[Photo],
    *,
    batch_size: int = 64,
    workers: int = 0,
    device: torch.device | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Run each member on photos, decoding each photo once.

    Returns:
        Log-probabilities, (members, N, classes), and the labels, (N,).
    """
    dataset = PhotoDataset(photos, ensemble.preprocess)
    members = _AllMembers(ensemble).to(device or best_device())
    answers, labels = forward_dataset(members, dataset, batch_size=batch_size, workers=workers)
    return answers.double().numpy().transpose(1, 0, 2), labels.numpy()


class _AllMembers(nn.Module):
    """Returns every member's log-probabilities: (N, members, classes)."""

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
        raise ModelError(f"unknown method {method!r}: choose uniform, greedy or weights.")
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
    device: torch.device | None = None,
) -> tuple[nn.Module, Card, tuple[Path, ...]]:
    """Average the weights of models of one network, and fit the temperature of the result.

    Args:
        sources: What `find_members` takes.
        photos: Validation photos.
        classes: Class names in the order of the photos' labels.
        greedy: Add models, best first, only while macro-F1 does not fall (`greedy_soup`).
        batch_size: Photos a forward pass.
        workers: Processes that decode.
        device: Runs the members; `None` takes the machine's accelerator if it has one.

    Returns:
        The model, its card, and the folders of its members.

    Raises:
        ModelError: There are no models, or they differ in architecture, classes or preprocessing.
        DataError: There are no photos.
        ImageError: A photo cannot be read.
        WeightsError: Weights are incomplete or corrupt.
    """
    folders = list(find_members(sources))
    loaded = [load_weights(folder) for folder in folders]
    if not loaded:
        raise ModelError("a soup needs at least one model.")
    models, card = [model for model, _ in loaded], dataclasses.replace(loaded[0][1], temperature=1.0)
    for folder, (_, other) in zip(folders, loaded, strict=True):
        if (other.classes, other.preprocess) != (card.classes, card.preprocess):
            raise ModelError(
                f"{str(folder)!r} cannot be in a soup with {str(folders[0])!r}: their classes, "
                f"class order or preprocessing differ."
            )
    cached: dict[nn.Module, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}

    def evaluated(model: nn.Module) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        if model not in cached:
            log_probs, labels = collect_member_log_probs(
                Ensemble([(model, card)], classes=classes),
                photos,
                batch_size=batch_size,
                workers=workers,
                device=device,
            )
            cached[model] = log_probs[0], labels
        return cached[model]

    def macro_f1(model: nn.Module) -> float:
        log_probs, labels = evaluated(model)
        return score(labels, log_probs.argmax(axis=1), classes).macro_f1

    chosen = list(range(len(models)))
    if greedy:
        soup, chosen = greedy_soup(models, macro_f1)
    else:
        soup = uniform_soup(models)
    log_probs, labels = evaluated(soup)
    scores = score(labels, log_probs.argmax(axis=1), classes)
    card = dataclasses.replace(
        card,
        temperature=fit_temperature(log_probs, labels),
        metrics={"val": {"photos": len(labels), "macro_f1": scores.macro_f1, "accuracy": scores.accuracy}},
    )
    return soup.eval(), card, tuple(folders[index] for index in chosen)
