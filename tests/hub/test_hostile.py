"""Repositories that mean harm: refused with the reason, where possible before anything large is fetched."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from loopback import Loopback
from repositories import REPOSITORY, with_card

from activitynet.errors import ActivityNetError, HubError, WeightsError
from activitynet.serialization.records import MAX_BYTES
from activitynet.weights import find_weights, load_weights

PICKLE = b"\x80\x04\x95\x00cos\nsystem\n."


def refused(server: Loopback, files: dict[str, bytes], kind: type[ActivityNetError], pattern: str) -> bool:
    """Check that a repository is refused, and return whether its tensors were asked for."""
    server.put(REPOSITORY, files)
    server.requests.clear()
    with pytest.raises(kind, match=pattern) as caught:
        load_weights(find_weights(REPOSITORY))
    assert "\n" not in str(caught.value)
    return any(request.startswith("GET /large/") for request in server.requests)


def with_tensors(files: dict[str, bytes], data: bytes) -> dict[str, bytes]:
    card = with_card(files, sha256=hashlib.sha256(data).hexdigest())
    return {**card, "model.safetensors": data}


def ensemble_of(members: Any) -> bytes:
    """Return an ensemble's card with these members, what they lack filled in."""
    if isinstance(members, list):
        share = {"weight": 1 / max(1, len(members)), "sha256": "0" * 64}
        members = [{**share, **member} if isinstance(member, dict) else member for member in members]
    card = {"members": members, "classes": ["a", "b"], "average": "logits", "temperature": 1.0}
    others = {"cascade": None, "metrics": {}, "training_data": "", "license": "", "library_version": "1"}
    return json.dumps({**card, **others, "ensemble_version": 1}).encode()


def test_pickled_weights_are_never_asked_for(server: Loopback, files: dict[str, bytes]) -> None:
    del files["model.safetensors"]
    pickled = {**files, "pytorch_model.bin": PICKLE, "model.pkl": PICKLE}
    assert not refused(server, pickled, HubError, "no such file. Only safetensors are read, never pickled")
    assert not any("bin" in request or "pkl" in request for request in server.requests)
    assert not refused(server, with_tensors(files, PICKLE), WeightsError, "has 16 bytes, where at least")


@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({"architecture": "os.system"}, "cannot be made: unknown model 'os.system'"),
        ({"architecture": "timm/../../evil"}, "cannot be made: unknown model"),
        ({"architecture": "timm/hf-hub:evil/model"}, "cannot be made: unknown model"),
        ({"architecture": "timm/local-dir:/etc"}, "cannot be made: unknown model"),
        ({"_class_name": "subprocess.Popen"}, "no field '_class_name'"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "no field 'auto_map'"),
        ({"model_args": {"checkpoint_path": "/etc/passwd"}}, "cannot be made"),
        ({"model_args": {"pretrained": True}}, "cannot be made"),
        ({"model_args": {"norm_layer": "os.system"}}, "cannot be made"),
        ({"classes": ["running", "walking"]}, "does not fit .* with 2 classes"),
        ({"classes": ["a", "a", "b"]}, "must name each class once"),
        ({"sha256": ""}, "names no SHA-256"),
        ({"temperature": 0}, "'temperature'"),
        ({"card_version": 2}, "update activitynet"),
    ],
)
def test_a_card_of_something_else_is_refused_before_its_tensors_are_fetched(
    server: Loopback, files: dict[str, bytes], fields: dict[str, Any], pattern: str
) -> None:
    fetched = refused(server, with_card(files, **fields), WeightsError, pattern)
    assert not fetched or fields == {"classes": ["running", "walking"]}


@pytest.mark.parametrize(
    ("config", "pattern"),
    [
        (b'{"architecture": "a", "architecture": "b"}', "'architecture' occurs twice"),
        (b'{"members": [{"folder": "a"}], "members": [{"folder": "b"}]}', "'members' occurs twice"),
        (b"[1]", "must be a table of fields"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b'{"temperature": NaN}', "NaN is not a JSON number"),
        (b"[" * 100_000, "nests too deep"),
        (b" " * (MAX_BYTES + 1), "at most"),
        (b'{"architecture": "resnet18", "num_classes": 3, "pretrained_cfg": {}}', "card_version"),
        (ensemble_of([]), "'members' must be"),
        (ensemble_of([{"folder": "../../etc"}]), r"folder' must be a name .*, got '\.\./\.\./etc'"),
        (ensemble_of([{"folder": "/etc"}]), "folder' must be a name"),
        (ensemble_of([{"folder": "C:\\x"}]), "folder' must be a name"),
        (ensemble_of([{"folder": "a/b"}]), "folder' must be a name"),
        (ensemble_of(["a"]), r"'members\[0\]' must be a table"),
        (ensemble_of(5), "'members' must be a list"),
    ],
)
def test_a_config_that_is_no_card_is_refused(
    server: Loopback, files: dict[str, bytes], config: bytes, pattern: str
) -> None:
    assert not refused(server, {**files, "config.json": config}, WeightsError, pattern)
    assert {request.split("/")[-1] for request in server.requests} == {"config.json"}


def test_an_ensemble_within_an_ensemble_is_refused(server: Loopback, files: dict[str, bytes]) -> None:
    inner = ensemble_of([{"folder": "a"}])
    refused(server, {"config.json": inner, "a/config.json": inner}, WeightsError, "inside an ensemble")


def test_a_huge_file_is_refused_before_it_is_fetched(server: Loopback, files: dict[str, bytes]) -> None:
    server.sizes["model.safetensors"] = 10 * 2**30
    assert not refused(server, files, WeightsError, "has 10,737,418,240 bytes, where at most")
    server.sizes = {"config.json": 10 * 2**30}
    assert not refused(server, files, WeightsError, r"'config\.json' .* has 10,737,418,240 bytes")
    assert not any(request.startswith("GET") for request in server.requests)


def test_a_huge_header_is_refused(server: Loopback, files: dict[str, bytes]) -> None:
    data = struct.pack("<Q", 10 * 2**30) + files["model.safetensors"][8:]
    assert refused(server, with_tensors(files, data), WeightsError, "not a valid safetensors file")


def test_tensors_that_are_not_finite_are_refused(server: Loopback, files: dict[str, bytes]) -> None:
    tensors = safetensors.torch.load(files["model.safetensors"])
    for value in (float("nan"), float("inf")):
        next(tensor for tensor in tensors.values() if tensor.is_floating_point()).view(-1)[0] = value
        data = safetensors.torch.save(tensors)
        assert refused(server, with_tensors(files, data), WeightsError, "not finite")


def test_tensors_of_something_else_are_refused(server: Loopback, files: dict[str, bytes]) -> None:
    tensors = safetensors.torch.load(files["model.safetensors"])
    name = next(name for name, tensor in tensors.items() if tensor.dim() > 1)
    for others in (
        {**tensors, "extra": torch.zeros(1)},
        {**tensors, name: tensors[name].reshape(-1)},
        {**{key: tensor for key, tensor in tensors.items() if key != name}, "other": tensors[name]},
    ):
        data = safetensors.torch.save(others)
        assert refused(server, with_tensors(files, data), WeightsError, "does not fit")


def test_tensors_of_another_hash_are_refused_and_stay_out_of_use(
    server: Loopback, files: dict[str, bytes]
) -> None:
    tensors = safetensors.torch.load(files["model.safetensors"])
    next(iter(tensors.values())).view(-1)[0] += 1
    changed = {
        **files,
        "model.safetensors": safetensors.torch.save(tensors),
    }
    for _ in range(2):  # from the Hub, and from the cache
        refused(server, changed, WeightsError, "is not the file that its card")


def test_swapped_class_names_are_refused(server: Loopback, files: dict[str, bytes]) -> None:
    classes = json.loads(files["config.json"])["classes"]
    swapped = [classes[1], classes[0], *classes[2:]]
    refused(server, with_card(files, classes=swapped), WeightsError, "differ from those of its card")
    card = json.loads(files["config.json"])
    for field in ("classes", "label_names"):
        contradicting = {**files, "config.json": json.dumps({**card, field: swapped}).encode()}
        assert not refused(server, contradicting, WeightsError, "'label_names', which timm reads")


@pytest.mark.parametrize("header", ["ETag", "X-Repo-Commit"])
@pytest.mark.parametrize("value", ["../../../x", "x", "0" * 39, "Z" * 64])
def test_a_hash_that_is_a_path_leads_nowhere(
    server: Loopback, files: dict[str, bytes], header: str, value: str, tmp_path: Path
) -> None:
    server.headers = {header: value}
    refused(server, files, HubError, "the server's answer has no valid (hash|commit)")
    assert not any(request.startswith("GET") for request in server.requests)
    assert list(tmp_path.iterdir()) == []
