"""Build a network from its name and arguments, and describe it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.models import model_entrypoint
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from activitynet.blocks import check_rate
from activitynet.errors import ModelError, did_you_mean
from activitynet.hub import list_releases
from activitynet.zoo import timm_bridge
from activitynet.zoo.registry import ARCHITECTURES, DEFAULTS, Architecture


def build(name: str, *, num_classes: int, arguments: Mapping[str, Any]) -> nn.Module:
    """Make a network with random weights.

    Args:
        name: A registered name, or ``timm/NAME``.
        num_classes: The outputs; 0 leaves the classifier out.
        arguments: Arguments of the architecture.

    Raises:
        ModelError: An unknown name, an argument that the architecture does not have, or an invalid value.
    """
    if "num_classes" in arguments:
        raise ModelError("num_classes is in model_args. Pass it as its own argument.")
    resolved = {**DEFAULTS, **arguments}
    if not isinstance(num_classes, int) or num_classes < 0:
        raise ModelError(f"num_classes is {num_classes!r}, but has to be an integer of at least 0.")
    if not isinstance(resolved["in_chans"], int) or resolved["in_chans"] < 1:
        raise ModelError(f"in_chans is {resolved['in_chans']!r}, but has to be an integer of at least 1.")
    for key in ("drop_rate", "drop_path_rate"):
        check_rate(key, resolved[key])
    if name.startswith(timm_bridge.PREFIX):
        return timm_bridge.build(name, num_classes, resolved)
    architecture = find(name)
    given = {k: v for k, v in resolved.items() if k in architecture.options or (k, v) not in DEFAULTS.items()}
    architecture.check(given)
    # Not timm.create_model, which drops arguments that are None: se_reduction=None has a meaning.
    model: nn.Module = model_entrypoint(name)(num_classes=num_classes, **given)
    return model


def check_model_name(name: str) -> None:
    """Refuse a name that `build` does not know.

    Raises:
        ModelError: Naming the closest name that exists.
    """
    if name.startswith(timm_bridge.PREFIX):
        timm_bridge.check_name(name)
    else:
        find(name)


def find(name: str) -> Architecture:
    """Return a registered architecture.

    Raises:
        ModelError: Nothing is registered under that name.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if any(name == release.name for release in list_releases()):
        raise ModelError(f"{name!r} names released weights: add pretrained=True to load them.")
    hint = f" Did you mean 'timm/{name}'?" if timm.is_model(name) else did_you_mean(name, ARCHITECTURES)
    raise ModelError(f"unknown model {name!r}.{hint} activitynet.list_models() lists them.")


@dataclass(frozen=True)
class ModelInfo:
    """Size and cost of an architecture.

    Attributes:
        name: Its name.
        parameters: The number of its parameters.
        macs: The multiply-adds of its convolutions and matrix products for one photo of ``input_size``.
        input_size: The input it is designed for: channels, height, width.
        source: Where the architecture comes from.
    """

    name: str
    parameters: int
    macs: int
    input_size: tuple[int, int, int]
    source: str


def model_info(name: str, *, num_classes: int = 20) -> ModelInfo:
    """Count a model's parameters and multiply-adds without allocating it.

    Args:
        name: A name from `list_models`.
        num_classes: The outputs.

    Raises:
        ModelError: An unknown name.
    """
    with torch.device("meta"):
        model = build(name, num_classes=num_classes, arguments={}).eval()
        size = tuple(model.pretrained_cfg["input_size"])  # type: ignore[index]
        macs = count_macs(model, size)
    return ModelInfo(
        name=name,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        macs=macs,
        input_size=size,
        source=ARCHITECTURES[name].source if name in ARCHITECTURES else "timm",
    )


def count_macs(model: nn.Module, size: tuple[int, int, int]) -> int:
    """Count the multiply-adds of a model's convolutions and matrix products, without computing them.

    Args:
        model: The model, on any device. It is not changed.
        size: Channels, height and width of one image.
    """
    copied = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copied(torch.empty(1, *size, device="meta"))
    return counter.get_total_flops() // 2
