"""The card of an ensemble: its members, and how their answers become one."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from activitynet.data.fields import fields_from_json, is_number
from activitynet.errors import DataError, WeightsError, clipped
from activitynet.weights.card_fields import check_classes, parse_card, plain_json, refuse

ENSEMBLE_VERSION = 1
"""Version of the card's fields that this library writes and reads."""

MAX_MEMBERS = 100
"""Most members that a card may name."""

Averaging = Literal["probabilities", "logits"]

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One member of an ensemble.

    Attributes:
        folder: Name of its weights folder beside the ensemble's card.
        weight: Its share in the average; the shares of all members add up to 1.
        sha256: SHA-256 of its tensors' file, which its own card has to name as well; filled in when saved.
    """

    folder: str
    weight: float
    sha256: str

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str) or not _FOLDER.fullmatch(self.folder):
            refuse("folder", "must be a name of letters, digits, '.', '_' and '-'", self.folder)
        if not is_number(self.weight) or not 0 <= self.weight <= 1:
            refuse("weight", "must be a number from 0 to 1", self.weight)
        if not isinstance(self.sha256, str) or not re.fullmatch(r"[0-9a-f]{64}|", self.sha256):
            refuse("sha256", "must be 64 hexadecimal digits", self.sha256)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stages:
    """When a cascade need not ask its next member.

    Attributes:
        threshold: A photo is decided once the members asked so far give a class more than this
            probability, 0 to 1. With 1 all are asked.
        temperatures: What makes the average of the first one, two, … members' probabilities believable;
            one a member.
    """

    threshold: float
    temperatures: tuple[float, ...]

    def __post_init__(self) -> None:
        if not is_number(self.threshold) or not 0 <= self.threshold <= 1:
            refuse("threshold", "must be a number from 0 to 1", self.threshold)
        temperatures = self.temperatures
        if not isinstance(temperatures, tuple) or not all(map(_is_temperature, temperatures)):
            refuse("temperatures", "must be numbers from 0.001 to 1000", temperatures)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnsembleCard:
    """What an ensemble is made of.

    Attributes:
        members: In the order in which a cascade asks them.
        classes: Class names in the order of the outputs, each once; every member knows all of them, in
            whatever order.
        average: ``"probabilities"``, or ``"logits"``.
        temperature: The average's logarithm is divided by it before the softmax; 0.001 to 1000.
        cascade: When not all members need to be asked; `None` asks all.
        metrics: Scores, with the split they were measured on, as plain JSON.
        training_data: What the members were trained on.
        licence: Under which licence the weights may be used.
        library_version: Version of activitynet that wrote the card; filled in when saved.
        ensemble_version: Version of these fields.

    Raises:
        WeightsError: A field of the wrong type or outside its range.
    """

    members: tuple[Member, ...]
    classes: tuple[str, ...]
    average: Averaging = "probabilities"
    temperature: float = 1.0
    cascade: Stages | None = None
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training_data: str = ""
    licence: str = ""
    library_version: str = ""
    ensemble_version: int = ENSEMBLE_VERSION

    def __post_init__(self) -> None:
        members = self.members
        if not isinstance(members, tuple) or not 1 <= len(members) <= MAX_MEMBERS:
            refuse("members", f"must be a tuple of 1 to {MAX_MEMBERS}", members)
        folders = [member.folder for member in members]
        if len({folder.lower() for folder in folders}) < len(folders):
            refuse("members", "must lie in folders of their own", folders)
        if not math.isclose(sum(member.weight for member in members), 1, abs_tol=1e-6):
            refuse("members", "must have weights that add up to 1", [member.weight for member in members])
        check_classes(self.classes)
        if self.average not in ("probabilities", "logits"):
            refuse("average", "must be 'probabilities' or 'logits'", self.average)
        if not _is_temperature(self.temperature):
            refuse("temperature", "must be a number from 0.001 to 1000", self.temperature)
        if self.cascade is not None and len(self.cascade.temperatures) != len(members):
            refuse("cascade", "must have a temperature a member", self.cascade)
        for name in ("training_data", "licence", "library_version"):
            if not isinstance(getattr(self, name), str):
                refuse(name, "must be a text", getattr(self, name))
        object.__setattr__(self, "metrics", plain_json("metrics", self.metrics))
        if type(self.ensemble_version) is not int or self.ensemble_version != ENSEMBLE_VERSION:
            refuse("ensemble_version", f"must be {ENSEMBLE_VERSION}", self.ensemble_version)

    def to_json(self) -> str:
        """Return the card as indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> EnsembleCard:
        """Read what `to_json` wrote, strictly: nothing may be missing, unknown or there twice.

        Raises:
            WeightsError: The text is no valid card; the message names the field.
        """
        value = parse_card(text, "ensemble_version", ENSEMBLE_VERSION)
        try:
            fields = fields_from_json(cls, value)
            members = fields["members"]
            if not isinstance(members, tuple):
                refuse("members", "must be a list", members)
            fields["members"] = tuple(Member(**fields_from_json(Member, member)) for member in members)
            if fields["cascade"] is not None:
                fields["cascade"] = Stages(**fields_from_json(Stages, fields["cascade"]))
        except DataError as error:
            raise WeightsError(f"the card is not valid: {clipped(error)}") from error
        return cls(**fields)


def is_ensemble_card(text: str) -> bool:
    """Tell whether a card is meant to be an ensemble's, be it valid or not."""
    return '"ensemble_version"' in text


def _is_temperature(value: object) -> bool:
    return is_number(value) and 1e-3 <= value <= 1e3  # type: ignore[operator]
