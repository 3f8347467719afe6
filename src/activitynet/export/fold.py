"""The same function in fewer passes over memory, for networks that will only predict."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from activitynet.blocks import ConvNormAct, ResidualBlock, SEBlock


class ScaledGroupNorm(nn.Module):
    """A GroupNorm, and the gate behind it if there is one, as one scale and one shift a channel.

    Engines fuse the scale and the shift with the activation that follows, where a GroupNorm is a pass, or
    several, of its own. The statistics come from two reductions over the map: the mean and the norm. The
    gate's means follow from those of the map, so that the gate reads no map at all.

    Args:
        norm: The GroupNorm.
        gate: The `SEBlock` that follows it directly.

    Shapes:
        ``(batch, channels, height, width)`` to the same.
    """

    groups: Tensor

    def __init__(self, norm: nn.GroupNorm, gate: SEBlock | None = None) -> None:
        super().__init__()
        self.eps = norm.eps
        self.weight = nn.Parameter(norm.weight.detach().reshape(1, -1, 1, 1))
        self.bias = nn.Parameter(norm.bias.detach().reshape(1, -1, 1, 1))
        self.gate = gate
        # Multiplied with this 1 x 1 kernel, each channel's mean becomes that of its group.
        size = norm.num_channels // norm.num_groups
        groups = torch.block_diag(*[torch.full((size, size), 1 / size)] * norm.num_groups)
        self.register_buffer("groups", groups[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map, gated if there is a gate."""
        means = x.mean((2, 3), keepdim=True)
        root = torch.linalg.vector_norm(x, 2, (2, 3), keepdim=True) / (x.shape[2] * x.shape[3]) ** 0.5
        group_means = F.conv2d(means, self.groups)
        variance = F.conv2d(root * root, self.groups) - group_means * group_means
        scale = self.weight * torch.rsqrt(variance.clamp(min=0) + self.eps)
        shift = self.bias - group_means * scale
        if self.gate is not None:
            gate = self.gate.gate(means * scale + shift)
            scale, shift = scale * gate, shift * gate
        return x * scale + shift


def scale_group_norms(model: nn.Module) -> nn.Module:
    """Return a copy whose group norms are `ScaledGroupNorm`s: the form that compilers of graphs fuse."""
    model = copy.deepcopy(model)
    for block in model.modules():
        if not (isinstance(block, ResidualBlock) and isinstance(block.se, SEBlock)):
            continue
        if isinstance(block.second.norm, nn.GroupNorm):
            block.second.norm = ScaledGroupNorm(block.second.norm, block.se)
            block.se = nn.Identity()
    for layer in model.modules():
        if isinstance(layer, ConvNormAct) and isinstance(layer.norm, nn.GroupNorm):
            layer.norm = ScaledGroupNorm(layer.norm)
    return model.eval()


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """Return a copy whose batch norms are part of the convolutions before them."""
    model = copy.deepcopy(model).eval()
    for layer in model.modules():
        if isinstance(layer, ConvNormAct) and isinstance(layer.norm, nn.BatchNorm2d):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.norm)
            layer.norm = nn.Identity()
    return model
