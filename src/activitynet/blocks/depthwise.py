"""A depthwise convolution whose gradients are fast on a CPU too."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FAST_WIDTH = 3  # the widest depthwise kernel that oneDNN has a vectorised weight gradient for


class DepthwiseConv2d(nn.Conv2d):
    """A bias-free convolution with one filter a channel; it computes what `torch.nn.Conv2d` does.

    On CPUs, oneDNN (as of 3.12) falls back to reference code, ten to a hundred times slower, for the weight
    gradient of a kernel wider than 3 in any precision, and for the input gradient of a strided convolution in
    bfloat16. While training there, the first is computed three columns of the kernel at a time, the second in
    float32.

    Args:
        channels: The channels that come in and go out.
        kernel_size: The side of the kernel, odd.
        stride: The step of the kernel.

    Shapes:
        ``(batch, channels, h, w)`` to ``(batch, channels, ⌈h / stride⌉, ⌈w / stride⌉)``.
    """

    def __init__(self, channels: int, kernel_size: int, *, stride: int = 1) -> None:
        super().__init__(
            channels, channels, kernel_size, stride, padding=kernel_size // 2, groups=channels, bias=False
        )

    def forward(self, input: Tensor) -> Tensor:
        """Return the filtered channels."""
        if not torch.jit.is_scripting() and self.training and input.device.type == "cpu":
            return self._trainable(input)
        return self._conv_forward(input, self.weight, self.bias)

    @torch.jit.unused
    def _trainable(self, x: Tensor) -> Tensor:
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight = x.to(dtype), weight.to(dtype)
        return _Depthwise.apply(x, weight, self.stride[0])


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, 1, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        wants_input, wants_weight, _ = ctx.needs_input_grad
        return (
            _input_gradient(grad, x, weight, ctx.stride) if wants_input else None,
            _weight_gradient(grad, x, weight, ctx.stride) if wants_weight else None,
            None,
        )


def _input_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    like = x  # of which only the shape and the memory format count
    if stride > 1:
        wide = torch.promote_types(x.dtype, torch.float32)
        grad, weight, like = grad.to(wide), weight.to(wide), torch.empty_like(x, dtype=wide)
    padding = weight.shape[-1] // 2
    return _backward(grad, like, weight, stride=stride, padding=padding, wanted=0).to(x.dtype)


def _weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    side = weight.shape[-1]
    padding = side // 2
    if side <= _FAST_WIDTH:
        return _backward(grad, x, weight, stride=stride, padding=padding, wanted=1)
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    padded = F.pad(x, (padding, padding, padding, padding))
    width = (grad.shape[-1] - 1) * stride + _FAST_WIDTH
    gradient = torch.empty_like(weight)
    for begin in [*range(0, side - _FAST_WIDTH, _FAST_WIDTH), side - _FAST_WIDTH]:
        columns = slice(begin, begin + _FAST_WIDTH)
        seen = padded[..., begin : begin + width].contiguous(memory_format=memory_format)
        narrow = weight[..., columns].contiguous(memory_format=memory_format)
        gradient[..., columns] = _backward(grad, seen, narrow, stride=stride, padding=0, wanted=1)
    return gradient


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, *, stride: int, padding: int, wanted: Literal[0, 1]
) -> Tensor:
    """Return the gradient of the input (0) or of the weight (1), as PyTorch computes it."""
    strides, paddings, mask = (stride, stride), (padding, padding), (wanted == 0, wanted == 1, False)
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, strides, paddings, (1, 1), False, (0, 0), weight.shape[0], mask
    )[wanted]
