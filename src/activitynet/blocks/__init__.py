"""Building blocks of the zoo's networks, usable alone: torch modules on ``(batch, channels, h, w)``."""

from __future__ import annotations

from activitynet.blocks.conv import ConvNormAct, conv2d, set_fused
from activitynet.blocks.cpu_kernels import DepthwiseConv2d
from activitynet.blocks.layers import (
    ACTIVATIONS,
    DropPath,
    Mish,
    SEBlock,
    check_rate,
    group_count,
    make_activation,
    make_norm,
)
from activitynet.blocks.mbconv import MBConv
from activitynet.blocks.residual import ResidualBlock

__all__ = [
    "ACTIVATIONS",
    "ConvNormAct",
    "DepthwiseConv2d",
    "DropPath",
    "MBConv",
    "Mish",
    "ResidualBlock",
    "SEBlock",
    "check_rate",
    "conv2d",
    "group_count",
    "make_activation",
    "make_norm",
    "set_fused",
]
