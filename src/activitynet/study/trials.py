"""The record of a study, which Optuna keeps, and who works on what.

A configuration is one trial, and all its seeds run within it: samplers and pruners see one number for each,
and a trial that is finished is a row of the table.

Who works on a trial holds a lock on a file in the study's folder, which the system takes back when the
process dies: then the next one that asks takes the trial up where it was left. Hosts that share a storage but
no folder cannot see each other's locks; they believe each other's pulse, which stands in the storage.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activitynet.errors import StorageError
from activitynet.study.axes import Axis, Value
from activitynet.study.configuration import Configuration

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from optuna.pruners import BasePruner
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

PULSE_SECONDS = 30.0
STALE_SECONDS = 300.0
"""After so long without a pulse, a process that cannot be seen is taken for dead."""


@dataclass(frozen=True)
class Proposal:
    """A configuration to be trained.

    Attributes:
        configuration: What it is.
        point: Where on the axes it lies; empty for the base.
        label: What to call it.
    """

    configuration: Configuration
    point: Mapping[str, Value]
    label: str


class Taken:
    """A trial that this process works on, until `release`.

    Attributes:
        number: Which trial of the study it is.
        trial: The trial, to report to.
        runs: What has come of each seed that is done.
    """

    def __init__(self, trials: Trials, trial: Trial, lock: BaseFileLock) -> None:
        self._trials, self._lock, self._id = trials, lock, trial._trial_id
        self.trial, self.number = trial, trial.number
        self.runs: dict[str, Any] = dict(trial.user_attrs.get("runs", {}))
        self.note(pulse=time.time())
        self._stop = threading.Event()
        self._pulse = threading.Thread(target=self._beat, daemon=True)
        self._pulse.start()

    def _beat(self) -> None:
        while not self._stop.wait(PULSE_SECONDS):
            with contextlib.suppress(Exception):  # finished, or out of reach for a while
                self._trials.storage.set_trial_user_attr(self._id, "pulse", time.time())

    def reported(self) -> dict[int, float]:
        """Return the scores that were reported, by epoch."""
        return self._trials.storage.get_trial(self._id).intermediate_values

    def note(self, **facts: Any) -> None:
        """Write facts down with the trial."""
        from optuna.exceptions import UpdateFinishedTrialError  # noqa: PLC0415  an extra

        with contextlib.suppress(UpdateFinishedTrialError):  # as for `end`
            for name, value in facts.items():
                self._trials.storage.set_trial_user_attr(self._id, name, value)

    def note_run(self, seed: int, facts: Mapping[str, Any]) -> None:
        """Write down what came of a seed."""
        self.runs[str(seed)] = dict(facts)
        self.note(runs=self.runs)

    def end(self, state: str, score: float | None = None) -> None:
        """Finish the trial as ``"COMPLETE"`` with a score, ``"PRUNED"`` or ``"FAIL"``."""
        from optuna.exceptions import UpdateFinishedTrialError  # noqa: PLC0415  an extra
        from optuna.trial import TrialState  # noqa: PLC0415

        with contextlib.suppress(UpdateFinishedTrialError):  # another took this process for dead
            values = None if score is None else [score]
            self._trials.storage.set_trial_state_values(self._id, TrialState[state], values)

    def release(self) -> None:
        """Let others take the trial, if it is not finished."""
        self._stop.set()
        self._pulse.join()
        self._lock.release()


class Trials:
    """All trials of one study.

    Args:
        name: The study's name.
        folder: The study's folder, where locks lie.
        storage: Where Optuna keeps the record.
        folder_id: What tells this folder from that of another host.
        axes: What is varied.
        pruner: Optuna's; `None` ends nothing early.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        storage: BaseStorage,
        folder_id: str,
        *,
        axes: Sequence[Axis] = (),
        pruner: BasePruner | None = None,
    ) -> None:
        import optuna  # noqa: PLC0415  an extra

        self.storage, self._axes = storage, axes
        self._folder, self._folder_id = folder, folder_id
        self.study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=pruner or optuna.pruners.NopPruner(),
        )

    def all(self) -> list[FrozenTrial]:
        """Return the trials that count, in their order."""
        return [
            trial
            for trial in self.study.get_trials(deepcopy=False)
            if "key" in trial.user_attrs and not (trial.user_attrs.get("lost") and trial.state.name == "FAIL")
        ]

    def take(self, proposal: Proposal) -> Taken | None:
        """Take a configuration up, or its half-done trial; `None` when it is finished or another has it."""
        from filelock import Timeout  # noqa: PLC0415  slow to import

        key = proposal.configuration.key
        lock = _lock(self._folder / "locks" / f"{key}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        try:
            trial = self._own(key, proposal)
        except BaseException:
            lock.release()
            raise
        if trial is None:
            lock.release()
            return None
        return Taken(self, trial, lock)

    def _own(self, key: str, proposal: Proposal) -> Trial | None:
        """Find or make the trial of a configuration whose lock is held."""
        import optuna  # noqa: PLC0415  an extra

        trials = self._of(key)
        if any(trial.state.is_finished() for trial in trials):
            return None
        for trial in trials:
            if trial.user_attrs["folder"] == self._folder_id:  # its process held the lock, and is gone
                return optuna.Trial(self.study, trial._trial_id)
        for trial in trials:
            if time.time() - trial.user_attrs["pulse"] < STALE_SECONDS or not self._lose(trial):
                return None
        token = uuid.uuid4().hex
        self.study.add_trial(
            optuna.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=dict(proposal.point),
                distributions={
                    axis.name: axis.distribution() for axis in self._axes if axis.name in proposal.point
                },
                user_attrs={
                    "key": key,
                    "label": proposal.label,
                    "folder": self._folder_id,
                    "pulse": time.time(),
                    "token": token,
                },
            )
        )
        # Numbers are given one after the other, so of two that did this at once both know who was first.
        first, *_ = trials = self._of(key)
        mine = next(trial for trial in trials if trial.user_attrs["token"] == token)
        if first.user_attrs["token"] != token:
            self._lose(mine)
            return None
        return optuna.Trial(self.study, mine._trial_id)

    def _of(self, key: str) -> list[FrozenTrial]:
        return [trial for trial in self.all() if trial.user_attrs["key"] == key]

    def _lose(self, trial: FrozenTrial) -> bool:
        """Strike a trial out; `False` when another process was first."""
        import optuna  # noqa: PLC0415  an extra

        try:
            self.storage.set_trial_user_attr(trial._trial_id, "lost", True)
            self.storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.FAIL)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False
        return True


def _lock(path: Path) -> BaseFileLock:
    from filelock import FileLock  # noqa: PLC0415  slow to import

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path, thread_local=False)
    except OSError as error:
        raise StorageError(f"cannot write {str(path)!r}: {error.strerror or error}.") from error
