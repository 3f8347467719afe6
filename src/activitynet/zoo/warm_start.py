"""Warm starts: copy the trunk of another network, so that both compute the same features.

Tensors are copied by name if the source has every tensor of the trunk, and otherwise layer by layer in order.
In the second case SE gates that the source lacks start as constants, folded into the adjacent norms.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import huggingface_hub
import torch
from timm.layers import Conv2dSame
from timm.models import get_pretrained_cfg
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from activitynet.blocks import ACTIVATIONS, MBConv, ResidualBlock, SEBlock
from activitynet.errors import ModelError, WeightsError, shown
from activitynet.serialization.paths import user_path
from activitynet.serialization.records import parse_json, read_bounded
from activitynet.serialization.tensors import read_tensors
from activitynet.zoo import timm_bridge
from activitynet.zoo.build import build
from activitynet.zoo.network import classifiers_of
from activitynet.zoo.registry import ARCHITECTURES
from activitynet.zoo.sketch import check_arguments, sketch

_INNER_BIAS = 4.0  # an inner gate starts as sigmoid(4) = 0.982, nearly open and with some slope left
_OUTER_GATE = 0.5  # an outer gate has no bias, so with a weight of 0 it starts as sigmoid(0)


@dataclass(frozen=True)
class WarmStart:
    """The tensors that a warm start copied and did not copy.

    Attributes:
        source: The name of the source.
        copied: The tensors of the model that were copied or computed from the source's.
        fresh: The other tensors: always the classifier, and gates that the source lacks.
        skipped: The tensors of the source that were not used.
    """

    source: str
    copied: tuple[str, ...]
    fresh: tuple[str, ...]
    skipped: tuple[str, ...]

    def summary(self) -> str:
        """Return a one-line summary."""
        return (
            f"warm start from {self.source}: {len(self.copied)} tensors copied; "
            f"{_listed(self.fresh)} fresh; {_listed(self.skipped)} of the source not used"
        )


def warm_start(model: nn.Module, source: Source) -> WarmStart:
    """Copy a trunk into a network; the classifier does not change.

    In evaluation mode both then compute the same features, as far as the layouts allow: batch norms with
    another epsilon are adjusted, and new gates start as constants. The ``pretrained_cfg`` takes over the
    source's preprocessing. The result is also stored as ``model.warm_start``.

    timm's ``tf_`` models pad strided convolutions on two sides, ours on all four. Both compute the same for
    inputs of 32 n + 1 pixels a side, so the input size is rounded up to one of those: 224 becomes 225.

    Args:
        model: A network of the zoo.
        source: A weights folder, ``timm/NAME`` (timm's pretrained weights, from the Hub), or a module.

    Raises:
        ModelError: The source is not found, or does not fit; the first layers that differ are named.
        WeightsError: The source's files are corrupt.
    """
    return copy_trunk(model, load_trunk(source))


@torch.no_grad()
def copy_trunk(model: nn.Module, trunk: Trunk) -> WarmStart:
    """Do the same as `warm_start` with a loaded trunk.

    Raises:
        ModelError: The trunk does not fit.
    """
    tensors, sources = model.state_dict(), trunk.model.state_dict()
    head = _tensors_of(model, classifiers_of(model))
    wanted = [name for name in tensors if name not in head]
    missing = [name for name in wanted if name not in sources or sources[name].shape != tensors[name].shape]
    if missing:
        copied, used = _copy_in_order(model, trunk, missing[0])
    else:
        copied = used = _copy_by_name(model, trunk.model, wanted)
    if isinstance(config := getattr(model, "pretrained_cfg", None), dict):
        config.update(trunk.preprocessing)
        if missing and any(isinstance(module, Conv2dSame) for module in trunk.model.modules()):
            config["input_size"] = _size_of_equal_padding(config["input_size"])
    record = WarmStart(
        source=trunk.name,
        copied=tuple(name for name in tensors if name in copied),
        fresh=tuple(name for name in tensors if name not in copied),
        skipped=tuple(name for name in sources if name not in used),
    )
    model.warm_start = record  # type: ignore[assignment]
    return record


def _size_of_equal_padding(size: Sequence[int]) -> tuple[int, ...]:
    """Round a size up to one at which TensorFlow's padding and this zoo's are the same."""
    channels, *sides = size
    return channels, *(side + (1 - side) % 32 for side in sides)


def _copy_by_name(model: nn.Module, source: nn.Module, names: Iterable[str]) -> set[str]:
    tensors, sources = model.state_dict(), source.state_dict()
    copied = set(names)
    for name in copied:
        tensors[name].copy_(sources[name])
    others = dict(source.named_modules())
    for name, layer in model.named_modules():
        if name in others:
            _adjust_eps(layer, others[name])
    return copied


def _copy_in_order(model: nn.Module, trunk: Trunk, missing: str) -> tuple[set[str], set[str]]:
    name = getattr(model, "architecture", type(model).__name__)
    source = _layers(trunk.model, [])
    # The source may lack all gates, the outer ones, or none.
    attempts = [(gates, _layers(model, gates)) for gates in (_gates(model), _outer_gates(model), [])]
    aside, target = max(attempts, key=lambda attempt: _agreement(attempt[1], source))
    agreement = _agreement(target, source)
    if agreement < max(len(target), len(source)):
        raise ModelError(
            f"{name} cannot start from {trunk.name}: convolution or norm {agreement + 1} of the trunk is "
            f"{_described(target, agreement)}, and that of the source {_described(source, agreement)}."
        )
    # Any other tensor that stayed fresh would change the function of the trunk unnoticed.
    head = [*classifiers_of(model), getattr(model, "head_norm", nn.Identity())]
    accounted = _tensors_of(model, [*head, *aside, *(layer for _, layer in target)])
    if not accounted.issuperset(model.state_dict()):
        raise ModelError(
            f"{name} cannot start from {trunk.name}: its tensor {missing!r} "
            f"{tuple(model.state_dict()[missing].shape)} has no counterpart in the source."
        )
    copied, used = set(), set()
    for (target_name, layer), (source_name, other) in zip(target, source, strict=True):
        keys = _copy_layer(layer, other)
        copied |= {f"{target_name}.{key}" for key in keys}
        used |= {f"{source_name}.{key}" for key in keys}
    _make_constant(model, aside)
    return copied, used


def _copy_layer(layer: nn.Module, source: nn.Module) -> list[str]:
    tensors, sources = layer.state_dict(), source.state_dict()
    keys = [key for key in tensors if key in sources]
    for key in keys:
        tensors[key].copy_(sources[key])
    _adjust_eps(layer, source)
    return keys


def _adjust_eps(layer: nn.Module, source: nn.Module) -> None:
    """Adjust the weight of a batch norm to the source's epsilon."""
    if isinstance(layer, _BatchNorm) and isinstance(source, _BatchNorm) and layer.eps != source.eps:
        variance = cast(Tensor, layer.running_var)
        layer.weight.mul_(((variance + layer.eps) / (variance + source.eps)).sqrt())


def _make_constant(model: nn.Module, gates: Iterable[nn.Module]) -> None:
    """Make gates constant, and fold the constants into the norms before (outer) or after (inner) them."""
    chosen = {id(gate) for gate in gates}
    for block in model.modules():
        if isinstance(block, MBConv) and id(block.inner_se) in chosen:
            nn.init.zeros_(block.inner_se.expand.weight)
            nn.init.constant_(cast(Tensor, block.inner_se.expand.bias), _INNER_BIAS)
            _undo_input_gate(block.project.norm, torch.tensor(_INNER_BIAS).sigmoid().item())
        if isinstance(block, MBConv) and id(block.outer_se) in chosen:
            _undo_outer_gate(block.outer_se, block.project.norm)
        if isinstance(block, ResidualBlock) and id(block.se) in chosen:
            _undo_outer_gate(block.se, block.second.norm)


def _undo_outer_gate(gate: nn.Module, norm: nn.Module) -> None:
    nn.init.zeros_(cast(SEBlock, gate).expand.weight)
    for tensor in norm.parameters():
        tensor.div_(_OUTER_GATE)


def _undo_input_gate(norm: nn.Module, gate: float) -> None:
    if not isinstance(norm, _BatchNorm):
        return  # a group norm does not depend on the scale of its input
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    # (gate · x - gate · mean) / √(gate² · variance + eps), made equal to (x - mean) / √(variance + eps)
    norm.weight.mul_(((gate**2 * variance + norm.eps) / (gate**2 * (variance + norm.eps))).sqrt())
    mean.mul_(gate)
    variance.mul_(gate**2)


def _gates(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, SEBlock)]


def _outer_gates(model: nn.Module) -> list[nn.Module]:
    inner = {id(module.inner_se) for module in model.modules() if isinstance(module, MBConv)}
    return [gate for gate in _gates(model) if id(gate) not in inner]


def _tensors_of(model: nn.Module, modules: Iterable[nn.Module]) -> set[str]:
    chosen = {id(module) for module in modules}
    return {
        f"{name}.{key}"
        for name, module in model.named_modules()
        if id(module) in chosen
        for key in module.state_dict()
    }


def _layers(model: nn.Module, aside: Iterable[nn.Module]) -> list[tuple[str, nn.Module]]:
    """List the convolutions and norms in order, without those of the classifier and of ``aside``."""
    left_out = {id(part) for module in [*aside, *classifiers_of(model)] for part in module.modules()}
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, _BatchNorm, nn.GroupNorm)) and id(module) not in left_out
    ]


def _agreement(target: Sequence[tuple[str, nn.Module]], source: Sequence[tuple[str, nn.Module]]) -> int:
    """Count the leading layers that agree."""
    pairs = zip(target, source, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: _kind(pair[0][1]) == _kind(pair[1][1]), pairs))


def _kind(layer: nn.Module) -> str:
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in layer.named_parameters())
    return (
        f"convolution of stride {layer.stride}, {shapes}"
        if isinstance(layer, nn.Conv2d)
        else f"norm, {shapes}"
    )


def _described(layers: Sequence[tuple[str, nn.Module]], index: int) -> str:
    return f"{layers[index][0]!r} ({_kind(layers[index][1])})" if index < len(layers) else "missing"


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none"
    shown = ", ".join(names[:2]) + (", …" if len(names) > 2 else "")
    return f"{len(names)} ({shown})"


#: The source of a warm start.
Source: TypeAlias = "str | os.PathLike[str] | nn.Module"

_TENSORS = "model.safetensors"
_PREPROCESSING = ("mean", "std", "interpolation", "crop_pct", "input_size")


class Trunk(NamedTuple):
    """The source network of a warm start.

    Attributes:
        name: Its origin, for messages.
        model: The network.
        preprocessing: The fields of timm's pretrained configuration about preprocessing.
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
    """Load the source of a warm start.

    Args:
        source: A folder with ``config.json`` and ``model.safetensors`` (this library's or of timm's layout),
            ``timm/NAME`` for timm's pretrained weights, which the Hub serves, or a module.

    Raises:
        ModelError: The source cannot be found, or its architecture is unknown.
        WeightsError: Its files are corrupt, or its tensors are not those of its architecture.
    """
    if isinstance(source, nn.Module):
        config = getattr(source, "pretrained_cfg", None) or {}
        name = getattr(source, "architecture", config.get("architecture", type(source).__name__))
        return Trunk(name, source, _preprocessing(config))
    if isinstance(source, str) and source.startswith(timm_bridge.PREFIX):
        return _from_hub(source)
    return _from_folder(user_path(source))


def _from_folder(folder: Path) -> Trunk:
    path = folder / "config.json"
    try:
        text = read_bounded(path)
    except OSError as error:
        raise ModelError(
            f"cannot start from {str(folder)!r}: its config.json cannot be read ({error.strerror}). "
            "Give a weights folder, or timm/NAME."
        ) from error
    config = parse_json(text, what=repr(str(path)))
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise WeightsError(f"{str(path)!r} names no architecture. Add the key 'architecture'.")
    name = config["architecture"]
    if name not in ARCHITECTURES and not name.startswith(timm_bridge.PREFIX):
        name = timm_bridge.PREFIX + name  # timm's own folders leave the prefix out
    for key in ("model_args", "preprocess", "pretrained_cfg"):
        if not isinstance(config.setdefault(key, {}), dict):
            raise WeightsError(f"{str(path)!r}: {key!r} is {config[key]!r}, but has to be an object.")
    check_arguments(config["model_args"])
    classes = config.get("classes")
    count = len(classes) if isinstance(classes, list) else config.get("num_classes", 1000)
    model = _loaded(name, count, config["model_args"], folder / _TENSORS, sha256=config.get("sha256") or None)
    config = {**cast(dict[str, Any], model.pretrained_cfg), **_flat(config)}
    return Trunk(str(folder), model, _preprocessing(config))


def _from_hub(name: str) -> Trunk:
    config = get_pretrained_cfg(timm_bridge.check_name(name))
    if config is None or not config.hf_hub_id:
        raise ModelError(f"timm has no weights of {name!r} on the Hub. Start from another, or from a folder.")
    try:
        # Cached files need no network.
        path = huggingface_hub.try_to_load_from_cache(config.hf_hub_id, _TENSORS)
        if not isinstance(path, str):
            path = huggingface_hub.hf_hub_download(config.hf_hub_id, _TENSORS)
    except Exception as error:  # the errors differ between versions of the Hub's client
        raise ModelError(
            f"cannot get the weights of {name!r} ({config.hf_hub_id} on the Hub): "
            f"{type(error).__name__}. Check the network, or start from a folder that has them."
        ) from error
    model = _loaded(name, config.num_classes, {}, Path(path), sha256=None)
    return Trunk(name, model, _preprocessing(cast(dict[str, Any], model.pretrained_cfg)))


def _loaded(
    name: str, num_classes: int, arguments: Mapping[str, Any], path: Path, *, sha256: str | None
) -> nn.Module:
    """Make a network and load its tensors, after a sketch without memory has shown that they fit."""
    tensors = read_tensors(path, sha256=sha256)

    def make() -> nn.Module:
        return build(name, num_classes=num_classes, arguments=arguments)

    expected = sketch(make, len(tensors)).state_dict()
    unlike = sorted(
        key
        for key in {*expected, *tensors}
        if key not in expected or key not in tensors or expected[key].shape != tensors[key].shape
    )
    if unlike:
        raise WeightsError(
            f"{str(path)!r} does not hold a {name} with {num_classes} classes: {len(unlike)} tensors are "
            f"missing, unknown or of another shape, such as {shown(unlike[0])}."
        )
    model = make()
    model.load_state_dict(tensors, strict=True)
    return model


def _preprocessing(config: Mapping[str, Any]) -> dict[str, Any]:
    values = {key: config[key] for key in _PREPROCESSING if config.get(key) is not None}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Move the preprocessing fields, which timm and our cards nest differently, to the top level."""
    card = config["preprocess"]
    size = card.get("size")
    input_size = {"input_size": (3, *size)} if isinstance(size, list) else {}
    return {**config, **config["pretrained_cfg"], **card, **input_size}
