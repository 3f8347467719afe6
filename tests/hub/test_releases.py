from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from loopback import Loopback
from repositories import REPOSITORY

import activitynet
from activitynet import Classifier, create_model, list_models
from activitynet.cli.main import run
from activitynet.errors import HubError, ModelError, WeightsError
from activitynet.hub import cache_folder, fetch_release, find_release, list_releases, releases
from activitynet.weights import find_weights, list_weights, load_weights

NAME = "test_resnet.drawn"


def entry(held: dict[str, bytes], commit: str, /, **fields: Any) -> dict[str, Any]:
    return {
        "name": NAME,
        "repository": REPOSITORY,
        "revision": commit,
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in held.items()
        },
        "classes": ["walking", "running", "бег"],
        "metrics": {"macro_f1": 0.5},
        "license": "cc0-1.0",
    } | fields


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "releases.json"
    monkeypatch.setattr(releases, "INDEX", path)
    return path


@pytest.fixture
def released(server: Loopback, files: dict[str, bytes], index: Path) -> Loopback:
    commit = server.put(REPOSITORY, files)
    index.write_text(json.dumps({"releases": [entry(files, commit)]}), "utf-8")
    return server


def test_the_index_of_this_version_is_valid() -> None:
    list_releases()


def test_released_weights_are_models(released: Loopback, weights: Path) -> None:
    expected = load_weights(weights)[0].state_dict()
    assert list_models(pretrained=True) == list_models("*drawn", pretrained=True) == [NAME]
    assert list_models("resnet*", pretrained=True) == []
    for name in (NAME, "test_resnet"):
        model = create_model(name, pretrained=True)
        assert model.num_classes == 3
        assert model.pretrained_cfg["input_size"] == (3, 64, 64)  # type: ignore[index]
        assert all(torch.equal(expected[key], tensor) for key, tensor in model.state_dict().items())
    other = create_model(NAME, pretrained=True, num_classes=5, drop_rate=0.5)
    assert other.num_classes == 5
    assert other.drop_rate == 0.5
    key = next(iter(expected))
    assert torch.equal(other.state_dict()[key], expected[key])
    assert Classifier.load(NAME).classes == ("walking", "running", "бег")
    with pytest.raises(ModelError, match="add pretrained=True"):
        create_model(NAME)
    with pytest.raises(ModelError, match="exclude each other"):
        create_model(NAME, pretrained=True, init_from=weights)
    with pytest.raises(ModelError, match="do not fit"):
        create_model(NAME, pretrained=True, in_chans=1)
    with pytest.raises(HubError, match=r"Did you mean 'test_resnet\.drawn'"):
        create_model("test_resnet.drawm", pretrained=True)


def test_without_releases_it_is_said_so(index: Path) -> None:
    index.write_text('{"releases": []}')
    assert list_models(pretrained=True) == []
    with pytest.raises(HubError, match="None are released yet"):
        create_model("resnet18_se", pretrained=True)


def test_released_weights_are_pinned_by_their_hashes(
    released: Loopback, files: dict[str, bytes], index: Path
) -> None:
    changed = {**files, "config.json": files["config.json"].replace(b"1.5", b"2.5")}
    commit = released.put(REPOSITORY, changed)
    index.write_text(json.dumps({"releases": [entry(files, commit)]}), "utf-8")
    with pytest.raises(WeightsError, match=r"'config\.json' .* is not the file that its card, or the index"):
        find_weights(NAME)
    longer = {**files, "README.md": files["README.md"] + b"x"}
    index.write_text(json.dumps({"releases": [entry(files, released.put(REPOSITORY, longer))]}), "utf-8")
    with pytest.raises(WeightsError, match=r"'README\.md' .* bytes, where at most"):
        find_weights(NAME)


def test_released_weights_come_from_a_mirror(
    released: Loopback, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    shutil.copytree(weights, mirror / "model")
    monkeypatch.setenv("ACTIVITYNET_WEIGHTS", str(mirror))
    assert fetch_release(find_release(NAME)) == mirror / "model"
    _, listed = list_weights()  # the package's own first
    assert (listed.name, listed.source, listed.cached) == (NAME, str(mirror / "model"), True)
    data = bytearray((mirror / "model" / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (mirror / "model" / "model.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match=r"model\.safetensors' is not the file that was released"):
        find_weights(NAME)
    (mirror / "model" / "README.md").unlink()
    with pytest.raises(WeightsError, match=r"lacks 'README\.md'|not the file that was released"):
        find_weights(NAME)
    assert released.requests == []


def test_the_command_lists_them(
    released: Loopback, files: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["weights", "--json"]) == 0
    own, before = json.loads(capsys.readouterr().out)
    assert own["name"] == "default"
    assert (before["name"], before["cached"], before["classes"]) == (NAME, False, 3)
    assert before["size"] == sum(map(len, files.values()))
    find_weights(NAME)
    assert run(["weights", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [own, {**before, "cached": True}]
    released.requests.clear()
    find_weights(NAME)
    assert released.requests == []


def test_a_tag_will_do_for_the_hashes_hold(
    server: Loopback, files: dict[str, bytes], index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.put(REPOSITORY, files, branch="v1")
    index.write_text(json.dumps({"releases": [entry(files, "v1", name="deep-drawings")]}), "utf-8")
    assert Classifier.load("deep-drawings").classes == ("walking", "running", "бег")
    server.requests.clear()
    find_weights("deep-drawings")
    assert server.requests == []
    _, listed = list_weights()  # once, not as a repository of the cache as well
    assert (listed.name, listed.cached) == ("deep-drawings", True)
    moved = {**files, "config.json": files["config.json"].replace(b"1.5", b"2.5")}
    server.put(REPOSITORY, moved, branch="v1")
    shutil.rmtree(cache_folder())
    with pytest.raises(WeightsError, match=r"'config\.json' .* is not the file that its card, or the index"):
        find_weights("deep-drawings")


@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({"name": "Big Name"}, "name' must be a name of a-z"),
        ({"name": 5}, "name' must be a name of a-z"),
        ({"repository": "x"}, "not the name of a repository"),
        ({"repository": None}, "repository' must be text"),
        ({"revision": "main"}, "must have a tag or a commit"),
        ({"files": {}}, "lists no config.json"),
        ({"files": {"config.json": {"sha256": "ab", "size": 1}}}, "64 hexadecimal"),
        (
            {"files": {"config.json": {"sha256": "ab" * 32, "size": 0}}},
            "size' must be a whole number of at least 1",
        ),
        ({"files": {"config.json": {"sha256": "ab" * 32}}}, "size"),
        ({"files": []}, "files' must be a table"),
        ({"classes": ["a", "a"]}, "name its classes, each once"),
        ({"classes": []}, "classes' must be a list of length 1"),
        ({"license": ""}, "license' must be text"),
        ({"metrics": 1}, "metrics"),
        ({"url": "x"}, r"has no field 'releases\[0\]\.url'"),
    ],
)
def test_an_index_that_is_not_valid_is_refused(
    files: dict[str, bytes], index: Path, fields: dict[str, Any], pattern: str
) -> None:
    index.write_text(json.dumps({"releases": [entry(files, "0" * 40, **fields)]}), "utf-8")
    with pytest.raises(WeightsError, match=pattern):
        list_releases()


@pytest.mark.parametrize("path", ["../x.json", "/etc/x.json", "a/../x.md", "x.bin", "x.py", "a\\b.md", ""])
def test_files_that_weights_do_not_need_are_refused(files: dict[str, bytes], index: Path, path: str) -> None:
    listed = entry(files, "0" * 40)
    listed["files"][path] = {"sha256": "ab" * 32, "size": 1}
    index.write_text(json.dumps({"releases": [listed]}), "utf-8")
    with pytest.raises(WeightsError, match="is not"):
        list_releases()


def test_names_twice_are_refused(files: dict[str, bytes], index: Path) -> None:
    one = json.dumps(entry(files, "0" * 40))
    for text in (f'{{"releases": [{one}, {one}]}}', '{"releases": [], "releases": []}', "[]", "{", "{}"):
        index.write_text(text, "utf-8")
        with pytest.raises(
            WeightsError,
            match=r"index of released weights .* (twice|is not valid|must be a table|lacks its field)",
        ):
            list_releases()


def test_a_lacking_field_is_named(files: dict[str, bytes], index: Path) -> None:
    whole = entry(files, "0" * 40)
    for field in whole:
        index.write_text(json.dumps({"releases": [{k: v for k, v in whole.items() if k != field}]}), "utf-8")
        with pytest.raises(WeightsError, match=rf"lacks its field 'releases\[0\]\.{field}'"):
            activitynet.list_models(pretrained=True)
