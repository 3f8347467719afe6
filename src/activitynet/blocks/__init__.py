"""Building blocks of the zoo's networks, usable alone: torch modules on ``(batch, channels, h, w)``."""

from __future__ import annotations

from activitynet.blocks.activation import ACTIVATIONS, Mish, make_activation
from activitynet.blocks.conv import ConvNormAct, conv2d, set_fused
from activitynet.blocks.depthwise import DepthwiseConv2d
from activitynet.blocks.drop_path import DropPath
from activitynet.blocks.mbconv import MBConv
from activitynet.blocks.norm import group_count, make_norm
from activitynet.blocks.rate import check_rate
from activitynet.blocks.residual import ResidualBlock
from activitynet.blocks.se import SEBlock

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
