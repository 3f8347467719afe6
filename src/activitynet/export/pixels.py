"""Preprocessing as a graph that every engine can run, exact to the pixel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from activitynet.data.preprocess import Preprocess


class Double(NamedTuple):
    """The unevaluated sum of two float32 tensors (about 48 bits), for engines without float64.

    Source: Dekker 1971, "A floating-point technique for extending the available precision".

    Attributes:
        high: The rounded number.
        low: The rounding error.
    """

    high: Tensor
    low: Tensor

    @classmethod
    def quotient(cls, numerator: Tensor, denominator: Tensor) -> Double:
        """Divide float32 tensors."""
        high = numerator / denominator
        back = _product(high, denominator)
        return cls(high, ((numerator - back.high) - back.low) / denominator)

    def times(self, other: Double) -> Double:
        """Multiply."""
        product = _product(self.high, other.high)
        low = product.low + (self.high * other.low + self.low * other.high)
        return _normal(product.high, low)

    def scaled(self, factor: float) -> Double:
        """Multiply by a number that float32 represents exactly."""
        product = _product(self.high, torch.tensor(factor))
        return _normal(product.high, product.low + self.low * factor)

    def plus(self, other: Double | float) -> Double:
        """Add a `Double`, or a number that float32 holds."""
        other_high, other_low = (other, 0.0) if isinstance(other, float) else other
        high = self.high + other_high
        part = high - self.high
        low = (self.high - (high - part)) + (other_high - part)
        return _normal(high, low + (self.low + other_low))

    def over(self, other: Double) -> Double:
        """Divide."""
        high = self.high / other.high
        back = other.times(Double(high, torch.zeros_like(high)))
        return _normal(high, (((self.high - back.high) - back.low) + self.low) / other.high)

    def where(self, condition: Tensor, other: Double) -> Double:
        """Return this where the condition holds, and the other elsewhere."""
        return Double(
            torch.where(condition, self.high, other.high), torch.where(condition, self.low, other.low)
        )

    def rounded(self, power: Tensor) -> Tensor:
        """Multiply by a power of two and round to whole numbers, halves away from zero.

        The products lie within 2 to the 15th.
        """
        high, low = self.high.abs() * power, self.low * self.high.sign() * power
        whole = high.floor()
        return self.high.sign() * (whole + (((high - whole) + low) + 0.5).floor())

    def sum(self, axis: int) -> Double:
        """Sum along an axis, kept with length 1; for at most some thousand numbers of magnitude 1."""
        coarse = (self.high * 1024).round() / 1024  # these add up without rounding
        rest = ((self.high - coarse) + self.low).sum(axis, keepdim=True)
        return _normal(coarse.sum(axis, keepdim=True), rest)


def _normal(high: Tensor, low: Tensor) -> Double:
    total = high + low
    return Double(total, low - (total - high))


def _product(a: Tensor, b: Tensor) -> Double:
    """Multiply float32 tensors exactly."""
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    high = a * b
    return Double(high, ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low)


def _halves(a: Tensor) -> tuple[Tensor, Tensor]:
    """Split into two numbers of 12 bits each, whose products are exact."""
    wide = a * 4097.0
    high = wide - (wide - a)
    return high, a - high


_WEIGHT_LIMIT = 2**15 - 0.5
_POWERS = [2.0**power for power in range(1, 23)]


class _Axis(NamedTuple):
    """One axis: length of the centre cut of the photo, and the length it is resized to."""

    cut: Tensor
    resized: Tensor


class Pixels(nn.Module):
    """A `Preprocess` for batches, in operations that every engine supports.

    The resize is two matrix products, whose weights the graph computes from the photos' size. Weights and
    intermediate pixels are rounded as torch's uint8 kernels round them, so the result is the same. ONNX's own
    Resize rounds in another way. Cutting and padding are zeros in the same matrices.

    Args:
        preprocess: The preprocessing.

    Shapes:
        uint8 ``(batch, height, width, 3)``, RGB, of any size, to float32 ``(batch, 3, *preprocess.size)``.
    """

    powers: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.preprocess = preprocess
        mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (preprocess.mean, preprocess.std))
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)
        self.register_buffer("powers", torch.tensor(_POWERS), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's input for photos of one size."""
        height, width = images.shape[1], images.shape[2]
        # In float64 where the engine has it, as in `Preprocess`: in float32 a cut may be off by one pixel.
        tall, wide = self._axes(*(torch.scalar_tensor(side, dtype=torch.float64) for side in (height, width)))
        rows = self._weights(tall, height, self.preprocess.size[0])
        columns = self._weights(wide, width, self.preprocess.size[1])
        pixels = images.permute(0, 3, 1, 2).float()
        pixels = _to_levels(torch.matmul(pixels, columns.T))
        pixels = _to_levels(torch.matmul(rows, pixels))
        normal = pixels * self.scale + self.shift
        if self.preprocess.resize == "pad":  # the padding is the mean colour: 0 after normalising
            normal = normal * (rows.sum(1)[:, None] * columns.sum(1)).round()
        return normal

    def _axes(self, height: Tensor, width: Tensor) -> tuple[_Axis, _Axis]:
        """Return the cut and resized lengths of height and width, as in `Preprocess`."""
        to_height, to_width = torch.tensor(self.preprocess.size, dtype=torch.float64)
        if self.preprocess.resize == "crop":
            scale = self.preprocess.crop_pct * torch.minimum(height / to_height, width / to_width)
            cut_height, cut_width = ((side * scale).round().clamp(min=1) for side in (to_height, to_width))
            return (
                _Axis(torch.minimum(cut_height, height), to_height),
                _Axis(torch.minimum(cut_width, width), to_width),
            )
        if self.preprocess.resize == "pad":
            scale = torch.minimum(to_height / height, to_width / width)
            return (
                _Axis(height, (height * scale).round().clamp(min=1)),
                _Axis(width, (width * scale).round().clamp(min=1)),
            )
        return _Axis(height, to_height), _Axis(width, to_width)

    def _weights(self, axis: _Axis, length: int, side: int) -> Tensor:
        """Return the resize weights, float32 (side, length): from the photo's pixels to the result's."""
        cut, resized = axis.cut.float(), axis.resized.float()
        to = torch.arange(side, dtype=torch.float32)[:, None] - ((side - resized) / 2).floor()
        at = torch.arange(length, dtype=torch.float32)[None] - ((length - cut) / 2).floor()
        # From here on whole numbers, exact in float32; 2 x resized is one pixel of the photo.
        centre = cut * (2 * to + 1)
        reach = torch.maximum(cut, resized) if self.preprocess.antialias else resized

        def weigh(at: Tensor) -> Double:
            distance = ((2 * at + 1) * resized - centre).abs()
            return self._kernel(Double.quotient(torch.minimum(distance, 4 * reach), 2 * reach))

        zero = Double(torch.zeros(1, 1), torch.zeros(1, 1))
        weights = weigh(at).where((at >= 0) & (at < cut), zero)
        if self.preprocess.antialias:
            weights = weights.over(weights.sum(1))
        else:  # edge pixels repeat beyond the edge
            before = weigh(torch.tensor([[-2.0, -1.0]])).sum(1)
            after = weigh(cut + torch.tensor([[0.0, 1.0]])).sum(1)
            weights = weights.plus(before.where(at == 0, zero)).plus(after.where(at == cut - 1, zero))
        weights = weights.where((to >= 0) & (to < resized), zero)
        # 16-bit whole numbers over the largest power of two that fits.
        fits = weights.high.max() * self.powers < _WEIGHT_LIMIT
        power = torch.where(fits, self.powers, 1.0).max()
        return weights.rounded(power) / power

    def _kernel(self, x: Double) -> Double:
        """Return the interpolation's weights at distances from 0 to 2.

        Source: Keys 1981, "Cubic convolution interpolation for digital image processing"; the constant is
        -0.5 with antialiasing, as in Pillow, and -0.75 without.
        """
        if self.preprocess.interpolation == "bilinear":
            weights = x.scaled(-1.0).plus(1.0)
            return Double(weights.high.clamp(min=0), torch.where(weights.high > 0, weights.low, 0.0))
        a = -0.5 if self.preprocess.antialias else -0.75
        near = x.scaled(a + 2).plus(-(a + 3)).times(x).times(x).plus(1.0)
        far = x.plus(-5.0).times(x).plus(8.0).times(x).plus(-4.0).scaled(a)
        return near.where(x.high < 1, far)


def _to_levels(pixels: Tensor) -> Tensor:
    """Round to the values of uint8."""
    return (pixels + 0.5).floor().clamp(0, 255)
