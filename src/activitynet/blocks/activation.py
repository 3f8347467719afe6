"""Activations by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from activitynet.errors import ModelError, did_you_mean

Mish = nn.Mish

#: Every activation that the blocks take, by the name they take it under.
ACTIVATIONS: Mapping[str, type[nn.Module]] = MappingProxyType(
    {
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "silu": nn.SiLU,
        "mish": nn.Mish,
        "gelu": nn.GELU,
        "hardswish": nn.Hardswish,
    }
)


def make_activation(name: str) -> nn.Module:
    """Make an activation.

    It works in place where it can, which saves memory: put it behind a layer whose output nothing else uses.

    Args:
        name: A name of `ACTIVATIONS`.

    Raises:
        ModelError: There is no activation of that name.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ModelError(
            f"unknown activation {name!r}.{did_you_mean(str(name), ACTIVATIONS)} "
            f"There are: {', '.join(ACTIVATIONS)}."
        )
    kind = ACTIVATIONS[name]
    return kind() if kind is nn.GELU else kind(inplace=True)
