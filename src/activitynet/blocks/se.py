"""Squeeze and excitation."""

from __future__ import annotations

from torch import Tensor, nn

from activitynet.blocks.activation import make_activation
from activitynet.errors import ModelError


class SEBlock(nn.Module):
    """Scale each channel by a gate in (0, 1) that is computed from the means of all channels.

    Global average → 1 × 1 reduce → activation → 1 × 1 expand → sigmoid → scale.

    Source: Hu et al. 2018, "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507.

    Args:
        channels: The number of channels.
        reduction: How many times fewer channels there are in between, at least 1 being left.
        act: The activation in between, a name of `ACTIVATIONS`.
        bias: Whether the two 1 × 1 layers have biases.

    Shapes:
        ``(batch, channels, h, w)`` to the same.

    Raises:
        ModelError: An unknown activation, or a reduction that is not a positive integer.
    """

    def __init__(self, channels: int, reduction: int = 16, *, act: str = "relu", bias: bool = False) -> None:
        super().__init__()
        if not isinstance(reduction, int) or reduction < 1:
            raise ModelError(
                f"the reduction of an SEBlock is {reduction!r}, but has to be a positive integer."
            )
        squeezed = max(1, channels // reduction)
        self.reduce = nn.Conv2d(channels, squeezed, 1, bias=bias)
        self.act = make_activation(act)
        self.expand = nn.Conv2d(squeezed, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with each channel scaled by its gate."""
        return x * self.gate(x.mean((2, 3), keepdim=True))

    def gate(self, means: Tensor) -> Tensor:
        """Return the gates, in (0, 1), for the channels' means; both are ``(batch, channels, 1, 1)``."""
        return self.expand(self.act(self.reduce(means))).sigmoid()
