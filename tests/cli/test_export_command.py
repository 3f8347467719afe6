from __future__ import annotations

import json
from pathlib import Path

import pytest

from activitynet import Classifier
from activitynet.cli.main import run


def test_an_exported_file_predicts_and_evaluates_like_its_weights(
    sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = Classifier("test_resnet_se", image_size=32, device="cpu")
    classifier.fit(sample_data, epochs=1, progress=False, workers=0)
    weights, path = classifier.save(tmp_path / "model"), tmp_path / "model.onnx"
    assert run(["export", str(weights), str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    photo = str(next((sample_data / "val").rglob("*.jpg")))
    outputs = []
    for options in (
        ["--weights", str(weights)],
        ["--weights", str(path), "--engine", "onnxruntime"],
        ["--weights", str(weights), "--engine", "torch"],
    ):
        assert run(["predict", photo, *options, "--json"]) == 0
        outputs.append(json.loads(capsys.readouterr().out))
    assert [row["label"] for row in outputs] == [outputs[0]["label"]] * 3
    assert outputs[1]["probability"] == pytest.approx(outputs[0]["probability"], abs=1e-4)
    assert run(["evaluate", str(path), str(sample_data), "--engine", "onnxruntime", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["macro_f1"] == classifier.evaluate(sample_data, workers=0).macro_f1


def test_a_name_without_a_known_end_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(tmp_path), str(tmp_path / "model.txt")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
