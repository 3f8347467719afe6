"""The results of a study: a row per configuration, each compared with the base over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from activitynet.evaluation.stats import CONFIDENCE, Estimate
from activitynet.study.axes import Value
from activitynet.study.definition import Study

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

State = Literal["complete", "pruned", "running", "failed"]
_STATES: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
_ORDER: tuple[State, ...] = ("complete", "pruned", "running", "failed")
_MIN_TRIALS = 8  # fewer give importances that are mostly chance


@dataclass(frozen=True)
class Run:
    """A configuration trained with one seed.

    Attributes:
        macro_f1: Macro-F1 on the validation photos, of the best epoch.
        accuracy: Accuracy of the same epoch.
        best_epoch: Number of that epoch.
        epochs: Number of epochs.
        seconds: Time of training and validation.
        images_per_second: Training photos per second.
    """

    macro_f1: float
    accuracy: float
    best_epoch: int
    epochs: int
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Difference:
    """The difference between the scores of a configuration and the base, over the same seeds.

    Attributes:
        mean: Mean difference.
        low: Lower end of its 95 % interval; `None` without two seeds.
        high: Upper end.
        p_value: Of the t-test; `None` without two seeds.
        adjusted: The p-value after Holm's correction for the number of comparisons.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    adjusted: float | None = None

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p-value is below 5 %."""
        return self.adjusted is not None and self.adjusted < 1 - CONFIDENCE


@dataclass(frozen=True)
class Row:
    """The results of one configuration.

    Attributes:
        key: Its key, which ends the name of its runs' folder.
        label: A short name.
        point: Its point on the axes; empty for a base that is not a point of a grid.
        is_base: Whether the others are compared with it.
        state: ``"complete"``, ``"pruned"``, ``"running"`` or ``"failed"``.
        error: Why it failed.
        runs: The result of each seed.
        parameters: Number of parameters of the network.
        macs: Multiply-accumulate operations per photo.
        interval: The mean score with its 95 % interval; `None` unless it is complete and has two seeds.
        difference: The difference from the base; `None` unless both are complete.
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
        return self.mean("macro_f1")

    def mean(self, measure: str) -> float | None:
        """Return the mean of a field of `Run` over the seeds; `None` without any."""
        return float(np.mean([getattr(run, measure) for run in self.runs.values()])) if self.runs else None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain JSON values."""
        means = {name: self.mean(name) for name in ("macro_f1", "seconds", "images_per_second")}
        runs = [{"seed": seed, **asdict(run)} for seed, run in self.runs.items()]
        interval = None if self.interval is None else [self.interval.low, self.interval.high]
        return {**asdict(self), **means, "interval": interval, "runs": runs}


@dataclass(frozen=True)
class StudyResult:
    """The results of a study.

    Attributes:
        study: What was compared.
        rows: The configurations: the complete ones first, the best on top; then the others.
        importance: Share of the score's variance that each axis explains; empty with few trials.
        photos: Number of training and of validation photos.
    """

    study: Study
    rows: tuple[Row, ...]
    importance: Mapping[str, float]
    photos: tuple[int, int]

    @property
    def complete(self) -> list[Row]:
        """The rows that are complete."""
        return [row for row in self.rows if row.state == "complete"]

    @property
    def sentences(self) -> list[str]:
        """A summary in a few sentences."""
        complete, seeds = self.complete, len(self.study.seeds)
        sentences = [
            f"{len(complete)} of {len(self.rows)} configurations are complete, with {seeds} "
            f"seed{'s' if seeds > 1 else ''} each, on {self.photos[0]} training and {self.photos[1]} "
            "validation photos."
        ]
        if not complete:
            return sentences
        best = complete[0]
        score = best.interval or format(best.score or 0, ".3f")
        sentences.append(f"Highest mean macro-F1: {best.label}, {score}.")
        found = [
            f"{row.label} ({signed(row.difference.mean)})"
            for row in complete
            if row.difference is not None and row.difference.is_significant
        ]
        if seeds < 2:
            sentences.append("One seed gives no interval, and no difference is tested.")
        elif found:
            sentences.append(
                f"Significantly different from the base (corrected p < 0.05): {', '.join(found)}."
            )
        elif len(complete) > 1 and any(row.is_base for row in complete):
            sentences.append("No configuration differs significantly from the base (corrected p < 0.05).")
        return sentences

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return {
            "study": self.study.to_dict(),
            "photos": {"train": self.photos[0], "val": self.photos[1]},
            "rows": [row.to_dict() for row in self.rows],
            "importance": dict(self.importance),
            "sentences": self.sentences,
        }


def summarise(study: Study, trials: Sequence[FrozenTrial], photos: tuple[int, int]) -> StudyResult:
    """Return the results of a study so far.

    Args:
        study: What is compared.
        trials: The trial of each configuration.
        photos: Number of training and of validation photos.
    """
    rows = _compared([_row(study, trial) for trial in trials])
    rows.sort(key=lambda row: (_ORDER.index(row.state), -(row.score or 0), row.key))
    return StudyResult(study, tuple(rows), _importance(study, trials), photos)


def _row(study: Study, trial: FrozenTrial) -> Row:
    facts = trial.user_attrs
    runs = {seed: facts.get("runs", {}).get(str(seed)) for seed in study.seeds}
    state = _STATES.get(trial.state.name, "running")
    if state == "failed" and "error" not in facts:  # abandoned by its process, and about to be tried again
        state = "running"
    return Row(
        key=facts["key"],
        label=facts["label"],
        point=dict(trial.params),
        is_base=facts["key"] == study.base.key,
        state=state,
        error=facts.get("error", ""),
        runs={seed: Run(**run) for seed, run in runs.items() if run is not None},
        parameters=facts.get("parameters"),
        macs=facts.get("macs"),
    )


def _compared(rows: list[Row]) -> list[Row]:
    """Add intervals and differences to the complete rows."""
    complete = [row for row in rows if row.state == "complete"]
    added: dict[str, dict[str, Any]] = {row.key: {} for row in rows}
    for row, interval in zip(complete, mean_intervals([row.scores for row in complete]), strict=True):
        added[row.key]["interval"] = interval
    base = next((row for row in complete if row.is_base), None)
    if base is not None:
        others = [row for row in complete if row is not base]
        found = differences(base.scores, [row.scores for row in others])
        for row, difference in zip(others, found, strict=True):
            added[row.key]["difference"] = difference
    return [replace(row, **added[row.key]) for row in rows]


def _importance(study: Study, trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """Return the importance of each axis by functional ANOVA (Hutter et al. 2014)."""
    names = {axis.name for axis in study.axes}
    usable = [trial for trial in trials if trial.state.name == "COMPLETE" and set(trial.params) == names]
    if len(names) < 2 or len(usable) < _MIN_TRIALS or len({trial.value for trial in usable}) < 2:
        return {}
    import optuna  # noqa: PLC0415  an extra

    scratch = optuna.create_study(direction="maximize")
    scratch.add_trials(usable)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(scratch, evaluator=evaluator)


def mean_intervals(scores: Sequence[Sequence[float]]) -> list[Estimate | None]:
    """Return each configuration's mean over seeds with its 95 % interval, by Student's t-distribution.

    The variance between seeds is pooled over the configurations, because two seeds of one alone hardly
    estimate it. The interval is for these photos; other photos would give another score, and `activitynet
    evaluate` estimates by how much.

    Args:
        scores: For each configuration, a score for each of the same seeds.

    Returns:
        An estimate for each; `None` without two seeds.

    Example:
        >>> print(*mean_intervals([[0.5, 0.6]]))
        0.550 (-0.085 to 1.185)
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        return [None] * len(scores)
    count, seeds = table.shape
    means = table.mean(axis=1)
    half = _half_width(table - means[:, None], count * (seeds - 1), 1 / seeds)[0]
    return [Estimate(mean, mean - half, mean + half) for mean in means.tolist()]


def differences(base: Sequence[float], others: Sequence[Sequence[float]]) -> list[Difference]:
    """Compare configurations with a base over the same seeds, by a two-way analysis of variance.

    A seed fixes the initial weights and the order of the photos, so its effect on all configurations is
    removed. The remaining variance is pooled: with 2 seeds a pair alone has one degree of freedom, 12
    configurations have 11. With one other configuration it is the paired t-test.

    Args:
        base: A score for each seed.
        others: For each other configuration, a score for each of the same seeds.

    Returns:
        A difference for each of the others; p-values are corrected by `holm`.
    """
    scores = np.asarray([base, *others], dtype=np.float64)
    count, seeds = scores.shape
    means = scores.mean(axis=1)
    gains: list[float] = (means[1:] - means[0]).tolist()
    if seeds < 2 or not gains:
        return [Difference(gain) for gain in gains]
    from scipy.stats import t  # noqa: PLC0415  only studies need it

    residuals = scores - means[:, None] - scores.mean(axis=0) + scores.mean()
    freedom = (count - 1) * (seeds - 1)
    half, error = _half_width(residuals, freedom, 2 / seeds)
    if error < 1e-12:  # every seed gives the same difference
        p_values = [1.0 if abs(gain) < 1e-12 else 0.0 for gain in gains]
    else:
        p_values = [float(2 * t.sf(abs(gain) / error, freedom)) for gain in gains]
    return [
        Difference(gain, gain - half, gain + half, p_value, adjusted)
        for gain, p_value, adjusted in zip(gains, p_values, holm(p_values), strict=True)
    ]


def _half_width(residuals: np.ndarray, freedom: int, factor: float) -> tuple[float, float]:
    """Return half of a 95 % interval, and the standard error, from residuals with degrees of freedom."""
    from scipy.stats import t  # noqa: PLC0415  only studies need it

    error = math.sqrt(float((residuals**2).sum()) / freedom * factor)
    return float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error, error


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for the number of comparisons (Holm 1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps)) if len(p_values) else steps
    return adjusted.tolist()


def pareto_front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Return which entries are on the Pareto front of low cost and high score.

    Returns:
        Indices, the cheapest first.

    Example:
        >>> pareto_front([3, 1, 2], [0.9, 0.5, 0.4])
        [1, 0]
    """
    front: list[int] = []
    for index in sorted(range(len(costs)), key=lambda at: (costs[at], -scores[at])):
        if not front or scores[index] > scores[front[-1]]:
            front.append(index)
    return front


def signed(value: float) -> str:
    """Return a difference with its sign, to three decimals."""
    return f"{value:+.3f}".replace("-", "−")
