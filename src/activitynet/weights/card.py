"""The card of a trained model: everything that is needed to use it and is not in its tensors."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError, WeightsError, clipped, shown
from activitynet.serialization.records import (
    MAX_BYTES,
    check_classes,
    fields_from_json,
    is_number,
    parse_card,
    plain_json,
    refuse,
)

CARD_VERSION = 1
"""Version of the card's fields that this library writes and reads."""

_SPLITS = ("train", "val", "test")
_TIMM = "timm/"
_FOR_TIMM = ("zoo", "num_classes", "label_names", "pretrained_cfg")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """What a trained model is, how its input is made and what its outputs mean.

    Attributes:
        architecture: A name that `activitynet.create_model` knows.
        model_args: Further arguments of the architecture, as plain JSON.
        classes: Class names in the order of the model's outputs, each once.
        preprocess: What turns a photo into the model's input.
        temperature: Logits are divided by it before the softmax; 0.001 to 1000.
        unknown_below: A photo whose most probable class is less probable than this is of no known class;
            0 for none, up to 1.
        metrics: Scores, with the split they were measured on, as plain JSON.
        training_data: What the model was trained on.
        skipped: How many photos of that data were left out, since they could not be read, by split
            (``train``, ``val``, ``test``).
        recipe: How it was trained, as plain JSON; empty where that is not known.
        license: Under which license the weights may be used.
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
    unknown_below: float = 0.0
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training_data: str = ""
    skipped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    license: str = ""
    library_version: str = ""
    sha256: str = ""
    card_version: int = CARD_VERSION

    def __post_init__(self) -> None:
        for name in ("architecture", "training_data", "license", "library_version", "sha256"):
            if not isinstance(getattr(self, name), str):
                refuse(name, "must be a text", getattr(self, name))
        if not self.architecture:
            refuse("architecture", "must not be empty", self.architecture)
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            refuse("sha256", "must be 64 hexadecimal digits", self.sha256)
        if not isinstance(self.preprocess, Preprocess):
            refuse("preprocess", "must be a Preprocess", self.preprocess)
        if not (is_number(self.temperature) and 1e-3 <= self.temperature <= 1e3):
            refuse("temperature", "must be a number from 0.001 to 1000", self.temperature)
        if not (is_number(self.unknown_below) and 0 <= self.unknown_below <= 1):
            refuse("unknown_below", "must be a number from 0 to 1", self.unknown_below)
        if type(self.card_version) is not int or self.card_version != CARD_VERSION:
            refuse(
                "card_version",
                f"must be {CARD_VERSION}; update activitynet to read others",
                self.card_version,
            )
        check_classes(self.classes)
        for name in ("model_args", "metrics", "skipped", "recipe"):
            object.__setattr__(self, name, plain_json(name, getattr(self, name)))
        for split, count in self.skipped.items():
            if split not in _SPLITS or type(count) is not int or count < 1:
                refuse("skipped", "must hold numbers from 1, by train, val and test", self.skipped)
        self._check_writable()

    def _check_writable(self) -> None:
        try:
            size = len(self.to_json().encode("utf-8"))
        except UnicodeEncodeError as error:
            raise WeightsError(
                f"the card holds text that is not valid Unicode: {shown(error.object)}."
            ) from error
        if size > MAX_BYTES:
            raise WeightsError(f"the card has {size} bytes as JSON, more than the {MAX_BYTES} allowed.")

    def to_json(self) -> str:
        """Return the card as indented JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["preprocess"] = self.preprocess.to_dict()
        values["architecture"] = self.architecture.removeprefix(_TIMM)  # as timm calls it; "zoo" says whose
        values.update(self._for_timm())
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read what `to_json` wrote, strictly: nothing may be missing, unknown or there twice.

        Raises:
            WeightsError: The text is no valid card; the message names the field.
        """
        value = parse_card(text, "card_version", CARD_VERSION)
        timm = {}
        if isinstance(value, dict):
            timm = {name: value.pop(name) for name in _FOR_TIMM if name in value}
            value = {"skipped": {}, "recipe": {}, "unknown_below": 0.0, **value}  # these may be left out
        try:
            fields = fields_from_json(cls, value)
            fields["preprocess"] = Preprocess.from_dict(fields["preprocess"])
        except DataError as error:
            raise WeightsError(f"the card is not valid: {clipped(error)}") from error
        if timm.get("zoo") == "timm" and isinstance(fields["architecture"], str):
            fields["architecture"] = _TIMM + fields["architecture"]
        card = cls(**fields)
        for name, found in timm.items():
            if found != card._for_timm()[name]:
                refuse(name, "must say for timm what the other fields say", found)
        return card

    def _for_timm(self) -> dict[str, Any]:
        """Return what timm reads of the same file, so that it loads the folder as well: names of its own."""
        preprocess = self.preprocess
        return {
            "zoo": "timm" if self.architecture.startswith(_TIMM) else "activitynet",
            "num_classes": len(self.classes),
            "label_names": list(self.classes),
            "pretrained_cfg": {
                "input_size": [self.model_args.get("in_chans", 3), *preprocess.size],
                "crop_pct": float(preprocess.crop_pct) if preprocess.resize == "crop" else 1.0,
                "crop_mode": {"crop": "center", "squash": "squash", "pad": "border"}[preprocess.resize],
                "interpolation": preprocess.interpolation,
                "mean": list(preprocess.mean),
                "std": list(preprocess.std),
            },
        }


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
        license: Under which license the weights may be used.
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
    license: str = ""
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
        for name in ("training_data", "license", "library_version"):
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


def any_card(data: bytes, where: str) -> Card | EnsembleCard:
    """Read a ``config.json``, be it of a model or of an ensemble.

    Args:
        data: The file's bytes.
        where: What it is of, for errors.

    Raises:
        WeightsError: It is the card neither of a model nor of an ensemble.
    """
    if len(data) > MAX_BYTES:
        raise WeightsError(f"{where}: its config.json has more than the {MAX_BYTES} bytes allowed.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WeightsError(f"{where}: its config.json is not UTF-8 text.") from error
    try:
        return (EnsembleCard if is_ensemble_card(text) else Card).from_json(text)
    except WeightsError as error:
        raise WeightsError(f"{where} holds no weights of this library: {error}") from error
