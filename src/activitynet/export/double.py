"""Numbers of twice float32's precision, for engines that have no float64."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Double(NamedTuple):
    """The unevaluated sum of two float32 tensors, good to about 48 bits.

    Source: Dekker 1971, "A floating-point technique for extending the available precision".

    Attributes:
        high: The number, rounded.
        low: What the rounding left.
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
        """Multiply by a number that float32 holds."""
        product = _product(self.high, torch.tensor(factor))
        return _normal(product.high, product.low + self.low * factor)

    def plus(self, other: Double | float) -> Double:
        """Add a number of this kind, or one that float32 holds."""
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
        """Add along an axis, which stays with length 1: numbers of magnitude 1, and not thousands of them."""
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
