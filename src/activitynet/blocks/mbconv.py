"""The inverted residual block of the EfficientNets."""

from __future__ import annotations

from torch import Tensor, nn

from activitynet.blocks.conv import ConvNormAct
from activitynet.blocks.layers import DropPath, SEBlock


class MBConv(nn.Module):
    """An inverted residual: expand, depthwise convolution, SE, project, SE, add.

    1 × 1 expansion → depthwise convolution → inner SE → 1 × 1 projection → outer SE → stochastic depth, and
    the input is added (identity mapping) if the shape is unchanged. The inner SE is EfficientNet's own, with
    biases and a quarter of the block's *input* channels in between; the outer one is the bias-free `SEBlock`
    on the block's output.

    Sources: Sandler et al. 2018, "MobileNetV2", https://arxiv.org/abs/1801.04381; Tan & Le 2019,
    "EfficientNet", https://arxiv.org/abs/1905.11946.

    Args:
        in_channels: The number of input channels.
        out_channels: The number of output channels.
        kernel_size: The depthwise kernel size, odd.
        stride: The stride of the depthwise convolution.
        expansion: The expansion ratio; 1 leaves out the expanding convolution.
        act: A name of `ACTIVATIONS`. The SE gates always use SiLU: they may have a single hidden
            unit, and a ReLU unit that starts dead stays dead.
        norm: ``"batch"`` or ``"group"``.
        eps: What the norms add to the variance.
        se_reduction: The reduction of the outer `SEBlock`; `None` leaves it out.
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
        kernel_size: int = 3,
        stride: int = 1,
        *,
        expansion: int = 6,
        act: str = "silu",
        norm: str = "batch",
        eps: float = 1e-3,
        se_reduction: int | None = 16,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        middle = in_channels * expansion
        self.identity = stride == 1 and in_channels == out_channels
        self.expand = (
            nn.Identity()
            if expansion == 1
            else ConvNormAct(in_channels, middle, 1, act=act, norm=norm, eps=eps)
        )
        self.depthwise = ConvNormAct(
            middle, middle, kernel_size, stride=stride, groups=middle, act=act, norm=norm, eps=eps
        )
        self.inner_se = SEBlock(middle, 4 * expansion, act="silu", bias=True)
        self.project = ConvNormAct(middle, out_channels, 1, act=None, norm=norm, eps=eps)
        self.outer_se = (
            nn.Identity() if se_reduction is None else SEBlock(out_channels, se_reduction, act="silu")
        )
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated projection, plus the input if the shape is unchanged."""
        branch = self.outer_se(self.project(self.inner_se(self.depthwise(self.expand(x)))))
        return x + self.drop_path(branch) if self.identity else branch
