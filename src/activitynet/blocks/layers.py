"""Small layers: Mish, norms, drop rates, stochastic depth and squeeze-and-excitation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from activitynet.errors import ModelError, did_you_mean

Mish = nn.Mish

#: The activations of the blocks, by name.
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

    It works in place if it can, which saves memory. Put it after a layer whose output nothing else uses.

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


_NORMS = ("group", "batch")


def group_count(channels: int) -> int:
    """Return the number of groups to normalise ``channels`` in: 32 if possible, as in the paper.

    Otherwise it is the largest divisor of ``channels`` below 32 that leaves at least two channels in a group:
    a normalised group of one channel carries no information if the feature map is 1 × 1.

    Source: Wu & He 2018, "Group Normalization", https://arxiv.org/abs/1803.08494.
    """
    return next((n for n in range(min(32, channels // 2), 1, -1) if channels % n == 0), 1)


def make_norm(name: str, channels: int, *, eps: float = 1e-5) -> nn.Module:
    """Make an affine normalisation of ``(batch, channels, height, width)``.

    Args:
        name: ``"group"`` (GroupNorm in `group_count` groups) or ``"batch"`` (BatchNorm).
        channels: The number of channels.
        eps: Added to the variance.

    Raises:
        ModelError: There is no normalisation of that name.
    """
    if name == "group":
        return nn.GroupNorm(group_count(channels), channels, eps=eps)
    if name == "batch":
        return nn.BatchNorm2d(channels, eps=eps)
    raise ModelError(
        f"unknown norm {name!r}.{did_you_mean(str(name), _NORMS)} There are: {', '.join(_NORMS)}."
    )


def check_rate(name: str, rate: float) -> float:
    """Return ``rate`` if it is a valid drop probability, 0 ≤ rate < 1.

    Args:
        name: The name of the rate, for the error.
        rate: The probability of dropping.

    Raises:
        ModelError: It is not a number from 0 up to but not including 1.
    """
    if not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise ModelError(f"{name} is {rate!r}, but has to be a number of at least 0 and less than 1.")
    return float(rate)


class DropPath(nn.Module):
    """Drop a residual branch, sample by sample, while training (stochastic depth).

    A sample's branch is zeroed with probability ``rate`` and scaled by ``1 / (1 - rate)`` otherwise, so that
    its expected value is unchanged. In evaluation mode the input passes unchanged.

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


class SEBlock(nn.Module):
    """Scale each channel by a gate in (0, 1) computed from the means of all channels.

    Global average → 1 × 1 reduce → activation → 1 × 1 expand → sigmoid → scale.

    Source: Hu et al. 2018, "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507.

    Args:
        channels: The number of channels.
        reduction: The reduction ratio of the hidden layer, which has at least one unit.
        act: The activation of the hidden layer, a name of `ACTIVATIONS`.
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
