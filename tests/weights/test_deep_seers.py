"""The five-member ensemble, as it lies in a checkout."""

from __future__ import annotations

import json
import math
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from drawn_pattern import pattern

from activitynet import Classifier, Ensemble, load_ensemble
from activitynet.cli.main import run
from activitynet.data.dataset import ACTIVITIES
from activitynet.errors import WeightsError
from activitynet.hub import find_release
from activitynet.weights import read_card

MIRROR = Path(__file__).parents[2] / "weights"
FOLDER = MIRROR / "deep-seers"
SCRATCH = "resnet18_se"  # trained from random weights

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason="the ensemble's weights are in a checkout only, not in the source distribution",
)

# What each member, and then the whole, says of `pattern`: its label and how sure it is.
GOLDEN = [
    ("dancing", 0.53831),
    ("dancing", 0.45904),
    ("dancing", 0.48274),
    ("sports", 0.90907),
    ("sports", 0.91886),
    ("dancing", 0.43754),
]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVITYNET_WEIGHTS", str(MIRROR))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return Ensemble.load(FOLDER, device="cpu")


@pytest.mark.usefixtures("offline")
def test_it_loads_by_no_name_at_all() -> None:
    ensemble = load_ensemble(device="cpu")
    assert Counter(card.architecture for card in ensemble.cards) == {
        "resnet18_se": 2,
        "efficientnet_b0_se": 3,
    }
    counts = {"resnet18_se": 11_273_812, "efficientnet_b0_se": 4_074_512}
    for card, member in zip(ensemble.cards, ensemble.members, strict=True):
        assert sum(weight.numel() for weight in member.parameters()) == counts[card.architecture]
    assert ensemble.classes == ACTIVITIES
    assert ensemble.cascade is not None


@pytest.mark.usefixtures("offline")
def test_the_commands_know_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern().save(tmp_path / "pattern.png")
    assert run(["predict", str(tmp_path / "pattern.png"), "--weights", "deep-seers", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["label"] == GOLDEN[-1][0]
    assert math.isclose(said["probability"], GOLDEN[-1][1], abs_tol=2e-3)
    assert run(["weights", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["deep-seers"]["cached"]


def test_the_index_lists_what_lies_there() -> None:
    release = find_release("deep-seers")
    there = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.suffix != ".png"}
    there = {name: path for name, path in there.items() if path.is_file()}
    assert {name: file.size for name, file in release.files.items()} == {
        name: path.stat().st_size for name, path in there.items()
    }
    assert len([name for name in there if name.endswith(".safetensors")]) == 5
    assert max(path.stat().st_size for path in there.values()) < 25_000_000


def test_a_file_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep-seers").mkdir()
    for path in FOLDER.iterdir():
        (tmp_path / "deep-seers" / path.name).symlink_to(path)
    monkeypatch.setenv("ACTIVITYNET_WEIGHTS", str(tmp_path))
    page = tmp_path / "deep-seers" / "README.md"
    page.unlink()
    page.write_bytes((FOLDER / "README.md").read_bytes() + b"x")
    with pytest.raises(WeightsError, match=r"README\.md' is not the file that was released"):
        load_ensemble()


def test_its_tensors_are_finite_halves() -> None:
    for path in FOLDER.rglob("*.safetensors"):
        for name, tensor in safetensors.torch.load_file(path).items():
            assert tensor.dtype in (torch.float16, torch.int64), (path, name)
            assert torch.isfinite(tensor).all(), (path, name)


def test_its_cards_tell_what_it_is(ensemble: Ensemble) -> None:
    for card in (ensemble.card(), *ensemble.cards):
        assert "Too few to learn: religious activities (3), volunteer activities (0)" in card.training_data
        assert "research" in card.license
    for path in FOLDER.glob("*/config.json"):
        card = read_card(path.parent)
        least, most = (0.70, 0.04) if card.architecture == SCRATCH else (0.84, 0.03)
        assert card.metrics["macro_f1"] >= least
        assert card.metrics["calibration"]["ece_held_out"] <= most
        assert list(card.recipe["distill"]["teachers"]) == ["default"]


def test_members_and_the_whole_say_what_they_always_said(ensemble: Ensemble) -> None:
    members = [Classifier.load(path.parent, device="cpu") for path in sorted(FOLDER.glob("*/config.json"))]
    for model, (label, probability) in zip([*members, ensemble], GOLDEN, strict=True):
        said = model.predict_one(pattern())
        assert said.label == label
        assert math.isclose(said.probability, probability, abs_tol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_an_exported_file_says_the_same(form: Any, ensemble: Ensemble, tmp_path: Path) -> None:
    file = ensemble.export(tmp_path / f"five.{'onnx' if form == 'onnx' else 'xml'}", form)
    said = Classifier.load(file, precision="fp32").predict_one(pattern())
    assert said.label == GOLDEN[-1][0]
    assert math.isclose(said.probability, GOLDEN[-1][1], abs_tol=2e-3)


@pytest.mark.real_photos
@pytest.mark.slow
def test_it_scores_what_its_card_says(ensemble: Ensemble, real_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    # Through an engine: in float32 five networks take minutes.
    file = ensemble.export(tmp_path / "five.xml", "openvino")
    scores = Classifier.load(file).evaluate(real_data / "activities")
    # In bfloat16, or on another processor, a few photos of 1,914 may change sides.
    assert math.isclose(scores.macro_f1, ensemble.metrics["macro_f1"], abs_tol=0.005)
    assert math.isclose(scores.accuracy, ensemble.metrics["accuracy"], abs_tol=0.005)
