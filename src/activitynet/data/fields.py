"""Frozen dataclass configs: to JSON, and strictly back."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from activitynet.errors import DataError, did_you_mean


def fields_to_json(config: Any) -> dict[str, Any]:
    """Return a dataclass of plain values as a JSON object; tuples become lists."""
    values = dataclasses.asdict(config)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def fields_from_json(cls: type, value: object) -> dict[str, Any]:
    """Return a JSON object as the keyword arguments of a dataclass; lists become tuples.

    Args:
        cls: The dataclass that the object describes.
        value: The parsed JSON.

    Raises:
        DataError: Not an object, or not with exactly the dataclass's fields.
    """
    if not isinstance(value, dict):
        raise DataError(f"{cls.__name__} must be a JSON object, got {type(value).__name__}.")
    known = [field.name for field in dataclasses.fields(cls)]
    for name in value:
        if name not in known:
            raise DataError(f"{cls.__name__} has no field {name!r}.{did_you_mean(str(name), known)}")
    for name in known:
        if name not in value:
            raise DataError(f"{cls.__name__} lacks its field {name!r}.")
    return {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number (true and false are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def are_numbers(value: object, count: int) -> bool:
    """Tell whether a value is a tuple of so many finite numbers."""
    return isinstance(value, tuple) and len(value) == count and all(map(is_number, value))


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise a `DataError` unless ``value`` is one of ``choices``."""
    if value not in choices:
        known = ", ".join(choices)
        raise DataError(f"{name} must be one of {known}, got {value!r}.{did_you_mean(str(value), choices)}")
