"""What a model costs and where it comes from."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from activitynet.zoo.build import build
from activitynet.zoo.registry import ARCHITECTURES


@dataclass(frozen=True)
class ModelInfo:
    """Facts of an architecture.

    Attributes:
        name: Its name.
        parameters: The number of its parameters.
        macs: The multiply-adds of its convolutions and matrix products for one photo of ``input_size``.
        input_size: The photo it is made for: channels, height, width.
        source: Where the architecture comes from.
    """

    name: str
    parameters: int
    macs: int
    input_size: tuple[int, int, int]
    source: str


def model_info(name: str, *, num_classes: int = 20) -> ModelInfo:
    """Count a model's parameters and multiply-adds, without giving it memory.

    Args:
        name: A name that `list_models` gives.
        num_classes: The outputs.

    Raises:
        ModelError: An unknown name.
    """
    with torch.device("meta"):
        model = build(name, num_classes=num_classes, arguments={}).eval()
        size = tuple(model.pretrained_cfg["input_size"])  # type: ignore[index]
        macs = count_macs(model, size)
    return ModelInfo(
        name=name,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        macs=macs,
        input_size=size,
        source=ARCHITECTURES[name].source if name in ARCHITECTURES else "timm",
    )


def count_macs(model: nn.Module, size: tuple[int, int, int]) -> int:
    """Count the multiply-adds of a model's convolutions and matrix products, without computing them.

    Args:
        model: The model, on any device. It is left as it is.
        size: Channels, height and width of the one photo it looks at.
    """
    sketch = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        sketch(torch.empty(1, *size, device="meta"))
    return counter.get_total_flops() // 2
