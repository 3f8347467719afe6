"""A small study in this process: what it writes, what ends early, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from activitynet.cli.main import run as run_command
from activitynet.data.dataset import PhotoData
from activitynet.errors import ActivityNetError, TrainingError
from activitynet.study import Study, StudyResult, read_study, run_study
from activitynet.study.definition import parse_study
from activitynet.study.running import PruneCallback, PrunedError, StudyFolder, train_claim
from activitynet.study.trials import Trials
from activitynet.training import Event, FitResult, Recipe, RunFolder

pytest.importorskip("optuna")

SMALL = """
model = "test_resnet_se"
image_size = 32
recipe = "quick"
epochs = 1
seeds = [3, 5]
[settings]
batch_size = 2
[data]
photos_per_class = 1
val_photos_per_class = 1
[axes.optimizers]
plain = {}
wild = { optimizer.name = "sgd", optimizer.lr = 1000.0, optimizer.weight_decay = 1000.0 } # soon infinite
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def finished(
    study: Path, sample_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, StudyResult]:
    run = tmp_path_factory.mktemp("finished") / "run"
    return run, run_study(study, sample_data, run=run, workers=0, progress=False)


def test_what_it_writes_says_what_was_done(finished: tuple[Path, StudyResult]) -> None:
    run, result = finished
    value = json.loads((run / "study.json").read_text("utf-8"))
    assert value == json.loads(json.dumps(result.to_dict()))
    assert value["photos"]["train"] == 20
    rows = list(csv.DictReader((run / "results.csv").read_text("utf-8").splitlines()))
    base = [row for row in rows if row["configuration"] == "plain"]
    assert [row["seed"] for row in base] == ["3", "5"]
    for row in base:
        (place,) = run.glob(f"runs/*-{row['key']}/seed-{row['seed']}")
        written = [json.loads(line) for line in (place / "metrics.jsonl").read_text("utf-8").splitlines()]
        assert float(row["macro_f1"]) == max(entry["macro_f1"] for entry in written)
        assert (place / "model" / "model.safetensors").is_file()
        assert not (place / "checkpoints").exists()
    assert {row.label: row.state for row in result.rows} == {"plain": "complete", "wild": "failed"}
    assert "Lower the learning rate" in result.rows[1].error
    page = (run / "study.html").read_text("utf-8")
    assert "plain" in page
    assert "Score against minutes per run" in (run / "plots" / "costs.svg").read_text("utf-8")


def test_the_report_alone_is_the_same_and_trains_nothing(
    finished: tuple[Path, StudyResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, result = finished
    page = (run / "study.html").read_bytes()
    (run / "study.html").unlink()
    monkeypatch.delattr("activitynet.study.running.Classifier")
    assert read_study(run) == result
    assert (run / "study.html").read_bytes() == page


def test_it_goes_on_as_itself_only(
    study: Path, sample_data: Path, finished: tuple[Path, StudyResult], tmp_path: Path
) -> None:
    run, result = finished
    options: dict[str, Any] = {"run": run, "workers": 0, "progress": False}
    assert run_study(study, sample_data, settings={"budget.trials": 9}, **options) == _with_budget(result)
    with pytest.raises(TrainingError, match=r"seeds was \[3, 5\] and is now \[3\]"):
        run_study(study, sample_data, settings={"seeds": [3]}, **options)
    with pytest.raises(TrainingError, match="the photos changed"):
        run_study(study, _other(sample_data, tmp_path), **options)
    (place,) = run.glob("runs/plain-*/seed-3")
    with pytest.raises(TrainingError, match="holds something other than a study"):
        run_study(study, sample_data, **{**options, "run": place})


def _with_budget(result: StudyResult) -> StudyResult:
    return replace(result, study=replace(result.study, budget=replace(result.study.budget, trials=9)))


def _other(data: Path, place: Path) -> Path:
    shutil.copytree(data, place / "data")
    for photo in (place / "data" / "val").rglob("*"):
        if photo.is_file():
            photo.write_bytes(photo.read_bytes() + b" ")  # which no decoder looks at
    return place / "data"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["study", "loss", "photos"], "--run"),
        (["study", "--run", "x"], "STUDY"),
        (["study", "loss", "--run", "x"], "DATA"),
        (["study", "lss", "photos", "--run", "x"], "Did you mean 'loss'?"),
        (["study", "loss", "nowhere", "--run", "x"], "nowhere"),
        (["study", "loss", "photos", "--run", "x", "--set", "sampler=gird"], "'sampler' must be one of"),
        (["study", "--report", "--run", "x"], "holds no study"),
    ],
)
def test_wrong_usage_of_study_is_one_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_the_command_lists_and_prints(
    finished: tuple[Path, StudyResult], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["study", "--list"]) == 0
    assert "architecture" in capsys.readouterr().out
    assert run_command(["study", "loss", "--list"]) == 0
    assert "[axes.losses]" in capsys.readouterr().out
    assert run_command(["study", "--report", "--run", str(finished[0])]) == 0
    captured = capsys.readouterr()
    assert "plain" in captured.out
    assert "study.html" in captured.err


def test_a_launcher_of_distributed_training_is_refused(
    study: Path, sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ActivityNetError, match="once for each device"):
        run_study(study, sample_data, run=tmp_path / "run")


EPOCHS = 9


class PretendClassifier:
    """Goes through the epochs of a run without training."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.model = torch.nn.Linear(2, 2)

    def fit(self, photos: PhotoData, *, recipe: Recipe, callbacks: Any, **_: Any) -> FitResult:
        history = [
            {"epoch": epoch, "macro_f1": score, "accuracy": score}
            for epoch, score in enumerate(scores(recipe))
        ]
        for row in history:
            for callback in callbacks:
                tell(callback, row["epoch"], row["macro_f1"])
        timing = {"seconds": 1.0, "validation_seconds": 1.0, "images_per_second": 9.0}
        timings = [{"epoch": epoch, **timing} for epoch in range(EPOCHS + 1)]
        return FitResult(tuple(history), tuple(timings), EPOCHS, None)

    def macs(self) -> float:
        return 4.0


def scores(recipe: Recipe) -> list[float]:
    return [0.05 + (epoch / 20 if recipe.optimizer.lr > 1e-6 else 0.0) for epoch in range(EPOCHS + 1)]


def tell(callback: Any, epoch: int, score: float, kind: Any = "epoch") -> None:
    callback(Event(kind, epoch=epoch, epochs=EPOCHS, step=epoch, steps=EPOCHS, scores={"macro_f1": score}))


def a_pruned_study(pruner: str) -> Study:
    axes = {"optimizer.lr": [4e-3, 5e-3, 6e-3, 1e-12]}  # the base comes before them
    fields = {"name": "small", "model": "test_resnet_se", "seeds": [0, 1]}
    return parse_study({**fields, "pruner": pruner, "axes": axes}, what="study")


@pytest.mark.parametrize(
    ("pruner", "last"), [("none", "COMPLETE"), ("median", "PRUNED"), ("halving", "PRUNED")]
)
def test_a_configuration_that_is_worse_at_first_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pruner: str, last: str
) -> None:
    monkeypatch.setattr("activitynet.study.running.Classifier", PretendClassifier)
    study = a_pruned_study(pruner)
    trials = Trials(study, tmp_path)
    while (claim := trials.claim()) is not None:
        train_claim(study, claim, PhotoData((), (), ()), StudyFolder(tmp_path), {})
        claim.release()
    assert [trial.state.name for trial in trials.all()] == ["COMPLETE"] * 4 + [last]
    assert len(trials.all()[-1].user_attrs.get("runs", {})) == (2 if last == "COMPLETE" else 0)
    assert trials.all()[0].value == pytest.approx(0.5)


def test_epochs_that_were_saved_and_not_reported_are_reported_when_a_run_resumes(tmp_path: Path) -> None:
    trials = Trials(a_pruned_study("median"), tmp_path)
    for number in range(5):
        claim = trials.claim()
        assert claim is not None
        run = RunFolder(tmp_path / str(number))
        found = scores(claim.configuration.recipe)
        run.write_metrics([{"epoch": epoch, "macro_f1": score} for epoch, score in enumerate(found[:4])])
        callback = PruneCallback(claim, run)
        if number < 4:
            tell(callback, 1, found[1])
            tell(callback, 3, 0.0, "start")  # its process was killed before it reported epochs 2 and 3
            reported = trials.all()[number].intermediate_values
            assert reported == pytest.approx({epoch: found[epoch] for epoch in (1, 2, 3)})
            claim.finish("COMPLETE", found[3])
        else:
            with pytest.raises(PrunedError):
                tell(callback, 3, 0.0, "start")
        claim.release()
