"""ResNet-SE: ResNet with GroupNorm, Mish and a squeeze-and-excitation gate in each block.

The layout is torchvision's ResNet (He et al. 2015, https://arxiv.org/abs/1512.03385). At 20 classes
`resnet18_se` has 11,273,812 parameters, the count that was published with the ensemble this zoo reproduces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from activitynet.blocks import ConvNormAct, ResidualBlock
from activitynet.zoo.network import Network, network_config
from activitynet.zoo.registry import register_model

_SOURCE = "ResNet, https://arxiv.org/abs/1512.03385, with SE, https://arxiv.org/abs/1709.01507"
_WIDTHS = (64, 128, 256, 512)


class ResNetSE(Network):
    """A residual network of `ResidualBlock`s.

    Args:
        depths: The number of blocks in each stage.
        widths: The channels of each stage; the stem has those of the first.
        num_classes: The number of outputs; 0 leaves the classifier out.
        in_chans: The number of image channels.
        drop_rate: Dropout before the classifier, 0 ≤ rate < 1.
        drop_path_rate: Stochastic depth of the last block; the rate grows linearly from 0 at the first.
        act: A name of `activitynet.blocks.ACTIVATIONS`.
        norm: ``"group"`` or ``"batch"``.
        se_reduction: The reduction of each block's SE gate; `None` leaves the gates out.
        block_drop_rate: Dropout within each block, 0 ≤ rate < 1.

    Raises:
        ModelError: An unknown activation or norm, or a number out of range.
    """

    def __init__(
        self,
        depths: Sequence[int],
        widths: Sequence[int],
        /,
        *,
        num_classes: int = 20,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act: str = "mish",
        norm: str = "group",
        se_reduction: int | None = 16,
        block_drop_rate: float = 0.0,
    ) -> None:
        stem = ConvNormAct(in_chans, widths[0], 7, stride=2, act=act, norm=norm)
        feature_info = [{"num_chs": widths[0], "reduction": 2, "module": "stem"}]
        stages = []
        channels, block, last = widths[0], 0, max(1, sum(depths) - 1)
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            # The pooling belongs to the first stage, as in the paper's table, so that the stem's output has
            # stride 2.
            layers: list[nn.Module] = [nn.MaxPool2d(3, stride=2, padding=1)] if i == 0 else []
            for j in range(depth):
                layers.append(
                    ResidualBlock(
                        channels,
                        width,
                        stride=2 if i > 0 and j == 0 else 1,
                        act=act,
                        norm=norm,
                        se_reduction=se_reduction,
                        drop_rate=block_drop_rate,
                        drop_path_rate=drop_path_rate * block / last,
                    )
                )
                channels, block = width, block + 1
            stages.append(nn.Sequential(*layers))
            feature_info.append({"num_chs": width, "reduction": 4 * 2**i, "module": f"stages.{i}"})
        super().__init__(
            stem=stem,
            stages=stages,
            tail=nn.Identity(),
            num_features=channels,
            feature_info=feature_info,
            num_classes=num_classes,
            drop_rate=drop_rate,
        )


@register_model(options_of=ResNetSE, source=_SOURCE, config=network_config(224))
def resnet10_se(**options: Any) -> ResNetSE:
    """Make a ResNet-SE of 4 blocks; ``options`` are the keyword arguments of `ResNetSE`."""
    return ResNetSE((1, 1, 1, 1), _WIDTHS, **options)


@register_model(options_of=ResNetSE, source=_SOURCE, config=network_config(224))
def resnet18_se(**options: Any) -> ResNetSE:
    """Make a ResNet-SE of 8 blocks; ``options`` are the keyword arguments of `ResNetSE`."""
    return ResNetSE((2, 2, 2, 2), _WIDTHS, **options)


@register_model(options_of=ResNetSE, source=_SOURCE, config=network_config(224))
def resnet34_se(**options: Any) -> ResNetSE:
    """Make a ResNet-SE of 16 blocks; ``options`` are the keyword arguments of `ResNetSE`."""
    return ResNetSE((3, 4, 6, 3), _WIDTHS, **options)


@register_model(options_of=ResNetSE, source=_SOURCE, config=network_config(64))
def test_resnet_se(**options: Any) -> ResNetSE:
    """Make a tiny ResNet-SE for tests; ``options`` are the keyword arguments of `ResNetSE`."""
    return ResNetSE((1, 1, 1, 1), (16, 24, 40, 56), **options)
