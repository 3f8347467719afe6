"""Stochastic depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from activitynet.blocks.rate import check_rate


class DropPath(nn.Module):
    """Drop a residual branch, sample by sample, while training (stochastic depth).

    A sample's branch is zeroed with probability ``rate`` and scaled by ``1 / (1 - rate)`` otherwise, so that
    its expected value stays. In evaluation mode the input passes unchanged.

    Source: Huang et al. 2016, "Deep Networks with Stochastic Depth", https://arxiv.org/abs/1603.09382.

    Args:
        rate: The probability of dropping, 0 ≤ rate < 1.

    Shapes:
        ``(batch, …)`` to the same.

    Raises:
        ModelError: The rate is out of range.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = check_rate("drop_path_rate", rate)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with the branches of some samples zeroed."""
        if not self.training or self.rate == 0.0:
            return x
        kept = torch.empty([x.shape[0]] + [1] * (x.dim() - 1), dtype=x.dtype, device=x.device)
        return x * kept.bernoulli_(1.0 - self.rate).div_(1.0 - self.rate)

    def extra_repr(self) -> str:
        """Show the rate where the module is printed."""
        return f"rate={self.rate:g}"
