"""The card of a trained model: everything that is needed to use it and is not in its tensors."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

from activitynet.data.fields import fields_from_json, is_number
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError, WeightsError

CARD_VERSION = 1
"""Version of the card's fields that this library writes and reads."""

MAX_BYTES = 1_000_000
"""Longest JSON that a card may have."""

MAX_CLASSES = 100_000
"""Most classes that a card may name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """What a trained model is, how its input is made and what its outputs mean.

    Attributes:
        architecture: A name that `activitynet.create_model` knows.
        model_args: Further arguments of the architecture, as plain JSON.
        classes: Class names in the order of the model's outputs, each once.
        preprocess: What turns a photo into the model's input.
        temperature: Logits are divided by it before the softmax; 0.001 to 1000.
        metrics: Scores, with the split they were measured on, as plain JSON.
        training_data: What the model was trained on.
        licence: Under which licence the weights may be used.
        library_version: Version of activitynet that wrote the card; filled in when saved.
        sha256: SHA-256 of the tensors' file in hexadecimal; filled in when saved.
        card_version: Version of these fields.

    Raises:
        WeightsError: A field of the wrong type or outside its range.
    """

    architecture: str
    model_args: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    classes: tuple[str, ...]
    preprocess: Preprocess
    temperature: float = 1.0
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training_data: str = ""
    licence: str = ""
    library_version: str = ""
    sha256: str = ""
    card_version: int = CARD_VERSION

    def __post_init__(self) -> None:
        for name in ("architecture", "training_data", "licence", "library_version", "sha256"):
            if not isinstance(getattr(self, name), str):
                _refuse(name, "must be a text", getattr(self, name))
        if not self.architecture:
            _refuse("architecture", "must not be empty", self.architecture)
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            _refuse("sha256", "must be 64 hexadecimal digits", self.sha256)
        if not isinstance(self.preprocess, Preprocess):
            _refuse("preprocess", "must be a Preprocess", self.preprocess)
        if not (is_number(self.temperature) and 1e-3 <= self.temperature <= 1e3):
            _refuse("temperature", "must be a number from 0.001 to 1000", self.temperature)
        if type(self.card_version) is not int or self.card_version != CARD_VERSION:
            _refuse(
                "card_version",
                f"must be {CARD_VERSION}; update activitynet to read others",
                self.card_version,
            )
        self._check_classes()
        for name in ("model_args", "metrics"):
            object.__setattr__(self, name, _plain(name, getattr(self, name)))
        self._check_writable()

    def _check_classes(self) -> None:
        classes = self.classes
        if not isinstance(classes, tuple) or not 1 <= len(classes) <= MAX_CLASSES:
            _refuse("classes", f"must be a tuple of 1 to {MAX_CLASSES} names", classes)
        for name in classes:
            if not isinstance(name, str) or not name.strip():
                _refuse("classes", "must hold names that are not empty", name)
        name, times = Counter(classes).most_common(1)[0]
        if times > 1:
            _refuse("classes", "must name each class once", name)

    def _check_writable(self) -> None:
        try:
            size = len(self.to_json().encode("utf-8"))
        except UnicodeEncodeError as error:
            raise WeightsError(
                f"the card holds text that is not valid Unicode: {error.object[:80]!r}."
            ) from error
        if size > MAX_BYTES:
            raise WeightsError(f"the card has {size} bytes as JSON, more than the {MAX_BYTES} allowed.")

    def to_json(self) -> str:
        """Return the card as indented JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["preprocess"] = self.preprocess.to_dict()
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read what `to_json` wrote, strictly: nothing may be missing, unknown or there twice.

        Raises:
            WeightsError: The text is no valid card; the message names the field.
        """
        if len(text) > MAX_BYTES:
            raise WeightsError(f"the card has {len(text)} characters, more than the {MAX_BYTES} allowed.")
        try:
            value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"the card is not valid JSON: {error}.") from error
        if isinstance(value, dict) and value.get("card_version") != CARD_VERSION:
            # Before all else: another version has other fields.
            _refuse(
                "card_version",
                f"must be {CARD_VERSION}; update activitynet to read others",
                value.get("card_version"),
            )
        try:
            fields = fields_from_json(cls, value)
            fields["preprocess"] = Preprocess.from_dict(fields["preprocess"])
        except DataError as error:
            raise WeightsError(f"the card is not valid: {error}") from error
        return cls(**fields)


def _refuse(field: str, rule: str, value: object) -> NoReturn:
    shown = repr(value)
    raise WeightsError(f"card field {field!r} {rule}, got {shown if len(shown) <= 80 else shown[:80] + '…'}.")


def _plain(field: str, value: object) -> dict[str, Any]:
    """Return a copy of a mapping as JSON would give it back: lists for tuples, texts for keys."""
    if not isinstance(value, Mapping):
        _refuse(field, "must be a mapping", value)
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise WeightsError(f"card field {field!r} must hold plain, finite JSON values: {error}.") from error
    return copy


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"field {name!r} is there twice")
        values[name] = value
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON knows")
