"""One table of what members, their ensembles, a soup, a cascade and a student score, and what each costs.

    python benchmarks/ensemble.py runs/a runs/b --data photos/ [--student runs/c/model] [--json results.json]

The validation photos are split in two, groups whole, and whatever is fitted (temperatures, the greedy choice,
the cascade's threshold) is fitted on one half and scored on the other, both ways. Each member looks at every
photo once; all else is arithmetic on what it said. "cost" is measured: all ways take turns on the same photos
within one run, and a cost is the median of the turns' ratios to the cheapest member. "macs" is the
multiply-adds beside those of the cheapest member, a cascade's on average over all photos.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax, softmax
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from activitynet.data.dataset import by_split, group_numbers
from activitynet.data.loader import PhotoDataset
from activitynet.data.open import open_data
from activitynet.data.preprocess import Images, as_images, views_for
from activitynet.ensemble import Ensemble, fit_cascade, greedy_selection, uniform_soup
from activitynet.ensemble.build import collect_member_log_probs, find_members
from activitynet.ensemble.cascade import exit_stages, stage_log_probs
from activitynet.evaluation import score
from activitynet.evaluation.calibration import expected_calibration_error, fit_temperature
from activitynet.inference import photo_loader
from activitynet.weights import Card, load_weights

Outputs = np.ndarray  # logarithms of probabilities, (N, classes)
GROWTH, TINY = (1, 5, 20), 1e-300


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("members", nargs="+", help="runs (all their snapshots), or weights folders")
    parser.add_argument("--data", type=Path, required=True, help="photos that no member has learned from")
    parser.add_argument("--split", default="val")
    parser.add_argument("--student", help="weights of a distilled model")
    parser.add_argument("--loss", type=float, default=0.003, help="macro-F1 that the cascade may cost")
    parser.add_argument("--timed", type=int, default=64, help="photos that are timed (default: 64)")
    parser.add_argument("--turns", type=int, default=5, help="how often each way has its turn (default: 5)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the results here as well")
    options = parser.parse_args()
    began = time.monotonic()

    folders = list(find_members(options.members))
    members = [load(folder) for folder in folders]
    classes = members[0][1].classes
    photos = dict(by_split(open_data(options.data, classes=classes)))[options.split]
    everyone = {name_of(folder): member for folder, member in zip(folders, members, strict=True)}
    own = list(everyone)
    alike = [model for model, card in members if kind_of(card) == kind_of(members[0][1])]
    if len(alike) > 1:
        everyone[f"soup of {len(alike)}"] = (uniform_soup(alike).eval(), members[0][1])
    if options.student:
        everyone["student"] = load(options.student)
    every = Ensemble(list(everyone.values()), classes=classes)
    said, labels = collect_member_log_probs(every, photos, workers=options.workers)
    print(f"{len(members)} members on {len(photos)} photos: {time.monotonic() - began:.0f} s", flush=True)

    judge = Judge(classes, labels, halved(photos, labels))
    macs = every.member_macs()
    rows = {
        name: judge.scores(answers) | {"macs": cost}
        for name, answers, cost in zip(everyone, said, macs, strict=True)
    }
    timed: dict[str, Any] = {name: Ensemble([each], classes=classes) for name, each in everyone.items()}
    choice = Choice(judge, members, said[: len(own)], macs[: len(own)], options.loss)
    rows["uniform average"] = judge.scores(mean(said[: len(own)])) | {"macs": sum(choice.macs)}
    timed["uniform average"] = Ensemble(members, classes=classes)
    rows |= choice.crosswise()
    timed["greedy ensemble"] = choice.ensemble(np.arange(len(labels)))[0]
    timed["cascade"] = timed["greedy ensemble"].cascaded()

    subset = [photos[index * len(photos) // options.timed] for index in range(options.timed)]
    add_costs(
        rows, measured({name: runner(each, subset) for name, each in timed.items()}, options.turns), own
    )
    show(rows, len(subset))
    many = [members[index % len(members)] for index in range(max(GROWTH))]
    few = subset[: max(1, len(subset) // 2)]
    growth = measured(
        {f"{count}": runner(Ensemble(many[:count], classes=classes), few) for count in GROWTH}, turns=3
    )
    seconds = {name: statistics.median(turns) for name, turns in growth.items()}
    print("members: " + ", ".join(f"{name} {value / seconds['1']:.2f} x" for name, value in seconds.items()))
    print(f"all of it took {time.monotonic() - began:.0f} s")
    if options.json:
        machine = {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
        }
        results = {"photos": len(photos), "timed": len(subset), "rows": rows, "growth": seconds}
        options.json.write_text(json.dumps(results | {"machine": machine}, indent=2) + "\n", encoding="utf-8")


def load(folder: Any) -> tuple[Any, Card]:
    model, card = load_weights(folder)
    return model, dataclasses.replace(card, temperature=1.0)


def kind_of(card: Card) -> tuple[Any, ...]:
    """Return what has to be alike in all that goes into a soup."""
    return card.architecture, card.classes, card.preprocess, json.dumps(dict(card.model_args))


def add_costs(rows: dict[str, dict[str, Any]], taken: dict[str, list[float]], members: list[str]) -> None:
    """Add to each row what it costs, in seconds and beside the cheapest member."""
    base = min(members, key=lambda name: statistics.median(taken[name]))
    least = min(rows[name]["macs"] for name in members)
    for name, row in rows.items():
        ratios = [mine / its for mine, its in zip(taken[name], taken[base], strict=True)]
        row["macs_ratio"], row["cost"] = row["macs"] / least, statistics.median(ratios)
        row["seconds"] = statistics.median(taken[name])


def show(rows: dict[str, dict[str, Any]], timed: int) -> None:
    titles = ("macro-F1", "accuracy", "ECE", "fitted", "cost", "macs", "ms")
    print(f"{'':24}" + "".join(f" {title:>8}" for title in titles))
    for name, row in rows.items():
        cells = [row[key] for key in ("macro_f1", "accuracy", "ece", "ece_fitted", "cost", "macs_ratio")]
        numbers = [*(f"{cell:.4f}" for cell in cells[:4]), *(f"{cell:.2f}" for cell in cells[4:])]
        print(
            f"{name:24}"
            + "".join(f" {cell:>8}" for cell in (*numbers, f"{1000 * row['seconds'] / timed:.1f}"))
        )
    whole, cascade = rows["greedy ensemble"], rows["cascade"]
    print(
        f"cascade: {100 * (cascade['macro_f1'] - whole['macro_f1']):+.2f} points beside its ensemble, at "
        f"{cascade['cost'] / whole['cost']:.0%} of its time, {cascade['macs'] / whole['macs']:.0%} of its "
        "multiply-adds"
    )


def name_of(folder: Path) -> str:
    """Return a snapshot's folder as short as it is unique: run/epoch."""
    parts = [part for part in folder.parts if part != "checkpoints"]
    return "/".join(parts[-2:])


def halved(photos: Any, labels: np.ndarray) -> list[np.ndarray]:
    groups = group_numbers(photos)
    blank = np.zeros((len(labels), 1))
    if len(np.unique(groups)) < len(groups):
        folds = StratifiedGroupKFold(2, shuffle=True, random_state=0).split(blank, labels, groups)
    else:
        folds = StratifiedKFold(2, shuffle=True, random_state=0).split(blank, labels)
    return [held for _, held in folds]


def mean(said: np.ndarray) -> Outputs:
    """Return the average of members' probabilities."""
    return np.log(np.exp(said).mean(axis=0) + TINY)


@dataclasses.dataclass
class Judge:
    """Scores answers; what needs to be fitted for that is fitted on the half that is not scored."""

    classes: Any
    labels: np.ndarray
    halves: list[np.ndarray]

    def crossed(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield each half to score, and the other half to fit on."""
        yield from (self.halves, self.halves[::-1])

    def scores(self, said: Outputs, *, fit: bool = True) -> dict[str, Any]:
        """Return the scores of answers, and how far they can be believed before and after a temperature."""
        fitted = softmax(said, axis=1)
        for own, other in self.crossed() if fit else ():
            fitted[own] = softmax(said[own] / fit_temperature(said[other], self.labels[other]), axis=1)
        scores = score(self.labels, said.argmax(axis=1), self.classes)
        return {
            "macro_f1": scores.macro_f1,
            "accuracy": scores.accuracy,
            "ece": expected_calibration_error(softmax(said, axis=1), self.labels),
            "ece_fitted": expected_calibration_error(fitted, self.labels),
        }

    def macro_f1(self, truth: np.ndarray, guesses: np.ndarray) -> float:
        """Return what the greedy choice raises."""
        return score(truth, guesses, self.classes).macro_f1


@dataclasses.dataclass
class Choice:
    """The greedy ensemble and its cascade, as some of the photos choose them."""

    judge: Judge
    members: list[Any]
    said: np.ndarray
    macs: list[int]
    loss: float

    def ensemble(self, photos: np.ndarray) -> tuple[Ensemble, list[int]]:
        """Return the ensemble that these photos choose, with a cascade, and which members are in it."""
        labels, answers = self.judge.labels[photos], self.said[:, photos]
        heat = [fit_temperature(each, labels) for each in answers]
        calibrated = log_softmax(answers / np.reshape(heat, (-1, 1, 1)), axis=2)
        shares = greedy_selection(np.exp(calibrated), labels, self.judge.macro_f1)
        chosen = sorted(np.flatnonzero(shares), key=lambda at: (self.macs[at], -shares[at]))
        made = [
            (self.members[at][0], dataclasses.replace(self.members[at][1], temperature=heat[at]))
            for at in chosen
        ]
        ensemble = Ensemble(made, classes=self.judge.classes, weights=[shares[at] for at in chosen])
        metric, loss = self.judge.macro_f1, self.loss
        ensemble.cascade = fit_cascade(ensemble, calibrated[chosen], labels, metric, loss=loss)
        return ensemble, chosen

    def crosswise(self) -> dict[str, dict[str, Any]]:
        """Return the ensemble's and the cascade's rows: each half of the photos by what the other chose."""
        whole, played = np.empty_like(self.said[0]), np.empty_like(self.said[0])
        full, spent = np.empty(len(whole)), np.empty(len(whole))
        for own, other in self.judge.crossed():
            ensemble, chosen = self.ensemble(other)
            heat = np.reshape([card.temperature for card in ensemble.cards], (-1, 1, 1))
            answers = log_softmax(self.said[np.ix_(chosen, own)] / heat, axis=2)
            whole[own] = ensemble.combine(torch.from_numpy(answers)).numpy()
            stages = stage_log_probs(ensemble, answers, ensemble.cascade.temperatures)
            last = exit_stages(stages, ensemble.cascade.threshold)
            played[own] = stages[last, np.arange(len(own))]
            costs = np.cumsum([self.macs[at] for at in chosen])
            full[own], spent[own] = costs[-1], costs[last]
        return {
            "greedy ensemble": self.judge.scores(whole) | {"macs": full.mean()},
            "cascade": self.judge.scores(played, fit=False) | {"macs": spent.mean()},
        }


def runner(predictor: Any, photos: Any) -> Callable[[], None]:
    """Return what runs a predictor over photos, all of them decoded and made ready before."""
    preprocess = predictor._ready()[1]
    batches = [batch[0] for batch in photo_loader(PhotoDataset(photos, preprocess), batch_size=32)]
    ready: list[Images] = [
        as_images([look.contiguous(memory_format=torch.channels_last) for look in views_for(batch)])
        for batch in batches
    ]

    def run() -> None:
        with torch.inference_mode():
            for batch in ready:
                predictor(batch)

    return run


def measured(ways: dict[str, Callable[[], None]], turns: int) -> dict[str, list[float]]:
    """Return the seconds of each way's turns."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, run in ways.items():
            began = time.perf_counter()
            run()
            if turn:  # the first is a warm-up
                taken[name].append(time.perf_counter() - began)
    return taken


if __name__ == "__main__":
    main()
