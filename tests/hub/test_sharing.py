from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from loopback import Loopback
from repositories import REPOSITORY

from activitynet import Classifier, Ensemble, load_ensemble
from activitynet.cli.main import run
from activitynet.errors import HubError, WeightsError
from activitynet.hub import list_releases
from activitynet.weights import (
    find_weights,
    list_weights,
    load_weights,
    pull_weights,
    push_weights,
    read_card,
    save_weights,
)
from activitynet.zoo import create_model

SMALL = (1, 3, 64, 64)

# The Hub's client uploads in a way that its own HTTP library has come to dislike.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
    pytest.mark.usefixtures("without_xet"),
]


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_weights(folder)[0].state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_what_is_pushed_comes_back_bit_by_bit(server: Loopback, weights: Path, tmp_path: Path) -> None:
    pinned = push_weights(weights, REPOSITORY, message="first")
    assert pinned.startswith(f"{REPOSITORY}@")
    for source in (REPOSITORY, f"{REPOSITORY}@main", pinned):
        assert same(tensors_of(find_weights(source)), tensors_of(weights))
    copy = pull_weights(REPOSITORY, tmp_path / "copy")
    assert {file.name for file in copy.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    for name in ("config.json", "model.safetensors"):
        assert (copy / name).read_bytes() == (weights / name).read_bytes()
    page = (copy / "README.md").read_text("utf-8")
    assert f'Classifier.load("{REPOSITORY}")' in page
    assert f'"hf-hub:{REPOSITORY}"' in page
    second = push_weights(copy, "team/other")  # and once more round
    assert same(tensors_of(find_weights(second)), tensors_of(weights))


def test_revisions_are_pinned(server: Loopback, weights: Path) -> None:
    classifier = Classifier.load(weights)
    first = classifier.push_to_hub(REPOSITORY)
    with torch.no_grad():
        classifier.model.get_classifier().bias.add_(1)  # type: ignore[operator]
    second = classifier.push_to_hub(REPOSITORY, revision="next")
    bias = [Classifier.load(s).model.get_classifier().bias for s in (REPOSITORY, first, second)]  # type: ignore[operator]
    assert torch.equal(bias[0], bias[1])
    assert torch.equal(bias[0] + 1, bias[2])
    third = classifier.push_to_hub(REPOSITORY)
    assert len({first, second, third}) == 3
    moved = Classifier.load(REPOSITORY).model.get_classifier().bias  # type: ignore[operator]
    assert torch.equal(moved, bias[2])


def test_a_repository_can_be_private(
    server: Loopback, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    push_weights(weights, REPOSITORY, private=True)
    assert server.repositories[REPOSITORY].private
    find_weights(REPOSITORY)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="no such repository, or it is private"):
        find_weights(f"{REPOSITORY}@next")


def test_scores_make_the_card_and_the_page(server: Loopback, weights: Path, tmp_path: Path) -> None:
    from activitynet.evaluation import score

    classifier = Classifier.load(weights)
    scores = score([0, 1, 2, 1], [0, 1, 1, 1], classifier.classes or ())
    source = classifier.push_to_hub(REPOSITORY, scores=scores, license="mit")
    held = server.repositories[REPOSITORY].commits[source.partition("@")[2]]
    assert held["confusion_matrix.png"].startswith(b"\x89PNG")
    page = held["README.md"].decode()
    assert "![Confusion matrix](confusion_matrix.png)" in page
    assert "| 1 | running | 0.6667 | 1 | 0.8 | 2 |" in page
    server.requests.clear()
    Classifier.load(source)
    assert not any("png" in request for request in server.requests)


def test_new_scores_take_the_place_of_old_ones_and_calibration_stays(weights: Path, tmp_path: Path) -> None:
    from activitynet.evaluation import score

    model, card = load_weights(weights)
    metrics = {"val": {"macro_f1": 0.1}, "calibration": {"ece": 0.02}}
    save_weights(tmp_path / "old", model, dataclasses.replace(card, metrics=metrics))
    classifier = Classifier.load(tmp_path / "old")
    scores = score([0, 1, 2, 1], [0, 1, 1, 1], card.classes)
    kept = read_card(classifier.save(tmp_path / "new", scores=scores)).metrics
    assert "val" not in kept
    assert (kept["calibration"], kept["macro_f1"]) == ({"ece": 0.02}, scores.macro_f1)


def test_timm_loads_the_same_network(server: Loopback, weights: Path) -> None:
    push_weights(weights, REPOSITORY)
    model = timm.create_model(f"hf-hub:{REPOSITORY}", pretrained=True).eval()
    assert model.pretrained_cfg["label_names"] == ["walking", "running", "бег"]
    config = timm.data.resolve_model_data_config(model)
    assert config["input_size"] == [3, 64, 64]
    assert config["crop_mode"] == "squash"
    with torch.inference_mode():
        photos = torch.randn(SMALL)
        assert torch.equal(model(photos), load_weights(weights)[0](photos))


def test_timm_loads_our_own_networks_too(server: Loopback) -> None:
    Classifier(create_model("test_resnet_se", num_classes=2), classes=["a", "b"]).push_to_hub(REPOSITORY)
    expected, _ = load_weights(find_weights(REPOSITORY))
    model = timm.create_model(f"hf-hub:{REPOSITORY}", pretrained=True).eval()
    with torch.inference_mode():
        assert torch.equal(model(torch.ones(SMALL)), expected(torch.ones(SMALL)))


def test_only_what_the_card_names_is_fetched(server: Loopback, files: dict[str, bytes]) -> None:
    others = {"pytorch_model.bin": b"\x80\x04.", "train.py": b"x", "big.safetensors": b"y"}
    server.put(REPOSITORY, {**files, **others})
    folder = find_weights(REPOSITORY)
    assert {file.name for file in folder.iterdir()} == set(files)
    assert {request.rpartition("/")[2] for request in server.requests if "resolve" in request} == set(files)


def test_an_ensemble_comes_with_its_members(server: Loopback, weights: Path, tmp_path: Path) -> None:
    folder = Ensemble([load_weights(weights)] * 2, weights=[1, 2]).save(tmp_path / "ensemble")
    source = push_weights(folder, REPOSITORY)
    found = find_weights(source)
    assert (found / "config.json").read_bytes() == (folder / "config.json").read_bytes()
    images = torch.ones(SMALL)
    with torch.no_grad():
        assert torch.equal(load_ensemble(source)(images), Ensemble.load(folder)(images))
    copy = pull_weights(source, tmp_path / "copy")
    needed = {file.relative_to(folder) for file in folder.rglob("*") if file.suffix != ".md"}
    assert needed <= {file.relative_to(copy) for file in copy.rglob("*")}


def test_an_ensemble_is_pushed_with_its_scores(
    server: Loopback, weights: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from activitynet.evaluation import score

    ensemble = Ensemble([load_weights(weights)] * 2, weights=[1, 2], temperature=1.3)
    scores = score([0, 1, 2, 1], [0, 1, 1, 1], ensemble.classes)
    source = ensemble.push_to_hub(REPOSITORY, scores=scores, license="mit", message="both")
    held = server.repositories[REPOSITORY].commits[source.partition("@")[2]]
    assert held["confusion_matrix.png"].startswith(b"\x89PNG")
    page = held["README.md"].decode()
    for text in (f'load_ensemble("{REPOSITORY}")', "![Confusion matrix]", "Intended use", "license: mit"):
        assert text in page
    assert "| 1 | running | 0.6667 | 1 | 0.8 | 2 |" in page
    found = load_ensemble(source)
    assert (found.license, found.training_data, found.temperature) == ("mit", "drawings", 1.3)
    images = torch.ones(SMALL)
    with torch.no_grad():
        assert torch.equal(found(images), ensemble(images))
    assert run(["push", str(found.save(tmp_path / "again")), "team/other"]) == 0  # and by the command
    other = load_ensemble(capsys.readouterr().out.strip())
    assert same(other.state_dict(), ensemble.state_dict())
    assert other.metrics == found.metrics


def test_what_does_not_load_is_not_pushed(server: Loopback, weights: Path, tmp_path: Path) -> None:
    folder = pull_to(weights, tmp_path)
    (folder / "notes.txt").write_text("x")
    with pytest.raises(WeightsError, match=r"other files, such as 'notes\.txt'"):
        push_weights(folder, REPOSITORY)
    (folder / "notes.txt").unlink()
    (folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(WeightsError, match="not the file its card describes"):
        push_weights(folder, REPOSITORY)
    assert server.requests == []


def pull_to(weights: Path, tmp_path: Path) -> Path:
    return pull_weights(str(weights), tmp_path / "own")


def test_commands(
    server: Loopback,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert run(["weights"]) == 0
    assert "default" in capsys.readouterr().out
    assert run(["push", str(weights), REPOSITORY, "--private", "--message", "hello"]) == 0
    source = capsys.readouterr().out.strip()
    assert run(["pull", source, "--to", str(tmp_path / "own")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "own")
    assert run(["pull", REPOSITORY]) == 0
    assert Path(capsys.readouterr().out.strip()).is_dir()
    assert run(["weights", "--json"]) == 0
    *_, entry = json.loads(capsys.readouterr().out)  # after the package's own and released ones
    assert entry["name"] == REPOSITORY
    assert entry["source"] == source
    assert entry["classes"] == 3
    assert entry["size"] >= (weights / "model.safetensors").stat().st_size
    assert run(["weights"]) == 0
    assert REPOSITORY in capsys.readouterr().out
    assert run(["pull", "team/none"]) == 2
    assert "no such repository" in capsys.readouterr().err
    assert [entry.source for entry in list_weights()[1 + len(list_releases()) :]] == [source]


@pytest.mark.slow
def test_real_settings_of_a_user_work(server: Loopback, files: dict[str, bytes], tmp_path: Path) -> None:
    """In a process of its own, with the variables that people set, and Xet as it is by default."""
    server.put(REPOSITORY, files)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": server.endpoint,
        "HF_HOME": str(tmp_path / "home"),
    }
    command = [sys.executable, "-m", "activitynet", "pull", REPOSITORY, "--to", str(tmp_path / "own")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "own" / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert (tmp_path / "home" / "hub").is_dir()
    offline = {**environment, "HF_HUB_OFFLINE": "1"}
    server.heal()
    ended = subprocess.run(command, env=offline, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert server.requests == []


def test_a_token_goes_to_the_hub_and_nowhere_else(
    server: Loopback, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(REPOSITORY, files)
    server.repositories[REPOSITORY].private = True
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    find_weights(REPOSITORY)
    assert ("Bearer hf_secret") in {token for _, token in server.tokens}
    assert {token for request, token in server.tokens if "/large/" in request} == {None}


def test_the_clients_own_session_stays_usable(server: Loopback, files: dict[str, bytes]) -> None:
    server.put(REPOSITORY, files)
    find_weights(REPOSITORY)
    assert huggingface_hub.HfApi().model_info(REPOSITORY, timeout=5).sha
