"""evaluate --report, compare, calibrate and explain: what the library says, on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from activitynet import ACTIVITIES, Classifier, create_model
from activitynet.cli.main import run
from activitynet.data.decode import decode_image

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of few cores


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = create_model("test_resnet_se", num_classes=len(ACTIVITIES))
    return Classifier(model, ACTIVITIES, image_size=64).save(tmp_path_factory.mktemp("weights") / "model")


@pytest.fixture
def photo(sample_data: Path) -> Path:
    return next((sample_data / "val").rglob("*.*g"))


def test_reports_are_written_and_compared(
    weights: Path, sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mended = tmp_path / "mended"
    assert run(["calibrate", str(weights), str(sample_data), "--to", str(mended), "--json"]) == 0
    fitted = json.loads(capsys.readouterr().out)
    assert Classifier.load(mended).temperature == fitted["temperature"] != 1
    for name, source in (("a", weights), ("b", mended)):
        report = tmp_path / name / "report"
        assert run(["evaluate", str(source), str(sample_data), "--report", str(report), "--json"]) == 0
        captured = capsys.readouterr()
        assert f"report: {report / 'report.html'}" in captured.err
        printed = json.loads(captured.out)
        told = json.loads((report / "report.json").read_text("utf-8"))
        assert printed == {**told["scores"], "ignored": [str(sample_data / "README.txt")]}
        assert (report / "report.html").is_file()
    runs = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert run(["compare", *runs, "--report", str(tmp_path / "out"), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table == json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8"))
    (found,) = table["comparisons"]
    assert found["accuracy"]["value"] == found["only_first"] == found["only_second"] == 0
    assert run(["compare", *runs]) == 0
    told = capsys.readouterr().out
    assert re.search(r"\naccuracy +0.\d{3} \(0.\d{3} to 0.\d{3}\) +0.\d{3} \(", told)
    assert "\nNo significant difference between" in told
    assert run(["compare", *runs, runs[0]]) == 0
    assert re.search(r"\naccuracy +0.\d{3} +0.\d{3} +0.\d{3} ", capsys.readouterr().out)
    assert run(["compare", runs[0], str(tmp_path)]) == 2
    assert "holds no report.json" in capsys.readouterr().err


def test_a_risk_that_cannot_be_promised_is_one_line(
    weights: Path, sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--to", str(tmp_path / "out"), "--risk", "0.01"]
    assert run(["calibrate", str(weights), str(sample_data), *options]) == 2
    assert "no threshold reaches a risk of 0.01" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", ["grad-cam", "occlusion"])
def test_an_explanation_is_a_picture_of_the_photo(
    how: str, weights: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = photo.parents[2]
    to = tmp_path / "why.png"
    options = ["--weights", str(weights), "--to", str(to), "--how", how, "--label", "dancing"]
    assert run(["explain", str(photo), *options, "--nearest", str(data)]) == 0
    first, *near = capsys.readouterr().out.splitlines()
    assert first.startswith("dancing ")
    assert first.endswith(f"%: {to}")
    assert len(near) == 5
    with Image.open(to) as overlay:
        assert overlay.size == decode_image(photo).size


def test_what_explain_refuses(
    weights: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ["--weights", str(weights), "--to", str(tmp_path / "why.png")]
    for options, message in (
        ([str(photo), *to[:3], "why.jpg"], "ends in .png"),
        ([str(photo), *to, "--label", "dancin"], "Did you mean 'dancing'"),
        ([str(tmp_path / "none.jpg"), *to], "none.jpg"),
    ):
        assert run(["explain", *options]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "why.png").exists()
