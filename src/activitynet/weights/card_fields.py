"""What the cards of models and of ensembles have in common: how they are read, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

from activitynet import strict_json
from activitynet.errors import WeightsError, clipped, shown

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
        value = strict_json.parse(text)
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
