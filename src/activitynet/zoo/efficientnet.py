"""EfficientNet-SE: EfficientNet with a second squeeze-and-excitation gate on the output of each block.

The layout is EfficientNet's (Tan & Le 2019, https://arxiv.org/abs/1905.11946), padded symmetrically. At
20 classes `efficientnet_b0_se` has 4,074,512 parameters, the count that was published with the ensemble this
zoo reproduces. It is a reconstruction: with the gates and the norm of the pooled features it has exactly that
many.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import nn

from activitynet.blocks import ConvNormAct, MBConv
from activitynet.zoo.network import Network, network_config
from activitynet.zoo.registry import register_model

_SOURCE = "EfficientNet, https://arxiv.org/abs/1905.11946, with SE, https://arxiv.org/abs/1709.01507"
_EPS = 1e-3
_STEM, _TAIL = 32, 1280


class _Stage(NamedTuple):
    expansion: int
    kernel_size: int
    stride: int
    channels: int
    depth: int


_STAGES = (  # EfficientNet-B0, table 1 of the paper
    _Stage(1, 3, 1, 16, 1),
    _Stage(6, 3, 2, 24, 2),
    _Stage(6, 5, 2, 40, 2),
    _Stage(6, 3, 2, 80, 3),
    _Stage(6, 5, 1, 112, 3),
    _Stage(6, 5, 2, 192, 4),
    _Stage(6, 3, 1, 320, 1),
)


def _scaled(channels: int, width: float) -> int:
    """Scale to the nearest multiple of 8, but never down by more than a tenth."""
    scaled = max(8, int(channels * width + 4) // 8 * 8)
    return scaled if scaled >= 0.9 * channels * width else scaled + 8


class EfficientNetSE(Network):
    """EfficientNet-B0, scaled in width and depth (compound scaling), of `MBConv`s with two SE gates each.

    Args:
        width: The multiplier of all channel counts.
        depth: The multiplier of the number of blocks in each stage.
        num_classes: The number of outputs; 0 leaves the classifier out.
        in_chans: The number of image channels.
        drop_rate: Dropout before the classifier, 0 ≤ rate < 1.
        drop_path_rate: Stochastic depth of the last block; the rate grows linearly from 0 at the first.
        act: A name of `activitynet.blocks.ACTIVATIONS`.
        norm: ``"batch"`` or ``"group"``.
        se_reduction: The reduction of each block's outer SE gate; `None` leaves those gates out.

    Raises:
        ModelError: An unknown activation or norm, or a number out of range.
    """

    def __init__(
        self,
        width: float,
        depth: float,
        /,
        *,
        num_classes: int = 20,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act: str = "silu",
        norm: str = "batch",
        se_reduction: int | None = 16,
    ) -> None:
        channels, reduction = _scaled(_STEM, width), 2
        stem = ConvNormAct(in_chans, channels, 3, stride=2, act=act, norm=norm, eps=_EPS)
        depths = [math.ceil(stage.depth * depth) for stage in _STAGES]
        block, last = 0, max(1, sum(depths) - 1)
        stages, outputs = [], {}
        for i, (stage, stage_depth) in enumerate(zip(_STAGES, depths, strict=True)):
            blocks: list[nn.Module] = []
            for j in range(stage_depth):
                blocks.append(
                    MBConv(
                        channels,
                        _scaled(stage.channels, width),
                        stage.kernel_size,
                        stage.stride if j == 0 else 1,
                        expansion=stage.expansion,
                        act=act,
                        norm=norm,
                        eps=_EPS,
                        se_reduction=se_reduction,
                        drop_path_rate=drop_path_rate * block / last,
                    )
                )
                channels, block = _scaled(stage.channels, width), block + 1
            stages.append(nn.Sequential(*blocks))
            reduction *= stage.stride
            outputs[reduction] = {"num_chs": channels, "reduction": reduction, "module": f"stages.{i}"}
        num_features = _scaled(_TAIL, width)
        super().__init__(
            stem=stem,
            stages=stages,
            tail=ConvNormAct(channels, num_features, 1, act=act, norm=norm, eps=_EPS),
            num_features=num_features,
            feature_info=list(outputs.values()),  # the last stage of each resolution
            num_classes=num_classes,
            drop_rate=drop_rate,
            head_norm=nn.LayerNorm(num_features),
        )


@register_model(options_of=EfficientNetSE, source=_SOURCE, config=network_config(224))
def efficientnet_b0_se(**options: Any) -> EfficientNetSE:
    """Make an EfficientNet-B0-SE; ``options`` are the keyword arguments of `EfficientNetSE`."""
    return EfficientNetSE(1.0, 1.0, **options)


@register_model(options_of=EfficientNetSE, source=_SOURCE, config=network_config(240))
def efficientnet_b1_se(**options: Any) -> EfficientNetSE:
    """Make an EfficientNet-B1-SE; ``options`` are the keyword arguments of `EfficientNetSE`."""
    return EfficientNetSE(1.0, 1.1, **options)


@register_model(options_of=EfficientNetSE, source=_SOURCE, config=network_config(260))
def efficientnet_b2_se(**options: Any) -> EfficientNetSE:
    """Make an EfficientNet-B2-SE; ``options`` are the keyword arguments of `EfficientNetSE`."""
    return EfficientNetSE(1.1, 1.2, **options)


@register_model(options_of=EfficientNetSE, source=_SOURCE, config=network_config(300))
def efficientnet_b3_se(**options: Any) -> EfficientNetSE:
    """Make an EfficientNet-B3-SE; ``options`` are the keyword arguments of `EfficientNetSE`."""
    return EfficientNetSE(1.2, 1.4, **options)


@register_model(options_of=EfficientNetSE, source=_SOURCE, config=network_config(64))
def test_efficientnet_se(**options: Any) -> EfficientNetSE:
    """Make a tiny EfficientNet-SE for tests; ``options`` are the keyword arguments of `EfficientNetSE`."""
    return EfficientNetSE(0.25, 0.25, **options)
