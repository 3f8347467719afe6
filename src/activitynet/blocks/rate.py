"""The check that every drop rate goes through."""

from __future__ import annotations

from activitynet.errors import ModelError


def check_rate(name: str, rate: float) -> float:
    """Return ``rate`` when it can be a probability of dropping, 0 ≤ rate < 1.

    Args:
        name: What the rate is called in the error.
        rate: The probability of dropping.

    Raises:
        ModelError: It is not a number from 0 up to but not including 1.
    """
    if not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise ModelError(f"{name} is {rate!r}, but has to be a number of at least 0 and less than 1.")
    return float(rate)
