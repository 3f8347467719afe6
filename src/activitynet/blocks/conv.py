"""Convolution, alone or followed by normalisation and activation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from activitynet.blocks.cpu_kernels import AffineFeatures, DepthwiseConv2d, group_norm
from activitynet.blocks.layers import make_activation, make_norm


def conv2d(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Make a bias-free convolution, padded on all sides by half its kernel.

    The initial weights are Kaiming-normal by the fan-out of one group (He et al. 2015,
    https://arxiv.org/abs/1502.01852).

    Args:
        in_channels: The number of input channels.
        out_channels: The number of output channels.
        kernel_size: The kernel size, odd.
        stride: The stride.
        groups: The number of groups of channels; ``in_channels`` makes it depthwise.
    """
    conv: nn.Conv2d
    if groups == in_channels == out_channels and groups > 1:
        conv = DepthwiseConv2d(in_channels, kernel_size, stride=stride)
    else:
        padding = kernel_size // 2
        conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=padding, groups=groups, bias=False
        )
    fan_out = kernel_size**2 * out_channels / groups
    nn.init.normal_(conv.weight, std=math.sqrt(2 / fan_out))
    return conv


def set_fused(model: nn.Module, wanted: bool) -> bool:
    """Switch the fused training kernels of a network's blocks with group norms on or off.

    Batch norms stay as they are: PyTorch's own kernels are as fast.

    Args:
        model: Any module.
        wanted: Whether to use the kernels of `activitynet.blocks.cpu_kernels`. The first step compiles them,
            which takes about half a minute, and on a CPU needs a C++ compiler.

    Returns:
        Whether any block has fused kernels.
    """
    blocks = [m for m in model.modules() if isinstance(m, ConvNormAct) and isinstance(m.norm, nn.GroupNorm)]
    for block in blocks:
        block.fused = wanted
    return bool(blocks)


class ConvNormAct(nn.Module):
    """A convolution, a normalisation and, unless ``act`` is `None`, an activation.

    Args:
        in_channels: The number of input channels.
        out_channels: The number of output channels.
        kernel_size: The kernel size, odd.
        stride: The stride.
        groups: The groups of the convolution (see `conv2d`).
        act: A name of `ACTIVATIONS`, or `None` for no activation.
        norm: ``"group"`` or ``"batch"`` (see `make_norm`).
        eps: What the normalisation adds to the variance.

    Attributes:
        fused: While training, normalise and activate in two passes (`activitynet.blocks.cpu_kernels`); for a
            group norm only. `set_fused` sets it.

    Shapes:
        ``(batch, in_channels, h, w)`` to ``(batch, out_channels, ⌈h / stride⌉, ⌈w / stride⌉)``.

    Raises:
        ModelError: An unknown activation or normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        act: str | None,
        norm: str,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.conv = conv2d(in_channels, out_channels, kernel_size, stride=stride, groups=groups)
        self.norm = make_norm(norm, out_channels, eps=eps)
        self.act = nn.Identity() if act is None else make_activation(act)
        self.fused = False

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated features."""
        if not torch.jit.is_scripting() and self.fused and self.training:
            return self.before_act(x).activate(self.act)
        return self.act(self.norm(self.conv(x)))

    @torch.jit.unused
    def before_act(self, x: Tensor) -> AffineFeatures:
        """Return the normalised features before activation, without the scale and shift applied."""
        return group_norm(self.conv(x), self.norm)  # type: ignore[arg-type]
