"""Pictures of a study: how well each configuration does, at which cost, and what that depends on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from activitynet.evaluation.plots import BLUE, GREEN, GREY, ORANGE, new_figure, one_line, save_figure
from activitynet.study.paired import Ranks, pareto
from activitynet.study.results import Row

_SHOWN = 40  # configurations that a picture names, the best ones


def plot_scores(rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Draw each configuration's seeds, and their mean with its interval, the best on top.

    Args:
        rows: Complete configurations, the best first.
        path: The PNG or SVG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    shown = list(rows[:_SHOWN])
    # An interval that is wider than all seeds is cut off: the seeds stay apart.
    every = [score for row in shown for score in row.scores]
    room = max(0.02, 0.5 * (max(every) - min(every)))
    low, high = max(0.0, min(every) - room), min(1.0, max(every) + room)
    with new_figure(7.5, max(2.2, 1.1 + 0.3 * len(shown))) as figure:
        axes = figure.subplots()
        for base in (row for row in rows if row.is_base):
            axes.axvline(base.score or 0.0, color=ORANGE, linewidth=1, linestyle=":")
        for at, row in enumerate(reversed(shown)):
            colour = ORANGE if row.is_base else BLUE
            if (interval := row.interval) is not None:
                axes.plot([interval.low, interval.high], [at, at], color=GREY)
            axes.plot(row.scores, [at] * len(row.scores), "|", color=colour, markersize=9)
            axes.plot(row.score or 0.0, at, "o", color=colour)
        names = [
            one_line(row.label, 40) + (" (base)" if row.is_base and row.point else "")
            for row in reversed(shown)
        ]
        axes.set_yticks(range(len(shown)), names)
        axes.set(xlabel="macro-F1 (0 to 1)", xlim=(low, high), ylim=(-0.6, len(shown) - 0.4))
        axes.set_title("Every seed, and the mean with its 95 % interval")
        save_figure(figure, path)


def plot_costs(rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Draw score against training time and, where networks differ, against their size; fronts are joined.

    Args:
        rows: Complete configurations.
        path: The PNG or SVG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    kinds: list[tuple[str, Callable[[Row], float | None]]] = [("minutes a run", lambda row: row.minutes)]
    if len({row.parameters for row in rows}) > 1:
        kinds.append(("parameters (millions)", lambda row: (row.parameters or 0) / 1e6))
    with new_figure(5.4 * len(kinds), 4.4) as figure:
        for panel, (what, cost_of) in zip(np.atleast_1d(figure.subplots(1, len(kinds))), kinds, strict=True):
            costs, scores = [cost_of(row) or 0.0 for row in rows], [row.score or 0.0 for row in rows]
            front = pareto(costs, scores)
            panel.plot([costs[at] for at in front], [scores[at] for at in front], color=GREEN, linewidth=1)
            colours = [
                ORANGE if row.is_base else GREEN if at in front else BLUE for at, row in enumerate(rows)
            ]
            panel.scatter(costs, scores, c=colours, zorder=3)
            for at in front[:12]:
                panel.annotate(
                    one_line(rows[at].label, 24),
                    (costs[at], scores[at]),
                    textcoords="offset points",
                    xytext=(5, -11),
                    fontsize=8,
                )
            panel.margins(x=0.18, y=0.12)
            panel.set(title=f"Score against {what}", xlabel=what, ylabel="macro-F1 (0 to 1)")
        save_figure(figure, path)


def plot_importance(importance: Mapping[str, float], path: str | os.PathLike[str]) -> None:
    """Draw which share of the score's variation each axis explains.

    Args:
        importance: Shares by the names of the axes.
        path: The PNG or SVG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    names = sorted(importance, key=lambda name: importance[name])
    with new_figure(7, max(1.8, 1.1 + 0.35 * len(names))) as figure:
        axes = figure.subplots()
        axes.barh(range(len(names)), [100 * importance[name] for name in names], color=BLUE)
        axes.set_yticks(range(len(names)), [one_line(name, 40) for name in names])
        axes.set(title="What the score depends on", xlabel="share of its variation (%)", xlim=(0, 100))
        save_figure(figure, path)


def plot_ranks(labels: Sequence[str], ranks: Ranks, path: str | os.PathLike[str]) -> None:
    """Draw mean ranks, with bars over what is closer than the critical difference (Demšar 2006).

    Args:
        labels: Of the configurations.
        ranks: Their ranks.
        path: The PNG or SVG to write.

    Raises:
        StorageError: The picture cannot be written.
    """
    order = sorted(range(len(labels)), key=lambda at: ranks.means[at])[:_SHOWN]
    means = [ranks.means[at] for at in order]
    with new_figure(7, max(2.2, 1.3 + 0.3 * len(order))) as figure:
        axes = figure.subplots()
        axes.plot(means, range(len(order)), "o", color=BLUE)
        end = -1
        for first, mean in enumerate(means):
            last = max(at for at in range(len(means)) if means[at] - mean < ranks.critical)
            if last > max(first, end):  # within a longer bar, one says nothing new
                place = means[last] + 0.15 + 0.1 * (first % 3)
                axes.plot([place, place], [first - 0.2, last + 0.2], color=GREY, linewidth=4)
            end = max(end, last)
        axes.set_yticks(range(len(order)), [one_line(labels[at], 40) for at in order])
        axes.invert_yaxis()
        title = f"Mean rank over seeds; critical difference {ranks.critical:.2f}"
        axes.set(title=title, xlabel="mean rank (1 is best)")
        save_figure(figure, path)
