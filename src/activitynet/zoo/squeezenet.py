"""SqueezeNet: torchvision's trunk with the head and the contract of the rest of the zoo.

timm has no SqueezeNet. torchvision classifies each position of the feature map, applies ReLU and averages the
scores. Here the feature map is averaged first, and the classifier is a linear layer with the same number of
parameters.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torchvision
from torch import nn
from torchvision.models.squeezenet import Fire

from activitynet.zoo.network import Network, network_config
from activitynet.zoo.registry import register_model

_SOURCE = "SqueezeNet, https://arxiv.org/abs/1602.07360, of torchvision"
_FEATURES = 512


class SqueezeNet(Network):
    """A network of Fire modules.

    Args:
        version: The version of the layout, ``"1_0"`` or ``"1_1"``.
        num_classes: The number of outputs; 0 leaves the classifier out.
        in_chans: The number of image channels.
        drop_rate: Dropout before the classifier, 0 ≤ rate < 1.

    Raises:
        ModelError: A number out of range.
    """

    def __init__(
        self, version: str, /, *, num_classes: int = 20, in_chans: int = 3, drop_rate: float = 0.0
    ) -> None:
        conv, act, *layers = torchvision.models.SqueezeNet(version).features
        stem = nn.Conv2d(in_chans, conv.out_channels, conv.kernel_size, conv.stride)
        nn.init.kaiming_uniform_(stem.weight)
        nn.init.zeros_(stem.bias)  # type: ignore[arg-type]
        feature_info = [{"num_chs": conv.out_channels, "reduction": 2, "module": "stem.act"}]
        stages: list[nn.Sequential] = []
        for layer in layers:
            if isinstance(layer, nn.MaxPool2d):
                stages.append(nn.Sequential())
            stages[-1].append(layer)
        for i, stage in enumerate(stages):
            fire: Fire = stage[-1]
            channels = fire.expand1x1.out_channels + fire.expand3x3.out_channels
            feature_info.append({"num_chs": channels, "reduction": 4 * 2**i, "module": f"stages.{i}"})
        super().__init__(
            stem=nn.Sequential(OrderedDict(conv=stem, act=act)),
            stages=stages,
            tail=nn.Identity(),
            num_features=_FEATURES,
            feature_info=feature_info,
            num_classes=num_classes,
            drop_rate=drop_rate,
        )


@register_model(options_of=SqueezeNet, source=_SOURCE, config=network_config(224), feature_maps=4)
def squeezenet1_0(**options: Any) -> SqueezeNet:
    """Make a SqueezeNet 1.0; ``options`` are the keyword arguments of `SqueezeNet`."""
    return SqueezeNet("1_0", **options)


@register_model(options_of=SqueezeNet, source=_SOURCE, config=network_config(224), feature_maps=4)
def squeezenet1_1(**options: Any) -> SqueezeNet:
    """Make a SqueezeNet 1.1; ``options`` are the keyword arguments of `SqueezeNet`."""
    return SqueezeNet("1_1", **options)
