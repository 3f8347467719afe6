"""Where a warm start comes from: a weights folder, timm's weights on the Hub, or a module."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import huggingface_hub
from timm.models import get_pretrained_cfg
from torch import nn

from activitynet.blocks import ACTIVATIONS
from activitynet.errors import ModelError, WeightsError, clipped
from activitynet.tensors import read_tensors
from activitynet.zoo import timm_bridge
from activitynet.zoo.build import build
from activitynet.zoo.registry import ARCHITECTURES

#: What a warm start can come from.
Source: TypeAlias = "str | os.PathLike[str] | nn.Module"

_TENSORS = "model.safetensors"
_PREPROCESSING = ("mean", "std", "interpolation", "crop_pct", "input_size")


class Trunk(NamedTuple):
    """A network whose tensors another one starts from.

    Attributes:
        name: Where it is from, for people.
        model: The network.
        preprocessing: The fields of timm's pretrained configuration that say how its photos were prepared.
    """

    name: str
    model: nn.Module
    preprocessing: Mapping[str, Any]

    @property
    def act(self) -> str | None:
        """The name of its first activation; `None` for one that the blocks do not have."""
        names = {kind: name for name, kind in ACTIVATIONS.items()}
        return next((names[type(m)] for m in self.model.modules() if type(m) in names), None)


def load_trunk(source: Source) -> Trunk:
    """Load what a warm start comes from.

    Args:
        source: A folder with ``config.json`` and ``model.safetensors`` (this library's or of timm's layout),
            ``timm/NAME`` for timm's pretrained weights, which the Hub serves, or a module.

    Raises:
        ModelError: The source cannot be found, or names an architecture that is not known.
        WeightsError: Its files are corrupt, or its tensors are not those of its architecture.
    """
    if isinstance(source, nn.Module):
        config = getattr(source, "pretrained_cfg", None) or {}
        name = getattr(source, "architecture", config.get("architecture", type(source).__name__))
        return Trunk(name, source, _preprocessing(config))
    if isinstance(source, str) and source.startswith(timm_bridge.PREFIX):
        return _from_hub(source)
    return _from_folder(Path(source))


def _from_folder(folder: Path) -> Trunk:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"cannot start from {str(folder)!r}: its config.json cannot be read ({error.strerror}). "
            "Give a weights folder, or timm/NAME."
        ) from error
    except ValueError as error:
        raise WeightsError(f"{str(path)!r} is not valid JSON: {error}.") from error
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise WeightsError(f"{str(path)!r} names no architecture. Add the key 'architecture'.")
    name = config["architecture"]
    if name not in ARCHITECTURES and not name.startswith(timm_bridge.PREFIX):
        name = timm_bridge.PREFIX + name  # as timm's own folders have it
    for key in ("model_args", "preprocess", "pretrained_cfg"):
        if not isinstance(config.setdefault(key, {}), dict):
            raise WeightsError(f"{str(path)!r}: {key!r} is {config[key]!r}, but has to be an object.")
    classes = config.get("classes")
    model = build(
        name,
        num_classes=len(classes) if isinstance(classes, list) else config.get("num_classes", 1000),
        arguments=config["model_args"],
    )
    _load(model, folder / _TENSORS, sha256=str(config.get("sha256") or "") or None)
    config = {**cast(dict[str, Any], model.pretrained_cfg), **_flat(config)}
    return Trunk(str(folder), model, _preprocessing(config))


def _from_hub(name: str) -> Trunk:
    config = get_pretrained_cfg(timm_bridge.check_name(name))
    if config is None or not config.hf_hub_id:
        raise ModelError(f"timm has no weights of {name!r} on the Hub. Start from another, or from a folder.")
    try:
        # What is in the cache needs no network.
        path = huggingface_hub.try_to_load_from_cache(config.hf_hub_id, _TENSORS)
        if not isinstance(path, str):
            path = huggingface_hub.hf_hub_download(config.hf_hub_id, _TENSORS)
    except Exception as error:  # what the network raises differs between versions of the Hub's client
        raise ModelError(
            f"cannot get the weights of {name!r} ({config.hf_hub_id} on the Hub): "
            f"{type(error).__name__}. Check the network, or start from a folder that has them."
        ) from error
    model = build(name, num_classes=config.num_classes, arguments={})
    _load(model, Path(path), sha256=None)
    return Trunk(name, model, _preprocessing(cast(dict[str, Any], model.pretrained_cfg)))


def _load(model: nn.Module, path: Path, *, sha256: str | None) -> None:
    try:
        model.load_state_dict(read_tensors(path, sha256=sha256), strict=True)
    except RuntimeError as error:
        raise WeightsError(f"{str(path)!r} does not hold a {model.architecture}: {clipped(error)}") from error


def _preprocessing(config: Mapping[str, Any]) -> dict[str, Any]:
    values = {key: config[key] for key in _PREPROCESSING if config.get(key) is not None}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Bring what a folder says of its photos to the top level, from where timm nests it or a Card does."""
    card = config["preprocess"]
    size = card.get("size")
    input_size = {"input_size": (3, *size)} if isinstance(size, list) else {}
    return {**config, **config["pretrained_cfg"], **card, **input_size}
