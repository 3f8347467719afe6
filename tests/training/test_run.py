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


def test_what_is_written_on_the_way_may_change_and_the_photos_may_not(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    photos = ["train 0 5 00ff a/1.jpg", "val 1 6 11ff b/2.jpg"]
    config = {"recipe": {"epochs": 3, "checkpoint": {"every_steps": 1}}}
    run.open(config, photos, resume=False)
    run.open({"recipe": {"epochs": 3, "checkpoint": {"every_steps": 9}}}, photos, resume=True)
    with pytest.raises(TrainingError, match=r"the photos changed: 1 photo removed \(a/1\.jpg\)"):
        run.open(config, photos[1:], resume=True)


def test_resuming_clears_away_what_a_killed_process_left(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.open(CONFIG, resume=False)
    litter = [run.last / ".state.safetensors.17.tmp", run.path / ".model.x.tmp", run.path / ".model.x.old"]
    for path in litter:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    kept = run.last / "state.safetensors"
    kept.write_bytes(b"whole")
    run.open(CONFIG, resume=True)
    assert not any(path.exists() for path in litter)
    assert kept.exists()


def test_snapshots_of_other_epochs_are_removed_and_nothing_else(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    for folder in (run.snapshot(3), run.snapshot(12), run.best, run.path / "checkpoints" / "epoch-mine"):
        folder.mkdir(parents=True)
    run.remove_snapshots(but={12})
    left = {path.name for path in (run.path / "checkpoints").iterdir()}
    assert left == {"epoch-0012", "best", "epoch-mine"}


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
    timings = [{"epoch": 0, "seconds": 0.0}]
    run.write_metrics(history, timings)
    assert [json.loads(line) for line in run.metrics.read_text().splitlines()] == history
    assert run.read_metrics() == (history, timings)
