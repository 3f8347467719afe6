"""A leading ``~`` is the home folder wherever a user can name a file or folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from activitynet import Classifier, Ensemble, create_model, draw_sample_data, load_ensemble
from activitynet.cli.main import command_line, run
from activitynet.data import audit
from activitynet.data.cache import PhotoCache
from activitynet.data.class_folders import open_folder
from activitynet.data.dataset import PhotoData
from activitynet.data.inputs import iter_photos
from activitynet.data.open import open_data
from activitynet.data.tables import open_table, read_split, write_split
from activitynet.ensemble.build import find_members
from activitynet.errors import ActivityNetError, ModelError
from activitynet.evaluation import report
from activitynet.evaluation.outputs import Outputs
from activitynet.evaluation.plots import plot_learning_rates
from activitynet.inference.writers import PredictionFile
from activitynet.serialization import atomic
from activitynet.serialization.paths import expand_user, user_path
from activitynet.study.definition import load_study
from activitynet.study.running import StudyFolder
from activitynet.training.recipe import load_recipe
from activitynet.training.run import RunFolder
from activitynet.weights import find_weights, load_weights, pull_weights, read_card
from activitynet.zoo.warm_start import load_trunk

CLASSES = ("dancing", "running")
STUDY = """
model = "test_resnet_se"
image_size = 32
epochs = 1
seeds = [0]
[axes.lr]
low = { optimizer.lr = 0.001 }
high = { optimizer.lr = 0.01 }
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with drawn data, a table, weights, an ensemble, a report, a recipe and a study."""
    home = tmp_path_factory.mktemp("home")
    draw_sample_data(home / "data", train_per_class=1, val_per_class=1, size=32, classes=CLASSES)
    write_split(home / "data.csv", open_data(home / "data"))
    model = create_model("test_resnet_se", num_classes=2)
    Classifier(model, CLASSES, image_size=32).save(home / "weights")
    Ensemble([load_weights(home / "weights")]).save(home / "ensemble")
    report.write_report(home / "report", report.make_report(outputs(home / "data"), name="x", resamples=5))
    (home / "mine.toml").write_text("epochs = 1\n", "utf-8")
    (home / "study.toml").write_text(STUDY, "utf-8")
    return home


def outputs(folder: str | Path = "~/data") -> Outputs:
    photos = open_data(folder).train
    return Outputs(photos, CLASSES, np.eye(2, dtype=np.float32), 1.0, np.full((2, 2), 32), np.zeros(2))


def data() -> PhotoData:
    return open_data("~/data")


def begin(folder: RunFolder | StudyFolder) -> None:
    folder.open({folder.required: {}}, resume=False)


def refuse_exported_files() -> None:
    """Exporting takes seconds: the errors tell which file was meant."""
    home = re.escape(str(Path.home()))
    with pytest.raises(ModelError, match=f"'{home}.x.txt' is not named like onnx"):
        Classifier.load("~/weights").export("~/x.txt")
    with pytest.raises(ActivityNetError, match=f"'{home}.x.onnx'"):
        Classifier.load("~/x.onnx", engine="onnxruntime")


def predict() -> None:
    with PredictionFile("~/made/rows.csv", top=1) as file:
        list(file.sources())


READERS: dict[str, Callable[[], Any]] = {
    "data": data,
    "folder": lambda: open_folder("~/data"),
    "table": lambda: open_table("~/data.csv"),
    "split": lambda: read_split("~/data.csv", data()),
    "photos": lambda: [image() for _, image in iter_photos("~/data/val/*/*.jpg")],
    "recipe": lambda: load_recipe("~/mine.toml"),
    "study": lambda: load_study("~/study.toml"),
    "weights": lambda: load_weights("~/weights"),
    "card": lambda: read_card("~/weights"),
    "found weights": lambda: find_weights("~/weights").relative_to(Path.home()),
    "classifier": lambda: Classifier.load("~/weights"),
    "ensemble": lambda: load_ensemble("~/ensemble"),
    "members": lambda: list(find_members(["~/weights"])),
    "warm start": lambda: load_trunk("~/weights"),
    "report": lambda: report.read_report("~/report"),
    "exported file": refuse_exported_files,
    "command": lambda: ok("evaluate", "~/weights", "~/data"),
}
WRITERS: dict[str, Callable[[], Any]] = {
    "drawn data": lambda: draw_sample_data("~/made", train_per_class=1, val_per_class=0, classes=CLASSES),
    "split": lambda: write_split("~/made/split.csv", data()),
    "audit": lambda: audit.write_report("~/made/audit.html", audit.audit(data(), workers=1)),
    "cache": lambda: PhotoCache("~/made", size=32, max_bytes=10**6),
    "run": lambda: begin(RunFolder("~/made")),
    "study": lambda: begin(StudyFolder("~/made")),
    "weights": lambda: Classifier.load("~/weights").save("~/made"),
    "ensemble": lambda: load_ensemble("~/ensemble").save("~/made"),
    "pulled weights": lambda: pull_weights("~/weights", to="~/made"),
    "predictions": predict,
    "report": lambda: report.write_report("~/made", report.make_report(outputs(), name="x", resamples=5)),
    "comparison": lambda: report.write_comparison(
        "~/made", report.comparison_table([report.read_report("~/report")] * 2)
    ),
    "plot": lambda: plot_learning_rates([0.1, 1.0], [2.0, 1.0], 0.1, "~/made/rates.png"),
    "file": lambda: atomic.write_json("~/made/x.json", {}),
    "command": lambda: ok("sample-data", "~/made", "--train-per-class=1", "--val-per-class=0", "--size=32"),
}


def ok(*arguments: str) -> None:
    assert run(arguments) == 0


@pytest.fixture
def elsewhere(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with `home` as the home folder."""
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(home))
    return tmp_path


@pytest.mark.parametrize("door", READERS)
def test_what_lies_in_the_home_folder_is_read(door: str, elsewhere: Path) -> None:
    READERS[door]()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("door", WRITERS)
def test_what_is_written_lands_in_the_home_folder(door: str, home: Path, elsewhere: Path) -> None:
    WRITERS[door]()
    made = home / "made"
    assert any(made.iterdir())
    made.rename(elsewhere / "done")
    assert [entry.name for entry in elsewhere.iterdir()] == ["done"]


def test_every_path_of_the_command_line_is_expanded() -> None:
    found = 0
    for command in command_line.registered_commands:
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            if get_origin(hint) is Annotated and "Path" in str(get_args(hint)[0]):
                assert get_args(hint)[1].parser is user_path, (command.name, name)
                found += 1
    assert found > 20


def test_only_a_leading_tilde_is_the_home_folder(elsewhere: Path, home: Path) -> None:
    assert user_path("~/photos") == home / "photos"
    for text in ("a/~/b", "~nobody-of-this-name/x", "hf://org/name", "https://example.org/~a/1.jpg", ""):
        assert expand_user(text) == text
