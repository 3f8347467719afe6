from __future__ import annotations

import json
from pathlib import Path

import pytest

from activitynet import Classifier, Ensemble
from activitynet.cli.main import run


@pytest.fixture(scope="module")
def members(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("members")
    folders = []
    for seed in (0, 1):
        classifier = Classifier("test_resnet_se")
        classifier.fit(sample_data, epochs=1, seed=seed, workers=0, progress=False)
        folders.append(str(classifier.save(root / f"{seed}")))
    return folders


@pytest.fixture(scope="module")
def built(members: list[str], sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble") / "both"
    options = ["--data", str(sample_data), "--to", str(folder), "--method", "uniform", "--cascade", "0.02"]
    assert run(["ensemble", *members, *options]) == 0
    return folder


def test_the_report_is_a_table(
    members: list[str], sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(sample_data), "--to", str(tmp_path / "both"), "--cascade", "0.02"]
    assert run(["ensemble", *members, *options]) == 0
    out = capsys.readouterr().out
    for word in ("macro-F1", "ECE", "ensemble", "cascade", str(tmp_path / "both")):
        assert word in out
    assert run(["ensemble", *members, *options, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["candidates"]) == 2
    assert report["cascade"]["macs"] <= report["ensemble"]["macs"]


def test_an_ensemble_is_evaluated_and_predicts_like_a_model(
    built: Path, sample_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(built), str(sample_data), "--json"]) == 0
    scores = Ensemble.load(built).evaluate(sample_data)
    told = json.loads(capsys.readouterr().out)
    assert told.pop("ignored") == [str(sample_data / "README.txt")]
    assert told == json.loads(json.dumps(scores.to_dict()))
    photo = next(sample_data.rglob("*.jpg"), None) or next(sample_data.rglob("*.png"))
    for options in ([], ["--cascade"]):
        assert run(["predict", str(photo), "--weights", str(built), "--json", *options]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        ensemble = Ensemble.load(built)
        predictor = ensemble.cascaded() if options else ensemble
        assert json.loads(line)["probability"] == pytest.approx(predictor.predict_one(photo).probability)


def test_a_soup_is_a_model(
    members: list[str], sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(sample_data), "--to", str(tmp_path / "soup")]
    assert run(["soup", *members, *options]) == 0
    out = capsys.readouterr().out
    assert "macro-F1" in out
    assert all(folder in out for folder in members)
    assert Classifier.load(tmp_path / "soup").temperature != 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "a.jpg", "--cascade", "--weights", "{model}"], "it takes an ensemble"),
        (["evaluate", "{built}", "{data}", "--engine", "auto"], "an ensemble runs as it is"),
        (["ensemble", "{model}", "--data", "{data}", "--to", "x", "--split", "train"], "choose val or test"),
        (["ensemble", "{model}", "--data", "{data}", "--to", "x", "--split", "test"], "has no 'test' photos"),
        (["soup", "nowhere", "--data", "{data}", "--to", "x"], "nowhere"),
    ],
)
def test_what_cannot_be_is_one_line(  # noqa: PLR0917
    arguments: list[str],
    said: str,
    members: list[str],
    built: Path,
    sample_data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"model": members[0], "built": str(built), "data": str(sample_data)}
    assert run([argument.format(**places) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("error: ")
    assert said in line
