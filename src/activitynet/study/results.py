"""What a study came to: a row a configuration, each compared with the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from activitynet.evaluation.stats import Estimate
from activitynet.study.axes import Value
from activitynet.study.definition import Study
from activitynet.study.paired import Difference, Ranks, differences, mean_intervals, ranked

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

State = Literal["complete", "pruned", "failed", "running"]
_STATES: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
_FEW_TRIALS = 8  # with fewer, importances are about chance


@dataclass(frozen=True)
class Run:
    """One configuration trained with one seed.

    Attributes:
        macro_f1: On the validation photos, of the best epoch.
        accuracy: The same.
        best_epoch: Which that was.
        epochs: How many there were.
        seconds: How long training and validation took.
        images_per_second: Training photos a second.
    """

    macro_f1: float
    accuracy: float
    best_epoch: int
    epochs: int
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Row:
    """One configuration.

    Attributes:
        key: Its digits, which end the names of its runs' folder.
        label: What to call it.
        point: Where on the axes it lies; empty for a base that is no point of a grid.
        is_base: Whether it is what the others are compared with.
        state: ``"complete"``; ``"pruned"``, ended early; ``"failed"``; or ``"running"``.
        error: Why it failed.
        runs: What came of each seed.
        parameters: Of the network.
        macs: Multiply-adds a photo.
        interval: The mean score with its 95 % interval; `None` where it is not complete, or has one seed.
        difference: From the base, over the seeds of both; `None` where there is nothing to compare.
    """

    key: str
    label: str
    point: Mapping[str, Value]
    is_base: bool
    state: State
    error: str
    runs: Mapping[int, Run]
    parameters: int | None
    macs: float | None
    interval: Estimate | None = None
    difference: Difference | None = None

    @property
    def scores(self) -> list[float]:
        """Macro-F1 of each seed."""
        return [run.macro_f1 for run in self.runs.values()]

    @property
    def score(self) -> float | None:
        """Mean macro-F1 over the seeds."""
        return float(np.mean(self.scores)) if self.runs else None

    @property
    def minutes(self) -> float | None:
        """Minutes that a run takes, on average."""
        return float(np.mean([run.seconds for run in self.runs.values()])) / 60 if self.runs else None

    @property
    def images_per_second(self) -> float | None:
        """Training photos a second, on average."""
        return float(np.mean([run.images_per_second for run in self.runs.values()])) if self.runs else None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain JSON values."""
        interval = self.interval
        return {
            "key": self.key,
            "label": self.label,
            "point": dict(self.point),
            "is_base": self.is_base,
            "state": self.state,
            "error": self.error,
            "macro_f1": self.score,
            "interval": None if interval is None else [interval.low, interval.high],
            "difference": None if self.difference is None else self.difference.to_dict(),
            "parameters": self.parameters,
            "macs": self.macs,
            "minutes": self.minutes,
            "images_per_second": self.images_per_second,
            "runs": [{"seed": seed, **asdict(run)} for seed, run in self.runs.items()],
        }


@dataclass(frozen=True)
class StudyResult:
    """What a study came to.

    Attributes:
        study: What was compared.
        rows: Its configurations: those that are complete, the best first; then the others.
        ranks: How the complete ones rank over seeds, in the order of their rows; `None` with few seeds.
        importance: Which share of the score's variation each axis explains; empty with few trials.
        photos: How many photos it trained and was validated on.
    """

    study: Study
    rows: tuple[Row, ...]
    ranks: Ranks | None
    importance: Mapping[str, float]
    photos: tuple[int, int]

    @property
    def complete(self) -> list[Row]:
        """The rows that are complete."""
        return [row for row in self.rows if row.state == "complete"]

    @property
    def base(self) -> Row | None:
        """The row of the base, as far as it has come."""
        return next((row for row in self.rows if row.is_base), None)

    @property
    def sentences(self) -> list[str]:
        """What it shows, in a few lines."""
        return _sentences(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return {
            "study": self.study.to_dict(),
            "photos": {"train": self.photos[0], "val": self.photos[1]},
            "rows": [row.to_dict() for row in self.rows],
            "ranks": None if self.ranks is None else self.ranks.to_dict(),
            "importance": dict(self.importance),
            "sentences": self.sentences,
        }


def summarise(study: Study, trials: Sequence[FrozenTrial], photos: tuple[int, int]) -> StudyResult:
    """Return what a study has come to.

    Args:
        study: What is compared.
        trials: Its record.
        photos: How many photos it trains and is validated on.
    """
    rows = _compared([_row(study, trial) for trial in trials])
    order = {"complete": 0, "pruned": 1, "running": 2, "failed": 3}
    rows.sort(key=lambda row: (order[row.state], -(row.score or 0), row.key))
    complete = [row for row in rows if row.state == "complete"]
    return StudyResult(
        study=study,
        rows=tuple(rows),
        ranks=ranked([row.scores for row in complete]),
        importance=_importance(study, trials),
        photos=photos,
    )


def _row(study: Study, trial: FrozenTrial) -> Row:
    facts = trial.user_attrs
    runs = {seed: facts.get("runs", {}).get(str(seed)) for seed in study.seeds}
    state = _STATES.get(trial.state.name, "running")
    found = {seed: Run(**run) for seed, run in runs.items() if run is not None}
    return Row(
        key=facts["key"],
        label=facts["label"],
        point=dict(trial.params),
        is_base=facts["key"] == study.base.key,
        state=state,
        error=facts.get("error", ""),
        runs=found,
        parameters=facts.get("parameters"),
        macs=facts.get("macs"),
    )


def _compared(rows: list[Row]) -> list[Row]:
    """Add to the complete rows what their seeds tell together."""
    complete = [row for row in rows if row.state == "complete"]
    of_row: dict[str, dict[str, Any]] = {row.key: {} for row in rows}
    for row, interval in zip(complete, mean_intervals([row.scores for row in complete]), strict=True):
        of_row[row.key]["interval"] = interval
    base = next((row for row in complete if row.is_base), None)
    if base is not None:
        others = [row for row in complete if row is not base]
        found = differences(base.scores, [row.scores for row in others])
        for row, difference in zip(others, found, strict=True):
            of_row[row.key]["difference"] = difference
    return [replace(row, **of_row[row.key]) for row in rows]


def _importance(study: Study, trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """Ask Optuna (functional ANOVA, Hutter et al. 2014) which axes the score depends on."""
    import optuna  # noqa: PLC0415  an extra

    names = {axis.name for axis in study.axes}
    whole = [trial for trial in trials if trial.state.name == "COMPLETE" and set(trial.params) == names]
    if len(names) < 2 or len(whole) < _FEW_TRIALS or len({trial.value for trial in whole}) < 2:
        return {}
    scratch = optuna.create_study(direction="maximize")
    scratch.add_trials(whole)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(scratch, evaluator=evaluator)


def _sentences(result: StudyResult) -> list[str]:
    study, complete = result.study, result.complete
    train, val = result.photos
    said = [
        f"{len(complete)} of {len(result.rows)} configurations are complete, with "
        f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''} each, "
        f"on {train} training and {val} validation photos."
    ]
    if not complete:
        return said
    best = complete[0]
    said.append(f"Highest mean macro-F1: {best.label}, {best.interval or format(best.score or 0, '.3f')}.")
    shown = [row for row in complete if row.difference is not None and row.difference.is_shown]
    if len(study.seeds) < 2:
        said.append("With one seed nothing is known of chance; no difference is tested.")
    elif shown:
        names = ", ".join(f"{row.label} ({_signed(row.difference.mean)})" for row in shown if row.difference)
        said.append(f"Different from the base beyond chance between seeds (5 % in all): {names}.")
    elif result.base is not None and len(complete) > 1:
        said.append("No configuration differs from the base beyond chance between seeds (5 % in all).")
    if result.ranks is not None:
        said.append(
            f"Friedman's test of the ranks: p = {result.ranks.p_value:.2g}; mean ranks further apart than "
            f"{result.ranks.critical:.2f} differ."
        )
    return said


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
