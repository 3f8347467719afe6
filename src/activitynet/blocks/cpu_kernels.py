"""Faster CPU versions of depthwise convolution and of norm with activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FAST_WIDTH = 3  # the widest depthwise kernel whose weight gradient oneDNN vectorises


class DepthwiseConv2d(nn.Conv2d):
    """A bias-free depthwise convolution with the results of `torch.nn.Conv2d`.

    On CPUs, oneDNN (as of 3.12) falls back to reference code, ten to a hundred times slower, for the weight
    gradient of a kernel wider than 3 in any precision, and for the input gradient of a strided convolution in
    bfloat16. While training on a CPU, the weight gradient is computed three columns of the kernel at a time,
    and the input gradient in float32.

    Args:
        channels: The number of input and output channels.
        kernel_size: The kernel size, odd.
        stride: The stride.

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
    like = x  # only its shape and memory format matter
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
        patch = padded[..., begin : begin + width].contiguous(memory_format=memory_format)
        narrow = weight[..., columns].contiguous(memory_format=memory_format)
        gradient[..., columns] = _backward(grad, patch, narrow, stride=stride, padding=0, wanted=1)
    return gradient


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, *, stride: int, padding: int, wanted: Literal[0, 1]
) -> Tensor:
    """Return the gradient of the input (0) or of the weight (1), as PyTorch computes it."""
    strides, paddings, mask = (stride, stride), (padding, padding), (wanted == 0, wanted == 1, False)
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, strides, paddings, (1, 1), False, (0, 0), weight.shape[0], mask
    )[wanted]


class AffineFeatures:
    """A feature map with a scale and a shift that are not applied yet, for each channel of each photo.

    Args:
        features: The feature map, (batch, channels, height, width).
        mean: The mean of each channel of each photo, (batch, channels).
        scale: The factors, (batch, channels).
        shift: What to add to the scaled features, (batch, channels).
    """

    def __init__(self, features: Tensor, mean: Tensor, scale: Tensor, shift: Tensor) -> None:
        self._features, self._mean, self._scale, self._shift = features, mean, scale, shift

    def scale_channels(self, gate: Callable[[Tensor], Tensor]) -> AffineFeatures:
        """Multiply each channel by ``gate(means)``; means and gates are (batch, channels, 1, 1)."""
        means = self._mean * self._scale + self._shift
        gates = gate(means[:, :, None, None]).flatten(1)
        return AffineFeatures(self._features, self._mean, self._scale * gates, self._shift * gates)

    def drop_path(self, drop_path: nn.Module) -> AffineFeatures:
        """Zero the features of some photos (see `DropPath`)."""
        scale, shift = drop_path(torch.stack((self._scale, self._shift), 1)).unbind(1)
        return AffineFeatures(self._features, self._mean, scale, shift)

    def activate(self, act: nn.Module, shortcut: Tensor | None = None) -> Tensor:
        """Apply scale and shift, add the shortcut and activate; returns (batch, channels, height, width)."""
        added = None if shortcut is None else _pixels(shortcut)
        scale, shift = self._scale.contiguous(), self._shift.contiguous()
        out = _run(_ACTIVATE[type(act)], _pixels(self._features), scale, shift, added)
        return out.unflatten(1, self._features.shape[2:]).permute(0, 3, 1, 2)


def group_norm(features: Tensor, norm: nn.GroupNorm) -> AffineFeatures:
    """Apply a group norm, except for its scale and shift.

    Args:
        features: The feature map, (batch, channels, height, width); channels-last is fastest.
        norm: The norm, affine.
    """
    mean, mean_square = _run(_moments, _pixels(features))
    groups = (norm.num_groups, -1)
    centre = mean.unflatten(1, groups).mean(2, keepdim=True)
    variance = mean_square.unflatten(1, groups).mean(2, keepdim=True) - centre.square()
    scale = norm.weight.view(groups) * (variance.clamp(min=0) + norm.eps).rsqrt()
    shift = norm.bias.view(groups) - centre * scale
    return AffineFeatures(features, mean, scale.flatten(1), shift.flatten(1))


def _pixels(features: Tensor) -> Tensor:
    """View a channels-last map as (batch, pixels, channels)."""
    return features.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).flatten(1, 2)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    x = _at_least_float32(x)
    return x.mean(1), (x * x).mean(1)


def _affine_and(act: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def activate(x: Tensor, scale: Tensor, shift: Tensor, shortcut: Tensor | None) -> Tensor:
        y = _at_least_float32(x) * scale[:, None] + shift[:, None]
        if shortcut is not None:
            y = y + shortcut
        return act(y).to(x.dtype)

    return activate


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _mish(x: Tensor) -> Tensor:
    """Return x tanh(softplus(x)) with one exponential in place of three such functions."""
    e = x.clamp(max=20).exp()
    n = e * (e + 2)
    return x * (n / (n + 2))


def _identity(x: Tensor) -> Tensor:
    return x


_FUNCTIONS: Mapping[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Identity: _identity,
    nn.ReLU: F.relu,
    nn.ReLU6: F.relu6,
    nn.SiLU: F.silu,
    nn.Mish: _mish,
    nn.GELU: F.gelu,
    nn.Hardswish: F.hardswish,
}
_ACTIVATE = {kind: _affine_and(act) for kind, act in _FUNCTIONS.items()}

_Kind = tuple[int, torch.dtype, bool]
_EXAMPLES = {3: (16, 1024, 48), 2: (16, 48)}  # shape by number of dimensions; all sizes differ, and none is 1


def _run(function: Callable[..., Any], *tensors: Tensor | None) -> Any:
    x = tensors[0]
    assert x is not None  # noqa: S101  the feature map
    if 1 in x.shape:  # sizes of 1 would need separate kernels
        return function(*tensors)
    grad = torch.is_grad_enabled()
    kinds = tuple(None if t is None else (t.dim(), t.dtype, t.requires_grad and grad) for t in tensors)
    with torch.autocast(x.device.type, enabled=False):
        return _compiled(function, kinds, x.device)(*tensors)


@cache
def _compiled(
    function: Callable[..., Any], kinds: tuple[_Kind | None, ...], device: torch.device
) -> Callable[..., Any]:
    """Compile once for feature maps of any size.

    An example is compiled, so that the kernels do not depend on which feature map comes first: a resumed run
    then computes the same bits.
    """
    compiled = torch.compile(function, dynamic=True, fullgraph=True)
    example = [
        None if kind is None else torch.ones(_EXAMPLES[kind[0]], dtype=kind[1], device=device)
        for kind in kinds
    ]
    for tensor, kind in zip(example, kinds, strict=True):
        if tensor is not None and kind is not None:
            tensor.requires_grad_(kind[2])
    with torch._dynamo.config.patch(cache_size_limit=64):  # all activations share one function's code
        out = compiled(*example)
        total = sum(part.sum() for part in (out if isinstance(out, tuple) else (out,)))
        if total.requires_grad:
            torch.autograd.backward(total)
    return compiled
