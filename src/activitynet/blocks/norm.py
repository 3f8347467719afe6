"""Normalisations by name."""

from __future__ import annotations

from torch import nn

from activitynet.errors import ModelError, did_you_mean

_NORMS = ("group", "batch")


def group_count(channels: int) -> int:
    """Return how many groups to normalise ``channels`` in: 32 where that fits, as in the paper.

    Otherwise it is the largest divisor of ``channels`` below 32 that leaves at least two channels a group:
    a group of one channel has nothing left to say where the map is 1 × 1.

    Source: Wu & He 2018, "Group Normalization", https://arxiv.org/abs/1803.08494.
    """
    return next((n for n in range(min(32, channels // 2), 1, -1) if channels % n == 0), 1)


def make_norm(name: str, channels: int, *, eps: float = 1e-5) -> nn.Module:
    """Make an affine normalisation of ``(batch, channels, height, width)``.

    Args:
        name: ``"group"`` (GroupNorm in `group_count` groups) or ``"batch"`` (BatchNorm).
        channels: The number of channels.
        eps: What is added to the variance.

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
