"""The model that comes with the package."""

from __future__ import annotations

import csv
import io
import math
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from drawn_pattern import pattern

from activitynet import Classifier
from activitynet.data.dataset import ACTIVITIES
from activitynet.weights import DEFAULT, find_weights, list_weights, read_card

# What it says of `pattern`. A change of the weights or of the preprocessing shows here.
GOLDEN = {
    "dancing": 0.76817,
    "miscellaneous": 0.08948,
    "music playing": 0.05394,
    "running": 0.03561,
    "inactivity quiet/light": 0.02714,
    "self care": 0.01190,
    "water activities": 0.00838,
    "bicycling": 0.00220,
}


def test_its_files_are_small_and_hold_finite_halves() -> None:
    folder = find_weights(DEFAULT)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 9_000_000
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        assert tensor.dtype in (torch.float16, torch.int64), name
        assert torch.isfinite(tensor).all(), name


def test_its_card_tells_what_it_is() -> None:
    card = read_card(find_weights(DEFAULT))
    assert card.classes == ACTIVITIES
    assert card.metrics["macro_f1"] >= 0.84
    assert card.metrics["calibration"]["ece_held_out"] <= 0.03
    assert "Too few to learn: religious activities (3), volunteer activities (0)" in card.training_data
    assert "research" in card.license


@pytest.mark.parametrize("form", ["weights", "onnx", "openvino"])
def test_it_says_what_it_always_said(form: str, tmp_path: Path) -> None:
    classifier = Classifier.load(device="cpu")
    if form != "weights":
        file = classifier.export(tmp_path / f"small.{'onnx' if form == 'onnx' else 'xml'}", form)  # type: ignore[arg-type]
        classifier = Classifier.load(file, precision="fp32")
    said = dict(classifier.predict_one(pattern(), top=len(ACTIVITIES)).top)
    assert math.isclose(sum(said.values()), 1, abs_tol=1e-5)
    for name, probability in GOLDEN.items():
        assert math.isclose(said[name], probability, abs_tol=1e-3), name


def test_a_folder_of_that_name_does_not_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_card(find_weights(DEFAULT)).classes == ACTIVITIES
    assert find_weights("./default") == Path("default")


def test_it_is_listed() -> None:
    entry = list_weights()[0]
    assert (entry.name, entry.classes, entry.cached) == ("default", len(ACTIVITIES), True)


def test_the_command_needs_no_weights(tmp_path: Path) -> None:
    pattern().save(tmp_path / "pattern.png")
    command = [sys.executable, "-m", "activitynet", "predict", "pattern.png", "--csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["label"] == "dancing"


@pytest.mark.real_photos
@pytest.mark.slow
def test_it_scores_what_its_card_says(real_data: Path) -> None:
    classifier = Classifier.load(device="cpu")
    scores = classifier.evaluate(real_data / "activities")
    card = read_card(find_weights(DEFAULT))
    # Another processor rounds otherwise: a few photos of 1,914 may change sides.
    assert math.isclose(scores.macro_f1, card.metrics["macro_f1"], abs_tol=0.003)
    assert math.isclose(scores.accuracy, card.metrics["accuracy"], abs_tol=0.003)
