"""The trials of a study: which configuration comes next, and which process works on it.

Optuna keeps the record, in a journal in the study's folder. A configuration is one trial, and all its seeds
run within it: samplers and pruners see one number for each.

A process that works on a trial holds a lock on a file, which the system releases when the process dies. A
trial that is left running without its lock is marked as failed, and its configuration is queued again with
the runs that were finished and the scores that were reported. Its run folders are on disk, so nothing is
trained twice.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from activitynet.errors import ActivityNetError, StorageError, TrainingError, clipped
from activitynet.runtime.seeds import derived_seed
from activitynet.serialization import atomic
from activitynet.study.axes import Value
from activitynet.study.definition import Configuration, Study

if TYPE_CHECKING:
    import optuna
    from filelock import BaseFileLock
    from optuna.trial import FrozenTrial

JOURNAL = "journal.log"
_MAX_DRAWS = 200  # draws in a row without a new configuration, after which a study counts as exhausted


class Claim:
    """A trial that this process works on, until `release`.

    Attributes:
        number: Number of the trial in Optuna's record.
        configuration: What to train.
        label: A short name of the configuration.
    """

    def __init__(self, study: Study, trial: optuna.Trial, record: FrozenTrial, lock: BaseFileLock) -> None:
        self._trial, self._lock = trial, lock
        self.number = trial.number
        self.configuration: Configuration = study.configuration(record.params)
        self.label = study.label(record.params)
        self._reported = set(record.intermediate_values)

    @property
    def runs(self) -> dict[str, Any]:
        """Results of the seeds that are finished, by seed."""
        runs: dict[str, Any] = self._trial.user_attrs.get("runs", {})
        return runs

    def record(self, **facts: Any) -> None:
        """Record facts of the configuration."""
        for name, value in facts.items():
            self._trial.set_user_attr(name, value)

    def report(self, epoch: int, score: float) -> bool:
        """Report the score of an epoch, and return whether the pruner ends the trial."""
        if epoch not in self._reported:
            self._trial.report(score, epoch)
            self._reported.add(epoch)
        return self._trial.should_prune()

    def finish(self, state: Literal["COMPLETE", "PRUNED", "FAIL"], score: float | None = None) -> None:
        """Finish the trial; a complete one has a score."""
        from optuna.trial import TrialState  # noqa: PLC0415  an extra

        self._trial.study.tell(self.number, score, state=TrialState[state])

    def release(self) -> None:
        """Let other processes take the trial if it is not finished."""
        self._lock.release()


class Trials:
    """All trials of a study, shared by the processes that work in its folder.

    Args:
        study: What is compared.
        folder: The study's folder.

    Raises:
        TrainingError: Optuna is not installed.
        StorageError: The journal cannot be read or written.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        try:
            import optuna  # noqa: PLC0415  an extra
        except ImportError as error:
            raise TrainingError(
                "a study needs Optuna; install it with: pip install 'activitynet[study]'"
            ) from error
        self._definition, self._locks = study, folder / "locks"
        self._lock = file_lock(self._locks / "trials.lock")
        self._optuna = optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the run prints its own line for each trial
        pruners = {
            "none": optuna.pruners.NopPruner,
            "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=3),
            "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        }
        path = str(folder / JOURNAL)
        journal = optuna.storages.journal
        try:
            # A lock by exclusive creation works on every system; one by links does not on Windows.
            backend = journal.JournalFileBackend(path, lock_obj=journal.JournalFileOpenLock(path))
            self._study = optuna.create_study(
                storage=optuna.storages.JournalStorage(backend),
                study_name=study.name,
                direction="maximize",
                load_if_exists=True,
                pruner=pruners[study.pruner](),
            )
        except OSError as error:
            raise atomic.cannot_write(Path(path), error) from error
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise StorageError(
                f"{path!r} is not a journal of Optuna ({clipped(error)}); name another folder."
            ) from error

    def all(self) -> list[FrozenTrial]:
        """Return the latest trial of each configuration, in the order in which they were begun."""
        trials = self._study.get_trials(deepcopy=False)
        return list({trial.user_attrs["key"]: trial for trial in trials}.values())

    def claim(self) -> Claim | None:
        """Claim the next trial; `None` when nothing is left, or only what other processes work on."""
        with self._lock:
            self._requeue_abandoned()
            trials = self.all()
            if not any(trial.state.name == "WAITING" for trial in trials):
                point = self._next_point(trials)
                if point is None:
                    return None
                self._enqueue(point)
            trial = self._study.ask()
            record = self._study.get_trials(deepcopy=False)[trial.number]
            lock = self._lock_of(trial.number)
            lock.acquire()
            return Claim(self._definition, trial, record, lock)

    def are_finished(self) -> bool:
        """Return whether no process works on a trial."""
        return all(trial.state.is_finished() for trial in self.all())

    def _lock_of(self, number: int) -> BaseFileLock:
        return file_lock(self._locks / f"trial-{number}.lock")

    def _requeue_abandoned(self) -> None:
        """Queue again what a process that died has left.

        A process may die between the two steps, so the second one goes by the record, not by the first.
        """
        from filelock import Timeout  # noqa: PLC0415  slow to import

        for trial in self.all():
            if trial.state.name == "RUNNING":
                try:
                    with self._lock_of(trial.number).acquire(blocking=False):
                        self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)
                except Timeout:
                    continue  # its process is alive
        for trial in self.all():
            if trial.state.name == "FAIL" and "error" not in trial.user_attrs:
                self._enqueue(trial.params, trial.user_attrs, trial.intermediate_values)

    def _enqueue(
        self,
        point: Mapping[str, Value],
        facts: Mapping[str, Any] | None = None,
        reported: Mapping[int, float] | None = None,
    ) -> None:
        definition = self._definition
        key, label = definition.configuration(point).key, definition.label(point)
        axes = {axis.name: axis.distribution() for axis in definition.axes if axis.name in point}
        self._study.add_trial(
            self._optuna.create_trial(
                state=self._optuna.trial.TrialState.WAITING,
                params=dict(point),
                distributions=axes,
                user_attrs={**(facts or {}), "key": key, "label": label},
                intermediate_values=dict(reported or {}),
            )
        )

    def _next_point(self, trials: Sequence[FrozenTrial]) -> dict[str, Value] | None:
        """Return a point that was not tried; `None` when there is none, or the budget is used up."""
        study = self._definition
        known = {trial.user_attrs["key"] for trial in trials}
        if _is_spent(study, trials):
            return None
        if study.sampler == "grid":
            return next((point for key, point in self._grid.items() if key not in known), None)
        if study.base.key not in known:
            return {}
        if (
            study.budget.trials is not None
            and sum(bool(trial.params) for trial in trials) >= study.budget.trials
        ):
            return None
        return _draw(study, trials, known)

    @functools.cached_property
    def _grid(self) -> dict[str, dict[str, Value]]:
        """Points of the grid by their configurations' keys; the base comes first unless it is one of them."""
        study = self._definition
        points: dict[str, dict[str, Value]] = {}
        for point in itertools.islice(study.grid(), study.budget.trials):
            points.setdefault(study.configuration(point).key, point)
        return points if study.base.key in points else {study.base.key: {}, **points}


def _is_spent(study: Study, trials: Sequence[FrozenTrial]) -> bool:
    runs = [run for trial in trials for run in trial.user_attrs.get("runs", {}).values()]
    epochs, minutes = sum(run["epochs"] for run in runs), sum(run["seconds"] for run in runs) / 60
    budget = study.budget
    return (budget.epochs is not None and epochs >= budget.epochs) or (
        budget.minutes is not None and minutes >= budget.minutes
    )


def _draw(study: Study, trials: Sequence[FrozenTrial], known: Container[str]) -> dict[str, Value] | None:
    """Draw a point whose configuration is not known; `None` when the sampler finds none.

    The draw depends on the study's seed and on the record alone, so a kill does not change it.
    """
    import optuna  # noqa: PLC0415  an extra

    seed = derived_seed(study.seed, study.sampler, len(trials)) % 2**32
    if study.sampler == "random":
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    axes = {axis.name: axis.distribution() for axis in study.axes}
    scratch = optuna.create_study(direction="maximize", sampler=sampler)
    scratch.add_trials([trial for trial in trials if trial.params])
    for _ in range(_MAX_DRAWS):
        point = dict(scratch.ask(axes).params)
        try:
            if study.configuration(point).key not in known:
                return point
        except ActivityNetError:  # values that cannot be combined
            continue
    return None


def file_lock(path: Path) -> BaseFileLock:
    """Return a lock on a file, for processes that share its folder. It dies with its process.

    Raises:
        StorageError: The file cannot be written.
    """
    from filelock import FileLock  # noqa: PLC0415  slow to import

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise atomic.cannot_write(path, error) from error
    return FileLock(path)
