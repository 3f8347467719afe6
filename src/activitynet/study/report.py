"""The report of a study: a page that loads nothing from elsewhere, JSON, a table of runs, and plots."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import numpy as np

from activitynet.evaluation.plots import BLUE, GREEN, GREY, ORANGE, new_figure, one_line, save_figure
from activitynet.evaluation.report import draw
from activitynet.pages import readable, write_page
from activitynet.serialization import atomic
from activitynet.serialization.paths import user_path
from activitynet.study.results import Row, Run, StudyResult, pareto_front, signed

HEADINGS = ("macro-F1 ± 95 %", "difference", "p", "parameters", "MACs", "minutes", "img/s")
"""Headings of `cells`."""

_MAX_ROWS = 40  # configurations in a plot, the best ones


def write_study(folder: str | os.PathLike[str], result: StudyResult) -> Path:
    """Write ``study.html``, ``study.json``, ``results.csv`` and, as PNG and SVG, ``plots/``.

    Args:
        folder: The study's folder.
        result: What to write.

    Returns:
        The page.

    Raises:
        StorageError: Something cannot be written.
    """
    folder = user_path(folder)
    page = folder / "study.html"
    write_page(
        page,
        "study.html",
        study=result.study,
        result=result,
        base=result.study.base,
        plots=_plots(folder / "plots", result.complete),
        cells=[cells(row) for row in result.rows],
        headings=HEADINGS,
    )
    atomic.write_json(folder / "study.json", readable(result.to_dict()))
    atomic.write_text(folder / "results.csv", readable(_csv(result)))
    return page


def cells(row: Row) -> list[str]:
    """Return the cells of a configuration in a table with `HEADINGS`."""
    interval, difference = row.interval, row.difference
    seconds, rate = row.mean("seconds"), row.mean("images_per_second")
    half = "" if interval is None else f" ± {interval.high - interval.value:.3f}"
    compared = "base" if row.is_base else "–"
    if difference is not None:
        spread = "" if difference.high is None else f" ± {difference.high - difference.mean:.3f}"
        compared = f"{signed(difference.mean)}{spread}"
    return [
        "–" if row.score is None else f"{row.score:.3f}{half}",
        compared,
        "–" if difference is None or difference.adjusted is None else f"{difference.adjusted:.2g}",
        "–" if row.parameters is None else f"{row.parameters:,}",
        "–" if row.macs is None else f"{row.macs / 1e6:,.0f} M",
        "–" if seconds is None else f"{seconds / 60:.{1 if seconds >= 600 else 2}f}",
        "–" if rate is None else f"{rate:.0f}",
    ]


def differing_cells(
    rows: Sequence[Row], *, exclude: Collection[str] = ()
) -> tuple[list[str], list[list[str]]]:
    """Return the score, and the other columns of `cells` that are not the same in all rows.

    Args:
        rows: The configurations.
        exclude: Headings to leave out.

    Returns:
        The headings, and for each row its cells.
    """
    table = [cells(row) for row in rows]
    columns = [
        column
        for column, heading in enumerate(HEADINGS)
        if heading not in exclude
        and (column == 0 or len(rows) == 1 or len({line[column] for line in table}) > 1)
    ]
    return [HEADINGS[column] for column in columns], [[line[column] for column in columns] for line in table]


def _csv(result: StudyResult) -> str:
    """Return a table with a line per run: a configuration with a seed."""
    axes = (axis.name for axis in result.study.axes)
    names = ["configuration", "key", "state", *axes, "parameters", "macs", "seed"]
    names += [field.name for field in fields(Run)]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    for row in result.rows:
        known = {**row.point, "configuration": row.label, "key": row.key, "state": row.state}
        known |= {"parameters": row.parameters or "", "macs": row.macs or ""}
        runs = [{"seed": seed, **asdict(run)} for seed, run in row.runs.items()]
        writer.writerows({**known, **run} for run in runs or [{}])
    return file.getvalue()


def _plots(folder: Path, complete: Sequence[Row]) -> list[dict[str, str]]:
    plots: dict[str, tuple[Callable[[Sequence[Row], Path], None], str]] = {
        "scores": (
            plot_scores,
            "Macro-F1 of each configuration: every seed, and the mean with its 95 % interval.",
        ),
        "costs": (
            _plot_costs,
            "Macro-F1 against cost. The line joins those that nothing beats at a lower cost.",
        ),
    }
    more = " The table of configurations has the numbers."
    return [
        {"name": name, "text": text + more, "url": draw(folder / f"{name}.png", partial(plot, complete))}
        for name, (plot, text) in plots.items()
        if complete
    ]


def plot_scores(rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Plot each configuration's seeds, and their mean with its interval, the best on top.

    Args:
        rows: Complete configurations, the best first.
        path: The PNG or SVG to write.

    Raises:
        StorageError: The plot cannot be written.
    """
    drawn = list(reversed(rows[:_MAX_ROWS]))
    # Cut off intervals that are much wider than all seeds, so that the seeds stay apart.
    scores = [score for row in drawn for score in row.scores]
    margin = max(0.02, 0.5 * (max(scores) - min(scores)))
    limits = max(0.0, min(scores) - margin), min(1.0, max(scores) + margin)
    with new_figure(7.5, max(2.2, 1.1 + 0.3 * len(drawn))) as figure:
        axes = figure.subplots()
        for base in (row for row in rows if row.is_base):
            axes.axvline(base.score or 0.0, color=ORANGE, linewidth=1, linestyle=":")
        for y, row in enumerate(drawn):
            color = ORANGE if row.is_base else BLUE
            if row.interval is not None:
                axes.plot([row.interval.low, row.interval.high], [y, y], color=GREY)
            axes.plot(row.scores, [y] * len(row.scores), "|", color=color, markersize=9)
            axes.plot(row.score or 0.0, y, "o", color=color)
        names = [one_line(row.label, 40) + (" (base)" if row.is_base and row.point else "") for row in drawn]
        axes.set_yticks(range(len(drawn)), names)
        axes.set(xlabel="macro-F1 (0 to 1)", xlim=limits, ylim=(-0.6, len(drawn) - 0.4))
        axes.set_title("Every seed, and the mean with its 95 % interval")
        save_figure(figure, path)


def _plot_costs(rows: Sequence[Row], path: Path) -> None:
    """Plot the score against training time and, where networks differ, size; join the Pareto front."""
    scores = [row.score or 0.0 for row in rows]
    costs_by_name = {"minutes per run": [(row.mean("seconds") or 0.0) / 60 for row in rows]}
    if len({row.parameters for row in rows}) > 1:
        costs_by_name["parameters (millions)"] = [(row.parameters or 0) / 1e6 for row in rows]
    with new_figure(5.4 * len(costs_by_name), 4.4) as figure:
        panels = np.atleast_1d(figure.subplots(1, len(costs_by_name)))
        for panel, (name, costs) in zip(panels, costs_by_name.items(), strict=True):
            front = pareto_front(costs, scores)
            panel.plot([costs[at] for at in front], [scores[at] for at in front], color=GREEN, linewidth=1)
            colors = [
                ORANGE if row.is_base else GREEN if at in front else BLUE for at, row in enumerate(rows)
            ]
            panel.scatter(costs, scores, c=colors, zorder=3)
            for at in front[:12]:
                panel.annotate(
                    one_line(rows[at].label, 24),
                    (costs[at], scores[at]),
                    textcoords="offset points",
                    xytext=(5, -11),
                    fontsize=8,
                )
            panel.margins(x=0.18, y=0.12)
            panel.set(title=f"Score against {name}", xlabel=name, ylabel="macro-F1 (0 to 1)")
        save_figure(figure, path)
