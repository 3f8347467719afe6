"""Weights folders with hostile cards and tensors."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import struct
import tempfile
from pathlib import Path
from typing import Any

import torch

from activitynet.data.preprocess import Preprocess
from activitynet.serialization.tensors import read_metadata, read_tensors
from activitynet.weights import (
    Card,
    EnsembleCard,
    Member,
    Stages,
    load_weights,
    read_card,
    read_ensemble_card,
    save_weights,
)
from activitynet.zoo import create_model
from fuzzing.mutations import NUMBERS, TEXTS, damaged, twisted_json

_CARD, _TENSORS = "config.json", "model.safetensors"
_ARGUMENTS = [
    *("in_chans", "drop_rate", "act", "norm", "se_reduction", "num_classes", "pretrained", "pretrained_cfg"),
    *("layers", "depth", "depths", "width", "widths", "block", "cardinality", "base_width", "embed_dim"),
    *("global_pool", "norm_layer", "act_layer", "checkpoint_path", "features_only", "img_size", "patch_size"),
]
_ARCHITECTURES = [
    *("test_resnet_se", "resnet18_se", "os.system", "timm/test_resnet", "timm/test_vit", "timm/resnet18"),
    *("timm/test_efficientnet", "timm/swin_tiny_patch4_window7_224", "timm/test_resnet.r160_in1k"),
]
_TYPES = ["F32", "F16", "BF16", "F64", "I64", "BOOL", "U8", "F8_E4M3", "F8_E8M0", "C64", "U16", "F4", ""]


@functools.cache
def _whole() -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """A sound folder's card, and its tensors' header and body."""
    torch.manual_seed(0)
    classes = ("walking", "inactivity quiet/light", "бег")
    card = Card(
        architecture="test_resnet_se",
        model_args={"act": "relu", "se_reduction": 16},
        classes=classes,
        preprocess=Preprocess(size=(32, 32)),
        temperature=1.5,
        metrics={"val": {"macro_f1": 0.5, "per_class": {"walking": None}}},
        training_data="drawn photos",
        license="apache-2.0",
    )
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "model"
        save_weights(folder, create_model(card.architecture, num_classes=3, model_args=card.model_args), card)
        values = json.loads((folder / _CARD).read_text(encoding="utf-8"))
        data = (folder / _TENSORS).read_bytes()
    size = int.from_bytes(data[:8], "little")
    return values, json.loads(data[8 : 8 + size]), data[8 + size :]


def _card(chance: random.Random, values: dict[str, Any]) -> bytes:
    kind = chance.random()
    if kind < 0.3:
        arguments = {chance.choice(_ARGUMENTS): _argument(chance) for _ in range(chance.choice([1, 1, 2]))}
        changed = {**values, "architecture": chance.choice(_ARCHITECTURES), "model_args": arguments}
        return json.dumps(changed).encode()
    if kind < 0.8:
        text = twisted_json(values, chance, [*values, *_ARGUMENTS])
        return text.encode("utf-8", "surrogatepass")
    return damaged(json.dumps(values, indent=2, ensure_ascii=False).encode(), chance)


def _argument(chance: random.Random) -> Any:
    """An argument of an architecture, plausible or not."""
    return chance.choice(
        [
            chance.choice(NUMBERS),
            chance.choice([0.5, -1, None, True, 1e300, 0]),
            chance.choice([*TEXTS, "gelu", "group", "torch.nn.ReLU"]),
            [chance.choice([1, 2, 3, *NUMBERS]) for _ in range(chance.choice([1, 4, 4, 5]))],
            {chance.choice(TEXTS): chance.choice(NUMBERS)},
        ]
    )


def _tensors(chance: random.Random, header: dict[str, Any], body: bytes) -> bytes:
    kind = chance.random()
    text = json.dumps(header).encode()
    if kind < 0.3:
        text = twisted_json(header, chance).encode("utf-8", "surrogatepass")
    elif kind < 0.6:
        text = json.dumps(_changed_entry(chance, json.loads(text))).encode()
    elif kind < 0.8:  # numbers that are not finite, and others
        changed = bytearray(body)
        place = 4 * chance.randrange(len(body) // 4)
        changed[place : place + 4] = chance.choice([b"\0\0\xc0\x7f", b"\0\0\x80\xff", chance.randbytes(4)])
        body = bytes(changed)
    else:
        return damaged(struct.pack("<Q", len(text)) + text + body, chance)
    length = len(text) if chance.random() < 0.9 else chance.choice([*NUMBERS, 10 * 2**30, len(text) - 1])
    return struct.pack("<Q", length) + text + body[: chance.choice([None, None, None, -1, 0])]


def _changed_entry(chance: random.Random, header: dict[str, Any]) -> dict[str, Any]:
    """Change the type, the shape or the place of a tensor, plausibly or not."""
    entry = header[chance.choice([name for name in header if name != "__metadata__"])]
    change = chance.randrange(5)
    if change == 0:
        entry["dtype"] = chance.choice(_TYPES)
    elif change == 1:
        entry["shape"] = [chance.choice(NUMBERS) for _ in range(chance.choice([0, 1, 2, 5, 70]))]
    elif change == 2:
        entry["data_offsets"] = [chance.choice(NUMBERS), chance.choice(NUMBERS)]
    elif change == 3:
        entry["data_offsets"] = header[chance.choice(list(header))].get("data_offsets", [0, 0])
    else:  # an empty tensor of a new name
        header[chance.choice(TEXTS)] = {
            "dtype": chance.choice(_TYPES),
            "shape": [0, *(chance.choice(NUMBERS) for _ in range(chance.randrange(3)))],
            "data_offsets": [0, 0],
        }
    return header


def write_card(chance: random.Random, folder: Path) -> Path:
    """Write a hostile card into a folder."""
    path = folder / _CARD
    path.write_bytes(_card(chance, _whole()[0]))
    return folder


def read_only_card(path: Path, _: random.Random) -> None:
    """Read the card alone."""
    read_card(path)


@functools.cache
def _ensemble() -> dict[str, Any]:
    """A sound ensemble's card."""
    card = EnsembleCard(
        members=(
            Member(folder="1-test_resnet_se", weight=0.25, sha256="ab" * 32),
            Member(folder="2-test_resnet_se", weight=0.75, sha256="cd" * 32),
        ),
        classes=("walking", "inactivity quiet/light", "бег"),
        temperature=1.5,
        cascade=Stages(threshold=0.9, temperatures=(1.5, 0.9)),
        metrics={"val": {"macro_f1": 0.5}},
        license="apache-2.0",
    )
    values: dict[str, Any] = json.loads(card.to_json())
    return values


def write_ensemble_card(chance: random.Random, folder: Path) -> Path:
    """Write a hostile ensemble's card into a folder."""
    values = _ensemble()
    if chance.random() < 0.7:
        inner = [*values, *values["members"][0], *values["cascade"]]
        data = twisted_json(values, chance, inner).encode("utf-8", "surrogatepass")
    else:
        data = damaged(json.dumps(values, indent=2, ensure_ascii=False).encode(), chance)
    (folder / _CARD).write_bytes(data)
    return folder


def read_only_ensemble_card(path: Path, _: random.Random) -> None:
    """Read an ensemble's card alone."""
    read_ensemble_card(path)


def write_weights(chance: random.Random, folder: Path) -> Path:
    """Write hostile tensors into a folder, or a card that is not theirs. The hash is right as a rule."""
    values, header, body = _whole()
    text = json.dumps(header).encode()
    data = struct.pack("<Q", len(text)) + text + body
    change_card = chance.random() < 0.25
    if not change_card:
        data = _tensors(chance, header, body)
    if chance.random() < 0.95:
        values = {**values, "sha256": hashlib.sha256(data).hexdigest()}
    card = _card(chance, values) if change_card else json.dumps(values).encode()
    for name, content in ((_CARD, card), (_TENSORS, data)):
        fate = chance.random()
        if fate < 0.01:
            (folder / name).mkdir()
        elif fate > 0.02:
            (folder / name).write_bytes(content)
    return folder if change_card or chance.random() < 0.1 else folder / _TENSORS


def read_weights(path: Path, chance: random.Random) -> None:
    """Load the folder, or read its tensors alone."""
    if path.is_dir():
        load_weights(path)
    else:
        chance.choice([read_metadata, read_tensors, read_tensors])(path)
