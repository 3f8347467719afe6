from __future__ import annotations

import json
from pathlib import Path

import pytest

from activitynet.errors import StorageError, TrainingError
from activitynet.training import RunFolder

CONFIG = {"recipe": {"epochs": 3}, "classes": ["a", "b"], "seed": 0}


def test_a_run_is_never_overwritten_and_resumes_only_as_itself(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "deep" / "run")
    run.open(CONFIG, resume=False)
    with pytest.raises(TrainingError, match="already holds a run"):
        run.open(CONFIG, resume=False)
    run.open(CONFIG, resume=True)
    with pytest.raises(TrainingError, match=r"recipe\.epochs was 3 and is now 4"):
        run.open({**CONFIG, "recipe": {"epochs": 4}}, resume=True)
    with pytest.raises(TrainingError, match="classes"):
        run.open({**CONFIG, "classes": ["b", "a"]}, resume=True)


def test_resume_without_a_run_begins_one(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.open(CONFIG, resume=True)
    assert json.loads(run.config.read_text()) == CONFIG


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(StorageError, match="is a file"):
        RunFolder(tmp_path / "run").open(CONFIG, resume=False)


def test_metrics_are_one_json_line_an_epoch(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    history = [{"epoch": 0, "loss": None}, {"epoch": 1, "loss": 2.5}]
    run.write_metrics(history)
    assert [json.loads(line) for line in run.metrics.read_text().splitlines()] == history
