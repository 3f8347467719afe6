"""Several reports side by side, compared photo by photo where the photos are the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from activitynet import atomic, strict_json
from activitynet.data.fields import is_number
from activitynet.data.photos import Photo
from activitynet.data.splits import group_numbers
from activitynet.errors import DataError, clipped
from activitynet.evaluation.bootstrap import Ints
from activitynet.evaluation.comparison import Comparison, compared
from activitynet.evaluation.report import MEASURES, REPORT_VERSION
from activitynet.pages import readable, write_page


@dataclass(frozen=True, eq=False)
class ReadReport:
    """What a report's JSON says, as far as it is compared.

    Attributes:
        name: What to call it: the folder.
        split: Which photos the model was asked about.
        classes: Class names.
        measures: Value, lower and upper end of each measure, by its name.
        photos: The photos, with label and group.
        guesses: The class that the model names, (N,).
    """

    name: str
    split: str
    classes: tuple[str, ...]
    measures: dict[str, tuple[float, float, float]]
    photos: tuple[Photo, ...]
    guesses: Ints


def read_report(run: str | os.PathLike[str]) -> ReadReport:
    """Read the JSON of a report.

    Args:
        run: A folder that `write_report` wrote, or one that holds such a folder as ``report``.

    Raises:
        DataError: There is none, or it is not valid.
    """
    folder = Path(run)
    for path in (folder / "report.json", folder / "report" / "report.json"):
        if path.is_file():
            break
    else:
        raise DataError(
            f"{str(folder)!r} holds no report.json: write one with activitynet evaluate … --report FOLDER."
        )
    try:
        return _read(strict_json.parse(path.read_text("utf-8")), folder)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"{str(path)!r} is no report of this library: {clipped(error)}.") from error


def _read(value: Any, folder: Path) -> ReadReport:
    if value["report_version"] != REPORT_VERSION:
        raise ValueError(f"report_version must be {REPORT_VERSION}")
    classes = tuple(value["classes"])
    rows = value["photos"]
    numbers = [(row["label"], row["predicted"]) for row in rows]
    texts = [*classes, value["name"], value["split"]]
    texts += [row[key] for row in rows for key in ("path", "group")]
    if not rows or not all(type(at) is int and 0 <= at < len(classes) for pair in numbers for at in pair):
        raise ValueError("photos must have a label and a prediction among the classes")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("names must be texts")
    measures = {}
    for name, estimate in value["measures"].items():
        ends = None if estimate is None else tuple(estimate[end] for end in ("value", "low", "high"))
        if name in MEASURES and ends is not None:
            if not all(map(is_number, ends)):
                raise ValueError(f"measure {name!r} must be numbers")
            measures[name] = ends
    return ReadReport(
        name=str(folder),
        split=value["split"],
        classes=classes,
        measures=measures,
        photos=tuple(Photo(Path(row["path"]), row["label"], row["group"]) for row in rows),
        guesses=np.array([predicted for _, predicted in numbers], dtype=np.int64),
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
        compared(labels, first.guesses, other.guesses, groups, classes=len(first.classes))
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
            f"{other.name} was asked about other photos than {first}: compare their measures with care."
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
    page = Path(folder) / "comparison.html"
    write_page(page, "comparison.html", table=table, meanings=MEASURES)
    atomic.write_json(page.with_suffix(".json"), readable(table))
    return page
