"""Real processes, really killed, and several at once."""

from __future__ import annotations

import collections
import json
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
    kills = [
        ("activitynet.training.state:TrainingState.save", 2),  # within the first run
        ("activitynet.study.trials:Taken.note_run", 2),  # after a configuration's last run, before it ends
        ("optuna.study:Study.add_trial", 2),  # a configuration is taken, and nothing is done
    ]
    done: dict[str, list[str]] = {}
    for where, calls in kills:
        finish([start(KILLER, where, calls, *options(study, sample_data, run))], -signal.SIGKILL)
        now = timings(run)
        for name, lines in done.items():
            assert now[name][: len(lines)] == lines  # gone on with, not done again
        done = now
    assert any("RUNNING" in trial for trial in record(run))
    finish([start(PLAIN, *options(study, sample_data, run))])
    assert len(done) >= 2
    assert all(timings(run)[name][: len(lines)] == lines for name, lines in done.items())
    assert record(run) == record(alone)
    assert [trial[1] for trial in record(run)] == ["COMPLETE"] * 4
    assert table(run) == table(alone)


@pytest.mark.slow
@pytest.mark.parametrize("shared", ["folder", "database"])
def test_two_processes_that_start_together_share_the_work(
    study: Path, sample_data: Path, alone: Path, tmp_path: Path, shared: str
) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}" if shared == "database" else None
    runs = [tmp_path / f"run-{at if url else 0}" for at in range(2)]
    more = ["--storage", url] if url else []
    processes = [
        start(TOGETHER, tmp_path, 2, at, *options(study, sample_data, run, *more))
        for at, run in enumerate(runs)
    ]
    said = finish(processes)
    done = [{line for line in text.splitlines() if line.startswith("trial ")} for text in said]
    assert not done[0] & done[1]
    assert all(done)  # both had a part
    trials = record(runs[0], url)
    counts = collections.Counter(json.dumps(trial[2]) for trial in trials if trial[1] == "COMPLETE")
    assert set(counts.values()) == {1}
    assert len(done[0] | done[1]) == 8  # four configurations with two seeds, once each
    for run in runs:
        assert {row["key"]: row for row in table(run)} == {row["key"]: row for row in table(alone)}


@pytest.mark.slow
def test_one_that_is_asked_to_stop_says_how_to_go_on(study: Path, sample_data: Path, tmp_path: Path) -> None:
    asked = KILLER.replace("signal.SIGKILL", "signal.SIGTERM")
    where = ("activitynet.training.state:TrainingState.save", 2)
    (said,) = finish(
        [start(asked, *where, *options(study, sample_data, tmp_path / "run"))], 128 + signal.SIGTERM
    )
    assert "Go on with the same command." in said
    assert [trial[1] for trial in record(tmp_path / "run")] == ["RUNNING"]
