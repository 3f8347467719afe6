from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from activitynet import ACTIVITIES, Classifier, draw_sample_data
from activitynet.cli.data import sample_data
from activitynet.cli.main import run
from activitynet.data.dataset import slug


@pytest.fixture(scope="module")
def weights(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    options = [
        "--model",
        "test_resnet_se",
        "--run",
        str(folder),
        "--epochs",
        "1",
        "--no-progress",
        "--workers",
        "0",
    ]
    assert run(["train", str(sample_data), *options]) == 0
    return folder / "model"


def test_training_leaves_a_run(weights: Path) -> None:
    assert {path.name for path in (weights.parent / "plots").iterdir()} == {
        "confusion.png",
        "learning_curves.png",
        "per_class_f1.png",
    }
    assert Classifier.load(weights).classes == ACTIVITIES


def test_the_same_command_does_not_overwrite_a_run(
    weights: Path, sample_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", str(sample_data), "--model", "test_resnet_se", "--run", str(weights.parent)]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_fine_tuning_starts_from_weights(weights: Path, sample_data: Path, tmp_path: Path) -> None:
    options = ["--model", "test_resnet_se", "--run", str(tmp_path / "run"), "--epochs", "0", "--no-progress"]
    assert run(["fine-tune", str(sample_data), *options, "--init-from", str(weights)]) == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_fine_tuning_needs_weights(
    sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["fine-tune", str(sample_data), "--model", "test_resnet_se", "--run", str(tmp_path / "r")]) == 2
    )
    assert "error: " in capsys.readouterr().err


def test_evaluation_says_what_the_library_says(
    weights: Path, sample_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = Classifier.load(weights).evaluate(sample_data)
    assert run(["evaluate", str(weights), str(sample_data), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("ignored") == [str(sample_data / "README.txt")]
    assert told == json.loads(json.dumps(scores.to_dict()))

    assert run(["evaluate", str(weights), str(sample_data)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rsplit(maxsplit=4)[0] for line in lines[1:21]] == list(ACTIVITIES)
    assert lines[21] == scores.summary()


def test_a_device_that_is_none_is_named(
    weights: Path, sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, model, photo = str(sample_data), str(weights), str(next((sample_data / "val").rglob("*.*g")))
    for command in (
        ["evaluate", model, data],
        ["predict", photo, "--weights", model],
        ["calibrate", model, data, "--to", str(tmp_path / "calibrated")],
        ["explain", photo, "--weights", model, "--to", str(tmp_path / "heat.png")],
        ["soup", model, "--data", data, "--to", str(tmp_path / "soup")],
        ["train", data, "--model", "test_resnet_se", "--run", str(tmp_path / "run")],
    ):
        assert run([*command, "--device", "warp"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "error: 'warp' is not a device" in captured.err
    assert list(tmp_path.iterdir()) == []


def test_prediction_agrees_with_evaluation(
    weights: Path, sample_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(weights), str(sample_data), "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    assert run(["predict", str(sample_data / "val"), "--weights", str(weights), "--top", "1", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    right = [Path(line["source"]).parent.name == slug(line["label"]) for line in lines]
    assert sum(right) / len(right) == pytest.approx(accuracy)


def test_a_broken_photo_is_code_1_and_the_rest_goes_on(
    weights: Path, sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "empty\n.jpg"
    broken.touch()
    good = next((sample_data / "val").rglob("*.*g"))
    assert run(["predict", str(broken), str(good), "--weights", str(weights), "--json"]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["source"] == str(broken)
    assert first["error"]
    assert second["error"] is None


@pytest.mark.parametrize(
    "command", [["evaluate", "{missing}", "{data}"], ["predict", "x", "--weights", "{missing}"]]
)
def test_weights_that_are_missing(
    command: list[str], sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"missing": tmp_path / "missing", "data": sample_data}
    assert run([part.format(**places) for part in command]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


def test_sample_data_has_the_defaults_of_the_library() -> None:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(draw_sample_data).parameters.items()
        if name not in ("folder", "classes")
    }
    offered = inspect.signature(sample_data).parameters
    assert {name: offered[name].default for name in defaults} == defaults


def test_sample_data_is_what_the_library_draws(tmp_path: Path) -> None:
    options = ["--train-per-class", "1", "--val-per-class", "1", "--size", "48", "--seed", "3"]
    assert run(["sample-data", str(tmp_path / "a"), *options]) == 0
    draw_sample_data(tmp_path / "b", train_per_class=1, val_per_class=1, size=48, seed=3)

    def contents(folder: Path) -> dict[Path, bytes]:
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert len(contents(tmp_path / "a")) >= 2 * len(ACTIVITIES)
