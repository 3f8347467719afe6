"""The residual block of the ResNets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from activitynet.blocks.conv import ConvNormAct
from activitynet.blocks.layers import DropPath, SEBlock, check_rate, make_activation


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions and an SE gate, added to a shortcut.

    Conv → norm → activation → dropout → conv → norm → SE → stochastic depth → add → activation. If the
    shape changes, the shortcut is a 1 × 1 convolution with a norm. The last norm's weight starts at 0, so
    that the block starts as its shortcut (Goyal et al. 2017, https://arxiv.org/abs/1706.02677).

    Source: He et al. 2015, "Deep Residual Learning", https://arxiv.org/abs/1512.03385 (the basic block).

    Args:
        in_channels: The number of input channels.
        out_channels: The number of output channels.
        stride: The stride of the first convolution and of the shortcut.
        act: A name of `ACTIVATIONS`. The SE gate always uses Mish: it may have a single hidden
            unit, and a ReLU unit that starts dead stays dead.
        norm: ``"group"`` or ``"batch"``.
        se_reduction: The reduction of the `SEBlock`; `None` leaves it out.
        drop_rate: Dropout between the convolutions, 0 ≤ rate < 1.
        drop_path_rate: Stochastic depth (see `DropPath`), 0 ≤ rate < 1.

    Shapes:
        ``(batch, in_channels, h, w)`` to ``(batch, out_channels, ⌈h / stride⌉, ⌈w / stride⌉)``.

    Raises:
        ModelError: An unknown activation or norm, or a number out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        *,
        act: str = "mish",
        norm: str = "group",
        se_reduction: int | None = 16,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.first = ConvNormAct(in_channels, out_channels, 3, stride=stride, act=act, norm=norm)
        self.dropout = nn.Dropout(check_rate("drop_rate", drop_rate))
        self.second = ConvNormAct(out_channels, out_channels, 3, act=None, norm=norm)
        self.se = nn.Identity() if se_reduction is None else SEBlock(out_channels, se_reduction, act="mish")
        self.drop_path = DropPath(drop_path_rate)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and in_channels == out_channels
            else ConvNormAct(in_channels, out_channels, 1, stride=stride, act=None, norm=norm)
        )
        self.act = make_activation(act)
        nn.init.zeros_(self.second.norm.weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated sum of the shortcut and the gated branch."""
        if not torch.jit.is_scripting() and self.second.fused and self.training:
            return self._fused(x)
        branch = self.se(self.second(self.dropout(self.first(x))))
        return self.act(self.shortcut(x) + self.drop_path(branch))

    @torch.jit.unused
    def _fused(self, x: Tensor) -> Tensor:
        branch = self.second.before_act(self.dropout(self.first(x)))
        if isinstance(self.se, SEBlock):
            branch = branch.scale_channels(self.se.gate)
        return branch.drop_path(self.drop_path).activate(self.act, self.shortcut(x))
