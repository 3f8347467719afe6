"""An evaluation as one page that loads nothing from elsewhere, and the same as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from msgspec import Meta

from activitynet.data.dataset import Photo, group_numbers
from activitynet.data.decode import decode_image
from activitynet.errors import DataError, ImageError
from activitynet.evaluation.diagnosis import (
    Comparison,
    Confusion,
    Slice,
    compare,
    confusions,
    slices,
    top_losses,
)
from activitynet.evaluation.metrics import MIN_SUPPORT, PER_CLASS, measure
from activitynet.evaluation.outputs import Outputs
from activitynet.evaluation.plots import (
    plot_class_scores,
    plot_confusion,
    plot_reliability,
    plot_risk_coverage,
    reliability,
)
from activitynet.evaluation.stats import RESAMPLES, Estimate, Ints
from activitynet.pages import picture, readable, thumbnail, write_page
from activitynet.serialization import atomic
from activitynet.serialization.paths import user_path
from activitynet.serialization.records import read_bounded, read_record

REPORT_VERSION: Final = 1
"""Version of the JSON that this library writes and compares."""

MAX_REPORT_BYTES = 2**28
"""Most bytes of a report's JSON."""

MEASURES = {
    "accuracy": "share of photos whose most probable class is right",
    "top_2": "right class among the two most probable",
    "top_3": "right class among the three most probable",
    "top_5": "right class among the five most probable",
    "balanced_accuracy": "mean recall of the classes with photos",
    "macro_f1": f"mean F1 of the classes with at least {MIN_SUPPORT} photos, or of all with photos if fewer "
    "than two have so many",
    "macro_f1_present": "mean F1 of all classes with photos",
    "macro_precision": "mean precision of all classes with photos",
    "macro_recall": "the same as balanced accuracy",
    "weighted_precision": "mean precision, weighted by photos",
    "weighted_recall": "the same as accuracy",
    "weighted_f1": "mean F1, weighted by photos",
    "mean_average_precision": "mean area under the precision-recall curves",
    "log_loss": "0 is best",
    "brier": "0 is best, 2 is worst",
    "ece": "calibration error over bins of equal width; 0 is best",
    "adaptive_ece": "calibration error over bins of equally many photos; 0 is best",
}
"""What each measure is, in a few words."""

_SLICES, _PAIRS, _LOSSES = 10, 10, 24


@dataclass(frozen=True, eq=False)
class Report:
    """An evaluation: metrics with intervals, and where the model fails.

    Attributes:
        name: Name of the model.
        split: The split it was evaluated on.
        outputs: Its outputs on those photos.
        measures: Metrics by name (see `measure`).
        slices: Slices that are worse than the rest, the worst first.
        confusions: The most damaging confusions first.
        top_losses: Indices of the photos with the highest loss.
        unknown_below: The model's threshold; 0 for none.
    """

    name: str
    split: str
    outputs: Outputs
    measures: dict[str, list[Estimate | None]]
    slices: tuple[Slice, ...]
    confusions: tuple[Confusion, ...]
    top_losses: tuple[int, ...]
    unknown_below: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        outputs = self.outputs
        probabilities = np.exp(outputs.log_probabilities)
        confidence, right = probabilities.max(axis=1), outputs.predicted == outputs.labels
        return {
            "report_version": REPORT_VERSION,
            "name": self.name,
            "split": self.split,
            "classes": list(outputs.classes),
            "temperature": outputs.temperature,
            "unknown_below": self.unknown_below,
            "scores": outputs.scores().to_dict(),
            "measures": {
                name: _plain(estimates[0])
                for name, estimates in self.measures.items()
                if name not in PER_CLASS
            },
            "per_class": {
                label: {name: _plain(self.measures[name][at]) for name in PER_CLASS}
                for at, label in enumerate(outputs.classes)
            },
            "reliability": [
                {"photos": photos, "confidence": confidence, "accuracy": accuracy}
                for photos, confidence, accuracy in reliability(confidence, right)
            ],
            "slices": [part.to_dict() for part in self.slices],
            "confusions": [
                pair.to_dict() | {"photos": [str(outputs.photos[at].path) for at in pair.photos]}
                for pair in self.confusions
            ],
            "top_losses": [str(outputs.photos[at].path) for at in self.top_losses],
            "photos": [
                {
                    "path": str(photo.path),
                    "group": photo.group,
                    "label": photo.label,
                    "predicted": guess,
                    "probability": sure,
                    "label_probability": own,
                }
                for photo, guess, sure, own in zip(
                    outputs.photos,
                    outputs.predicted.tolist(),
                    confidence.tolist(),
                    probabilities[np.arange(len(probabilities)), outputs.labels].tolist(),
                    strict=True,
                )
            ],
        }


def make_report(
    outputs: Outputs,
    *,
    name: str,
    split: str = "val",
    unknown_below: float = 0.0,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Report:
    """Compute a model's metrics, and find where it fails.

    Args:
        outputs: The model's outputs.
        name: Name of the model.
        split: The split it was evaluated on.
        unknown_below: The model's threshold for *unknown*.
        resamples: Number of bootstrap resamples for the intervals.
        seed: Seed of the resampling.
    """
    return Report(
        name=name,
        split=split,
        outputs=outputs,
        measures=measure(
            outputs.log_probabilities, outputs.labels, outputs.groups, resamples=resamples, seed=seed
        ),
        slices=tuple([part for part in slices(outputs) if part.accuracy < part.rest][:_SLICES]),
        confusions=tuple(confusions(outputs, count=_PAIRS)),
        top_losses=tuple(top_losses(outputs, count=_LOSSES)),
        unknown_below=unknown_below,
    )


def write_report(folder: str | os.PathLike[str], report: Report) -> Path:
    """Write ``report.html``, ``report.json`` and, as PNG and SVG, the plots.

    Args:
        folder: Where; made if it is missing.
        report: What to write.

    Returns:
        The page.

    Raises:
        StorageError: Something cannot be written.
    """
    folder = user_path(folder)
    content = report.to_dict()
    page = folder / "report.html"
    write_page(page, "report.html", report=content, plots=_plots(folder / "plots", report), **_shown(report))
    atomic.write_json(folder / "report.json", readable(content))
    return page


def draw(path: Path, draw_one: Callable[[Path], None]) -> str:
    """Draw a plot as ``path`` (a PNG) and as SVG beside it, and return the latter as a data URL."""
    draw_one(path)
    draw_one(vector := path.with_suffix(".svg"))
    return picture("image/svg+xml", vector.read_bytes())


def _plots(folder: Path, report: Report) -> list[dict[str, str]]:
    outputs, scores = report.outputs, report.outputs.scores()
    confidence = np.exp(outputs.log_probabilities.max(axis=1))
    right = outputs.predicted == outputs.labels
    supports = [entry.support for entry in scores.classes]
    plots: list[tuple[str, str, Callable[[Path], None]]] = [
        (
            "confusion",
            "Confusion matrix: rows are true classes, columns are predicted ones. The table of the most "
            "damaging confusions lists the largest errors.",
            lambda path: plot_confusion(scores, path),
        ),
        (
            "classes",
            "F1 of each class with its interval. The table of classes has the numbers.",
            lambda path: plot_class_scores(outputs.classes, report.measures["f1"], supports, path),
        ),
        (
            "reliability",
            "Accuracy against confidence. The reliability table has the numbers.",
            lambda path: plot_reliability(confidence, right, path),
        ),
        (
            "risk_coverage",
            "Risk–coverage curve: share of wrong predictions among the most confident photos: "
            f"{_at_half(confidence, right)}.",
            lambda path: plot_risk_coverage(confidence, right, path, unknown_below=report.unknown_below),
        ),
    ]
    return [
        {"name": name, "text": text, "url": draw(folder / f"{name}.png", draw_one)}
        for name, text, draw_one in plots
    ]


def _at_half(confidence: Any, right: Any) -> str:
    half = np.argsort(-confidence, kind="stable")[: max(1, len(right) // 2)]
    return f"{1 - right[half].mean():.1%} of the more confident half, {1 - right.mean():.1%} of all"


def _shown(report: Report) -> dict[str, Any]:
    outputs = report.outputs
    probabilities = np.exp(outputs.log_probabilities)

    def photo(at: int) -> dict[str, str]:
        path, label, guess = outputs.photos[at].path, outputs.labels[at], outputs.predicted[at]
        try:
            small = thumbnail(decode_image(path), 180)
        except ImageError:
            small = ""  # it has been removed since
        return {
            "thumbnail": small,
            "path": str(path),
            "label": outputs.classes[label],
            "predicted": outputs.classes[guess],
            "sure": f"{probabilities[at, guess]:.0%} against {probabilities[at, label]:.1%}",
        }

    return {
        "summary": outputs.scores().summary(),
        "meanings": MEASURES | {"macro_f1": outputs.scores().averaged_over()},
        "losses": [photo(at) for at in report.top_losses if outputs.predicted[at] != outputs.labels[at]],
        "pairs": [[photo(at) for at in pair.photos] for pair in report.confusions],
        "supports": [entry.support for entry in outputs.scores().classes],
    }


def _plain(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate.to_dict()


@dataclass(frozen=True, eq=False)
class ReadReport:
    """The part of a report's JSON that is compared.

    Attributes:
        name: The folder.
        split: The split the model was evaluated on.
        classes: Class names.
        measures: Value, lower and upper end of each measure, by its name.
        photos: The photos, with label and group.
        predicted: Predicted class indices, (N,).
    """

    name: str
    split: str
    classes: tuple[str, ...]
    measures: dict[str, tuple[float, float, float]]
    photos: tuple[Photo, ...]
    predicted: Ints


def read_report(run: str | os.PathLike[str]) -> ReadReport:
    """Read the JSON of a report.

    Args:
        run: A folder that `write_report` wrote, or one that holds such a folder as ``report``.

    Raises:
        DataError: There is none, or it is not valid.
    """
    folder = user_path(run)
    for path in (folder / "report.json", folder / "report" / "report.json"):
        if path.is_file():
            break
    else:
        raise DataError(
            f"{str(folder)!r} holds no report.json: write one with activitynet evaluate … --report FOLDER."
        )
    try:
        text = read_bounded(path, MAX_REPORT_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}.") from error
    read = read_record(
        text,
        _ReportFile,
        what=f"report {str(path)!r}",
        error=DataError,
        version="report_version",
        complete=True,
    )
    return ReadReport(
        name=str(folder),
        split=read.split,
        classes=read.classes,
        measures={
            name: (found.value, found.low, found.high)
            for name, found in read.measures.items()
            if name in MEASURES and found is not None
        },
        photos=tuple(Photo(Path(photo.path), photo.label, photo.group) for photo in read.photos),
        predicted=np.array([photo.predicted for photo in read.photos], dtype=np.int64),
    )


@dataclass(frozen=True)
class _ReportPhoto:
    path: str
    group: str
    label: Annotated[int, Meta(ge=0)]
    predicted: Annotated[int, Meta(ge=0)]
    probability: float
    label_probability: float


@dataclass(frozen=True)
class _ReportFile:
    """What `Report.to_dict` returns. Only what is compared has a type."""

    name: str
    split: str
    classes: tuple[str, ...]
    measures: Mapping[str, Estimate | None]
    photos: Annotated[tuple[_ReportPhoto, ...], Meta(min_length=1)]
    temperature: Any
    unknown_below: Any
    scores: Any
    per_class: Any
    reliability: Any
    slices: Any
    confusions: Any
    top_losses: Any
    report_version: Literal[1] = REPORT_VERSION

    def __post_init__(self) -> None:
        for at, photo in enumerate(self.photos):
            if max(photo.label, photo.predicted) >= len(self.classes):
                raise DataError(
                    f"photos[{at}] must have a label and a prediction below {len(self.classes)}, the number "
                    "of classes."
                )


def compare_reports(reports: Sequence[ReadReport]) -> list[Comparison | None]:
    """Compare each report after the first with the first.

    Args:
        reports: Two or more.

    Returns:
        A comparison for each but the first; `None` where the photos, or the classes, are not the same.

    Raises:
        DataError: There are fewer than two.
    """
    if len(reports) < 2:
        raise DataError("comparing takes two runs or more; name another.")
    first, *others = reports
    labels = np.array([photo.label for photo in first.photos], dtype=np.int64)
    groups = group_numbers(first.photos)
    return [
        compare(labels, first.predicted, other.predicted, groups, classes=len(first.classes))
        if (other.photos, other.classes) == (first.photos, first.classes)
        else None
        for other in others
    ]


def comparison_table(reports: Sequence[ReadReport]) -> dict[str, Any]:
    """Return reports side by side as plain JSON values: names, measures, and what the comparisons say."""
    first = reports[0].name
    found = compare_reports(reports)
    return {
        "names": [report.name for report in reports],
        "measures": {
            name: [
                dict(zip(("value", "low", "high"), ends, strict=True)) if ends is not None else None
                for ends in (report.measures.get(name) for report in reports)
            ]
            for name in MEASURES
            if any(name in report.measures for report in reports)
        },
        "sentences": [
            f"{other.name} was evaluated on other photos than {first}: compare their metrics with care."
            if comparison is None
            else comparison.sentence(first, other.name)
            for other, comparison in zip(reports[1:], found, strict=True)
        ],
        "comparisons": [None if comparison is None else comparison.to_dict() for comparison in found],
    }


def write_comparison(folder: str | os.PathLike[str], table: dict[str, Any]) -> Path:
    """Write ``comparison.html`` and ``comparison.json``.

    Args:
        folder: Where; made if it is missing.
        table: What `comparison_table` returned.

    Returns:
        The page.

    Raises:
        StorageError: Something cannot be written.
    """
    page = user_path(folder) / "comparison.html"
    write_page(page, "comparison.html", table=table, meanings=MEASURES)
    atomic.write_json(page.with_suffix(".json"), readable(table))
    return page
