"""Real processes, really killed, and several at once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from processes import KILLER, PLAIN, STUDY, TOGETHER, finish, options, record, start, table

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
def test_a_study_that_is_killed_three_times_ends_as_one_left_alone(
    study: Path, sample_data: Path, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    asked = KILLER.replace("SIGKILL", "SIGTERM")
    ends = [
        (KILLER, "activitynet.training.checkpoint:TrainingState.save", 1),  # within the first run
        (KILLER, "activitynet.study.trials:Taken.note_run", 2),  # after a configuration's last run
        (KILLER, "optuna.study:Study.add_trial", 1),  # a configuration is taken, and nothing is done
        (asked, "activitynet.training.checkpoint:TrainingState.save", 2),  # when a run has nothing left to do
    ]
    done: dict[str, list[str]] = {}
    for program, where, calls in ends:
        code = -signal.SIGKILL if program == KILLER else 128 + signal.SIGTERM
        (said,) = finish([start(program, where, calls, *options(study, sample_data, run))], code)
        assert record(run)[-1][1] == "RUNNING"
        now = timings(run)
        for name, lines in done.items():
            assert now[name][: len(lines)] == lines  # gone on with, not done again
        done = now
    assert "Go on with the same command." in said
    assert len(done) == 3
    finish([start(PLAIN, *options(study, sample_data, run))])
    assert all(timings(run)[name][: len(lines)] == lines for name, lines in done.items())
    assert record(run) == record(alone)
    assert [trial[1] for trial in record(run)] == ["COMPLETE"] * 3
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
    assert [trial[1] for trial in record(run)] == ["COMPLETE"] * 3
    assert table(run) == table(alone)


@pytest.mark.slow
def test_two_hosts_that_share_a_database_share_the_work(
    study: Path, sample_data: Path, alone: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    runs = [tmp_path / f"host-{at}" for at in range(2)]  # they share no folder, so they see no locks
    both = [
        start(TOGETHER, tmp_path, 2, at, *options(study, sample_data, run), "--storage", url)
        for at, run in enumerate(runs)
    ]
    done = [{line for line in text.splitlines() if line.startswith("trial ")} for text in finish(both)]
    assert not done[0] & done[1]
    assert all(done)
    assert len(done[0] | done[1]) == 6
    # Which of two that ask at once is first may leave trials behind that count for nothing.
    assert [trial[1] for trial in record(runs[0], url)].count("COMPLETE") == 3
    assert table(runs[0]) == table(runs[1]) == table(alone)
