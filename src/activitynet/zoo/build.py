"""A network with random weights, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
from timm.models import model_entrypoint
from torch import nn

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
        ModelError: An unknown name, an argument that the architecture does not have, or a value that cannot
            be.
    """
    if "num_classes" in arguments:
        raise ModelError("num_classes stands among the further arguments. Give it by itself.")
    settled = {**DEFAULTS, **arguments}
    if not isinstance(num_classes, int) or num_classes < 0:
        raise ModelError(f"num_classes is {num_classes!r}, but has to be an integer of at least 0.")
    if not isinstance(settled["in_chans"], int) or settled["in_chans"] < 1:
        raise ModelError(f"in_chans is {settled['in_chans']!r}, but has to be an integer of at least 1.")
    for key in ("drop_rate", "drop_path_rate"):
        check_rate(key, settled[key])
    if name.startswith(timm_bridge.PREFIX):
        return timm_bridge.build(name, num_classes, settled)
    architecture = find(name)
    given = {k: v for k, v in settled.items() if k in architecture.options or (k, v) not in DEFAULTS.items()}
    architecture.check(given)
    # Not timm.create_model, which drops every argument that is None: se_reduction=None means something.
    model: nn.Module = model_entrypoint(name)(num_classes=num_classes, **given)
    return model


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
