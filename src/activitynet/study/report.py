"""A study as one page that loads nothing from elsewhere, as JSON, and as a table of its runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from activitynet.evaluation.report import draw
from activitynet.pages import readable, write_page
from activitynet.serialization import atomic
from activitynet.study.paired import Difference
from activitynet.study.results import Row, StudyResult
from activitynet.study.study_folder import StudyFolder
from activitynet.study.study_plots import plot_costs, plot_importance, plot_ranks, plot_scores


def write_study(folder: StudyFolder, result: StudyResult) -> Path:
    """Write ``study.html``, ``study.json``, ``results.csv`` and, as PNG and SVG, the plots.

    Args:
        folder: Where.
        result: What to write.

    Returns:
        The page.

    Raises:
        StorageError: Something cannot be written.
    """
    write_page(
        folder.page,
        "study.html",
        study=result.study,
        result=result,
        base=result.study.base,
        plots=_plots(folder.plots, result),
        cells=[cells(row) for row in result.rows],
        headings=HEADINGS,
    )
    atomic.write_json(folder.json, readable(result.to_dict()))
    atomic.write_text(folder.table, readable(_table(result)))
    return folder.page


HEADINGS = ("macro-F1 ± 95 %", "from base", "p", "parameters", "MACs", "minutes", "img/s")
"""What `cells` says of a configuration."""


def cells(row: Row) -> list[str]:
    """Return what a table says of a configuration, in the order of `HEADINGS`."""
    interval, difference = row.interval, row.difference
    half = "" if interval is None else f" ± {interval.high - interval.value:.3f}"
    return [
        "–" if row.score is None else f"{row.score:.3f}{half}",
        "base" if row.is_base else "–" if difference is None else _told(difference),
        "–" if difference is None or difference.adjusted is None else f"{difference.adjusted:.2g}",
        "–" if row.parameters is None else f"{row.parameters:,}",
        "–" if row.macs is None else f"{row.macs / 1e6:,.0f} M",
        "–" if row.minutes is None else f"{row.minutes:.{1 if row.minutes >= 10 else 2}f}",
        "–" if row.images_per_second is None else f"{row.images_per_second:.0f}",
    ]


def differing(rows: Sequence[Row], *, but: Collection[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Return the columns of `cells` that tell configurations apart: the score, and what differs.

    Args:
        rows: The configurations.
        but: Headings to leave out.

    Returns:
        The headings, and for each row its cells.
    """
    table = [cells(row) for row in rows]
    shown = [
        at
        for at, heading in enumerate(HEADINGS)
        if heading not in but and (at == 0 or len(rows) == 1 or len({line[at] for line in table}) > 1)
    ]
    return [HEADINGS[at] for at in shown], [[line[at] for at in shown] for line in table]


def _told(difference: Difference) -> str:
    half = "" if difference.high is None else f" ± {difference.high - difference.mean:.3f}"
    return f"{difference.mean:+.3f}{half}".replace("-", "−")


def _plots(folder: Path, result: StudyResult) -> list[dict[str, str]]:
    complete = result.complete
    wanted: list[tuple[str, str, Callable[[Path], None]]] = []
    if complete:
        wanted.append(
            (
                "scores",
                "Macro-F1 of each configuration: every seed, and the mean with its 95 % interval; the "
                "table of configurations has the numbers.",
                lambda path: plot_scores(complete, path),
            )
        )
        wanted.append(
            (
                "costs",
                "Macro-F1 against cost. Configurations on the line are beaten by none that costs as "
                "little; the table of configurations has the numbers.",
                lambda path: plot_costs(complete, path),
            )
        )
    if result.importance:
        wanted.append(
            (
                "importance",
                "Share of the score's variation that each axis explains; the table of importance has the "
                "numbers.",
                lambda path: plot_importance(result.importance, path),
            )
        )
    if result.ranks is not None:
        ranks = result.ranks
        wanted.append(
            (
                "ranks",
                "Mean rank over seeds, 1 being best. A bar joins configurations that are closer than the "
                "critical difference; the table of ranks has the numbers.",
                lambda path: plot_ranks([row.label for row in complete], ranks, path),
            )
        )
    return [
        {"name": name, "text": text, "url": draw(folder / f"{name}.png", draw_one)}
        for name, text, draw_one in wanted
    ]


def _table(result: StudyResult) -> str:
    """Return a row a run: a configuration with a seed."""
    axes = [axis.name for axis in result.study.axes]
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    measured = ["macro_f1", "accuracy", "best_epoch", "epochs", "seconds", "images_per_second"]
    writer.writerow(["configuration", "key", "state", *axes, "parameters", "macs", "seed", *measured])
    for row in result.rows:
        point = [row.point.get(name, "") for name in axes]
        known = [row.label, row.key, row.state, *point, row.parameters, row.macs]
        for seed, run in row.runs.items():
            values = asdict(run)
            writer.writerow([*known, seed, *(values[name] for name in measured)])
        if not row.runs:
            writer.writerow([*known, *[""] * (1 + len(measured))])
    return file.getvalue()
