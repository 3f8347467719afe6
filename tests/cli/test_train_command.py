from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import activitynet
from activitynet.cli import options as shared
from activitynet.cli.main import run
from activitynet.cli.options import read_classes
from activitynet.data.dataset import PhotoData
from activitynet.errors import DataError

PHOTOS = PhotoData(("running", "walking"), (), (), ignored=(Path("notes.odt"),))


class FakeResult:
    best_epoch = 1
    best = {"epoch": 1, "macro_f1": 0.5, "accuracy": 0.25}  # noqa: RUF012 - never changed
    history = (best,)
    skipped: Mapping[str, int] = {}


class FakeClassifier:
    """Notes what it is asked for."""

    asked: dict[str, Any]

    def __init__(self, model: str, classes: Any, **options: Any) -> None:
        type(self).asked = {"model": model, "classes": classes, **options}

    def fit(self, data: PhotoData, **options: Any) -> FakeResult:
        assert data is PHOTOS
        self.asked.update(options, method="fit")
        return FakeResult()

    def fine_tune(self, data: PhotoData, **options: Any) -> FakeResult:
        self.fit(data, **options)
        self.asked["method"] = "fine_tune"
        return FakeResult()


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> type[FakeClassifier]:
    def open_for(classifier: FakeClassifier, data: Path, **_: Any) -> PhotoData:
        classifier.asked["data"] = data
        return PHOTOS

    monkeypatch.setitem(vars(activitynet), "Classifier", FakeClassifier)
    monkeypatch.setattr(shared, "open_for", open_for)
    return FakeClassifier


@pytest.mark.parametrize(("command", "method"), [("train", "fit"), ("fine-tune", "fine_tune")])
def test_options_reach_the_library(
    command: str, method: str, classifier: type[FakeClassifier], tmp_path: Path
) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("running\nwalking\n")
    options = (
        "--model m --init-from w --run r --epochs 3 --batch-size 8 --lr 0.1 --image-size 96 --seed 5 "
        "--device cpu --workers 0 --skip-bad --cache c --cache-gb 0.5 --resume --no-progress --json "
        "--recipe mine.toml --set optimizer.name=sgd --set checkpoint.epochs=[1,2] "
        "--track tensorboard --track wandb"
    )
    assert run([command, "data", *options.split(), "--classes", str(names)]) == 0
    assert classifier.asked == {
        "method": method,
        "data": Path("data"),
        "model": "m",
        "init_from": "w",
        "run": Path("r"),
        "epochs": 3,
        "batch_size": 8,
        "lr": 0.1,
        "image_size": 96,
        "device": "cpu",
        "seed": 5,
        "workers": 0,
        "resume": True,
        "skip_bad": True,
        "cache": Path("c"),
        "cache_gb": 0.5,
        "progress": False,
        "recipe": "mine.toml",
        "settings": {"optimizer.name": "sgd", "checkpoint.epochs": [1, 2]},
        "track": ("tensorboard", "wandb"),
        "classes": ["running", "walking"],
    }


def test_what_is_not_said_is_left_to_the_library(classifier: type[FakeClassifier]) -> None:
    assert run(["train", "data"]) == 0
    left = ("init_from", "image_size", "device", "epochs", "batch_size", "lr", "workers", "classes", "cache")
    assert all(classifier.asked[name] is None for name in left)
    assert classifier.asked["model"] == "resnet18_se"
    assert (classifier.asked["recipe"], classifier.asked["settings"]) == ("default", {})
    assert classifier.asked["track"] == ()
    assert run(["fine-tune", "data"]) == 0
    assert classifier.asked["recipe"] == "fine_tune"


def test_a_field_is_set_once(classifier: type[FakeClassifier], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "data", "--set", "epochs=1", "--set", "epochs = 2"]) == 2
    assert "'epochs' twice" in capsys.readouterr().err
    assert run(["train", "data", "--set", "epochs"]) == 2
    assert "FIELD=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_was_stopped_says_in_one_line_how_to_go_on(
    signum: int,
    code: int,
    classifier: type[FakeClassifier],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from activitynet.training.signals import Interrupted

    def fit(*_: Any, **__: Any) -> None:
        raise Interrupted("stopped at step 7.", signum)

    monkeypatch.setattr(classifier, "fit", fit)
    assert run(["train", "data", "--run", "my runs/a"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    line = "stopped at step 7. Continue with the same command and --run 'my runs/a' --resume."
    assert captured.err.splitlines() == [f"run folder: {Path('my runs/a')}", line]


def test_of_several_processes_the_first_alone_speaks(
    classifier: type[FakeClassifier], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")
    assert run(["train", "data"]) == 2  # no two processes would name the folder alike
    assert "--run" in capsys.readouterr().err
    assert run(["train", "data", "--run", "r"]) == 0
    assert "best epoch 1" in capsys.readouterr().out
    monkeypatch.setenv("RANK", "1")
    assert run(["train", "data", "--run", "r"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_the_default_run_folder_is_named_after_the_model_and_shown(
    classifier: type[FakeClassifier], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "data", "--model", "timm/resnet18.a1"]) == 0
    folder = classifier.asked["run"]
    assert folder.parent == Path("runs")
    assert folder.name.startswith("timm_resnet18_a1-2")
    assert f"run folder: {folder}\n" in capsys.readouterr().err


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(
    classifier: type[FakeClassifier], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = []
    for _ in range(20):
        assert run(["train", "data"]) == 0
        folders.append(classifier.asked["run"])
        folders[-1].mkdir(parents=True)
    assert len(set(folders)) == 20


def test_the_result_names_what_was_written(
    classifier: type[FakeClassifier], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "confusion.png").touch()
    assert run(["train", "data", "--run", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run": str(tmp_path),
        "weights": str(tmp_path / "model"),
        "plots": [str(tmp_path / "plots" / "confusion.png")],
        "skipped": {},
        "classes": ["running", "walking"],
        "ignored": ["notes.odt"],
        "best": FakeResult.best,
        "history": [FakeResult.best],
    }
    assert run(["train", "data", "--run", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "best epoch 1: macro-F1 0.500, accuracy 0.250",
        str(tmp_path / "model"),
        str(tmp_path / "plots" / "confusion.png"),
    ]


def test_class_names_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes("\ufeffself care\r\n\r\n  зимние виды \n".encode())
    assert read_classes(path) == ["self care", "зимние виды"]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe", None])
def test_class_names_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "classes.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"classes\.txt"):
        read_classes(path)
