"""Real processes, really killed, and several at once."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest
from processes import KILLER, PLAIN, STUDY, TOGETHER, finish, options, start, table, trials

pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def alone(study: Path, sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that nothing disturbed."""
    run = tmp_path_factory.mktemp("alone") / "run"
    finish([start(PLAIN, *options(study, sample_data, run))])
    return run


def timings(run: Path) -> dict[str, list[str]]:
    """How long each finished epoch took, by run: a line that is done again is another one."""
    files = run.glob("runs/*/*/timings.jsonl")
    return {str(file.relative_to(run)): file.read_text("utf-8").splitlines() for file in files}


@pytest.mark.slow
def test_a_study_that_is_killed_again_and_again_ends_as_one_left_alone(
    study: Path, sample_data: Path, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    asked = KILLER.replace("SIGKILL", "SIGTERM")
    ends = [
        (KILLER, "activitynet.training.checkpoint:TrainingState.save", 1),  # within the first run
        (KILLER, "activitynet.study.trials:Claim.record", 2),  # after a configuration's last run
        (KILLER, "optuna.study:Study.add_trial", 1),  # a configuration is queued, and not begun
        (KILLER, "optuna.study:Study.ask", 1),  # it is begun, and not locked
        (KILLER, "optuna.study:Study.tell", 1),  # it is marked as abandoned, and not queued again
        (asked, "activitynet.training.checkpoint:TrainingState.save", 2),  # when a run has nothing left to do
    ]
    done: dict[str, list[str]] = {}
    for program, where, calls in ends:
        code = -signal.SIGKILL if program == KILLER else 128 + signal.SIGTERM
        (said,) = finish([start(program, where, calls, *options(study, sample_data, run))], code)
        now = timings(run)
        for name, lines in done.items():
            assert now[name][: len(lines)] == lines  # resumed, not done again
        done = now
    assert "Continue with the same command." in said
    assert len(done) == 3
    finish([start(PLAIN, *options(study, sample_data, run))])
    assert all(timings(run)[name][: len(lines)] == lines for name, lines in done.items())
    states = Counter(trial.state.name for trial in trials(run))
    assert states == {"COMPLETE": 3, "FAIL": 4}  # a trial that was abandoned is begun again as another one
    assert table(run) == table(alone)


@pytest.mark.slow
def test_two_processes_that_start_together_share_the_work(
    study: Path, sample_data: Path, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    both = [start(TOGETHER, tmp_path, 2, at, *options(study, sample_data, run)) for at in range(2)]
    done = [{line for line in text.splitlines() if line.startswith("trial ")} for text in finish(both)]
    assert not done[0] & done[1]
    assert all(done)  # both had a part
    assert len(done[0] | done[1]) == 6  # three configurations with two seeds, once each
    assert [trial.state.name for trial in trials(run)] == ["COMPLETE"] * 3
    assert table(run) == table(alone)
