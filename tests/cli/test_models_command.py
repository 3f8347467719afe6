from __future__ import annotations

import json

import pytest

from activitynet import list_models, model_info
from activitynet.cli.main import run


def test_json_says_what_the_library_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "test_*", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in told] == list_models("test_*")
    for entry in told:
        info = model_info(entry["name"])
        assert (entry["parameters"], entry["macs"]) == (info.parameters, info.macs)
        assert entry["input_size"] == list(info.input_size)


def test_table_has_a_row_for_each_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "*18_se"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "parameters", "MACs", "input"]
    assert [row.split()[:2] for row in rows] == [["resnet18_se", "11,273,812"]]


def test_models_of_timm_are_found_by_their_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "timm/test_resnet"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("timm/test_resnet ")


def test_a_pattern_that_matches_nothing_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "resnet", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "'resnet'" in captured.err
