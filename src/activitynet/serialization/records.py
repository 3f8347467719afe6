"""Read JSON and validated records from untrusted files."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

from activitynet.errors import DataError, WeightsError, clipped, did_you_mean, shown


def parse(text: str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: It is not valid, holds NaN or an infinity, nests too deep, or names a field twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"field {name!r} is there twice")
        values[name] = value
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON knows")


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


MAX_BYTES = 1_000_000
"""Longest JSON that a card may have."""

MAX_CLASSES = 100_000
"""Most classes that a card may name."""


def parse_card(text: str, version_field: str, version: int) -> object:
    """Parse a card's JSON, and refuse other versions of it before all else: they have other fields.

    Raises:
        WeightsError: It is too long, no JSON, or of another version.
    """
    if len(text) > MAX_BYTES:
        raise WeightsError(f"the card has {len(text)} characters, more than the {MAX_BYTES} allowed.")
    try:
        value = parse(text)
    except ValueError as error:
        raise WeightsError(f"the card is not valid JSON: {clipped(error)}.") from error
    if isinstance(value, dict) and value.get(version_field) != version:
        refuse(
            version_field, f"must be {version}; update activitynet to read others", value.get(version_field)
        )
    return value


def check_classes(classes: object) -> None:
    """Refuse what is no list of class names, each once."""
    if not isinstance(classes, tuple) or not 1 <= len(classes) <= MAX_CLASSES:
        refuse("classes", f"must be a tuple of 1 to {MAX_CLASSES} names", classes)
    for name in classes:
        if not isinstance(name, str) or not name.strip():
            refuse("classes", "must hold names that are not empty", name)
    name, times = Counter(classes).most_common(1)[0]
    if times > 1:
        refuse("classes", "must name each class once", name)


def refuse(field: str, rule: str, value: object) -> NoReturn:
    """Raise a `WeightsError` for a field of a card."""
    raise WeightsError(f"card field {field!r} {rule}, got {shown(value)}.")


def plain_json(field: str, value: object) -> dict[str, Any]:
    """Return a copy of a mapping as JSON would give it back: lists for tuples, texts for keys."""
    if not isinstance(value, Mapping):
        refuse(field, "must be a mapping", value)
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"card field {field!r} must hold plain, finite JSON values: {clipped(error)}."
        ) from error
    return copy
