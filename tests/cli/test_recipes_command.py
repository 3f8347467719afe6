from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import activitynet
from activitynet.cli.main import run
from activitynet.training.recipe import list_recipes, load_recipe


def test_the_table_has_a_row_for_each_recipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert run(["recipes"]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split(maxsplit=1)[0] for row in rows] == list_recipes()
    assert all(load_recipe(row.split()[0]).description in row for row in rows)


def test_json_lists_recipes_and_prints_one_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == list_recipes()
    assert run(["recipes", "fine_tune", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(json.dumps(load_recipe("fine_tune").to_dict()))


def test_what_is_printed_is_a_recipe_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["recipes", "fine_tune"]) == 0
    copy = tmp_path / "mine.toml"
    copy.write_text(capsys.readouterr().out, "utf-8")
    assert load_recipe(copy) == load_recipe("fine_tune")
    assert run(["recipes", str(copy)]) == 0
    assert capsys.readouterr().out == copy.read_text("utf-8")


def test_an_unknown_recipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes", "finetune"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: there is no recipe 'finetune'. Did you mean 'fine_tune'?")


class FakeClassifier:
    asked: dict[str, Any]

    def __init__(self, model: str, classes: Any, **options: Any) -> None:
        type(self).asked = {"model": model, "classes": classes, **options}

    def find_learning_rate(self, data: Path, **options: Any) -> Any:
        self.asked.update(options, data=data)
        return SimpleNamespace(rates=(1e-5, 1e-3), losses=(3.0, 2.5), suggestion=1.25e-3)


def test_lr_find_asks_the_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(vars(activitynet), "Classifier", FakeClassifier)
    options = (
        "--model m --init-from w --recipe quick --set batch_size=8 --image-size 96 --seed 5 --workers 0 "
        "--skip-bad --device cpu"
    )
    assert run(["lr-find", "data", *options.split(), "--plot", "lr.png"]) == 0
    assert capsys.readouterr().out.splitlines() == ["suggested learning rate: 0.0013", "lr.png"]
    assert FakeClassifier.asked == {
        "data": Path("data"),
        "model": "m",
        "classes": None,
        "init_from": "w",
        "recipe": "quick",
        "settings": {"batch_size": 8},
        "image_size": 96,
        "device": "cpu",
        "seed": 5,
        "workers": 0,
        "plot": Path("lr.png"),
        "skip_bad": True,
    }
    assert run(["lr-find", "data", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"suggestion": 1.25e-3, "rates": [1e-5, 1e-3], "losses": [3.0, 2.5]}


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "activitynet", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == activitynet.__version__
