"""The card of a trained model: all that is needed to use its tensors."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from activitynet.data.preprocess import Preprocess
from activitynet.errors import WeightsError, clipped, shown
from activitynet.serialization.records import MAX_BYTES, check_record, parse_json, read_record, to_plain

MAX_MEMBERS = 100
"""Most members that an ensemble may have."""

Averaging = Literal["probabilities", "logits"]

_Text = Annotated[str, Meta(pattern=r"\S", description="text that is not empty")]
_Classes = Annotated[tuple[_Text, ...], Meta(min_length=1, max_length=100_000)]
_Temperature = Annotated[float, Meta(ge=1e-3, le=1e3)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Sha256 = Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z", description="64 hexadecimal digits")]
_Folder = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z",
        description="a name of letters, digits, '.', '_' and '-'",
    ),
]

_Split = Annotated[str, Meta(pattern=r"\A(train|val|test)\Z", description="train, val or test")]

_TIMM = "timm/"
_FOR_TIMM = ("zoo", "num_classes", "label_names", "pretrained_cfg")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """Describes a trained model, its input and its outputs.

    Attributes:
        architecture: A name that `activitynet.create_model` knows.
        model_args: Further arguments of the architecture, as plain JSON.
        classes: Class names in the order of the model's outputs, each once.
        preprocess: Turns a photo into the model's input.
        temperature: Logits are divided by it before the softmax; 0.001 to 1000.
        unknown_below: A photo whose most probable class is less probable than this is "unknown"; 0 to 1,
            0 turns it off.
        metrics: Scores, with the split they were measured on, as plain JSON.
        training_data: What the model was trained on.
        skipped: Number of unreadable photos left out of it, by split (``train``, ``val``, ``test``).
        recipe: How it was trained, as plain JSON; empty if unknown.
        license: The weights' license.
        library_version: Version of activitynet that wrote the card; filled in when saved.
        sha256: SHA-256 of the tensors' file in hexadecimal; filled in when saved.
        card_version: Version of these fields.

    Raises:
        WeightsError: A field of the wrong type or outside its range.
    """

    architecture: _Text
    model_args: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    classes: _Classes
    preprocess: Preprocess
    temperature: _Temperature = 1.0
    unknown_below: _Share = 0.0
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training_data: str = ""
    skipped: Mapping[_Split, Annotated[int, Meta(ge=1)]] = dataclasses.field(default_factory=dict)
    recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    license: str = ""
    library_version: str = ""
    sha256: _Sha256 = ""
    card_version: Literal[1] = 1

    def __post_init__(self) -> None:
        _check(self, "model_args", "metrics", "recipe")

    def to_json(self) -> str:
        """Return the card as indented JSON."""
        values = to_plain(self)
        values["architecture"] = self.architecture.removeprefix(_TIMM)  # "zoo" keeps it
        return _json({**values, **self._for_timm()})

    @classmethod
    def from_json(cls, text: str | bytes, *, what: str = "the card") -> Card:
        """Read the result of `to_json`. No field may be missing, unknown or repeated.

        Args:
            text: The JSON.
            what: Name of the card in errors.

        Raises:
            WeightsError: The text is not a valid card; the message names the field.
        """
        value = _parse(text, what)
        timm = {}
        if isinstance(value, dict):
            timm = {name: value.pop(name) for name in _FOR_TIMM if name in value}
            if timm.get("zoo") == "timm" and isinstance(value.get("architecture"), str):
                value["architecture"] = _TIMM + value["architecture"]
        card = read_record(value, cls, what=what, version="card_version", complete=True)
        for name, expected in card._for_timm().items():
            if name in timm and timm[name] != expected:
                raise WeightsError(
                    f"{what}: field {name!r}, which timm reads, contradicts the other fields: "
                    f"{shown(timm[name])}."
                )
        return card

    def _for_timm(self) -> dict[str, Any]:
        """Return the fields that timm reads, so that it loads the same folder."""
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One member of an ensemble.

    Attributes:
        folder: Name of its weights folder beside the ensemble's card.
        weight: Its share in the average, 0 to 1; all shares add up to 1.
        sha256: SHA-256 of its tensors' file, as in its own card; filled in when saved.
    """

    folder: _Folder
    weight: _Share
    sha256: _Sha256

    def __post_init__(self) -> None:
        check_record(self, WeightsError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stages:
    """When a cascade stops before its last member.

    Attributes:
        threshold: Stop once the average of the members so far gives a class a higher probability, 0 to 1.
            With 1 all members run.
        temperatures: One per member, for the average of the first one, two, … members.
    """

    threshold: _Share
    temperatures: tuple[_Temperature, ...]

    def __post_init__(self) -> None:
        check_record(self, WeightsError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnsembleCard:
    """Describes an ensemble.

    Attributes:
        members: The members, in the order in which a cascade runs them.
        classes: Class names in the order of the outputs, each once. Every member has the same classes, in
            any order.
        average: ``"probabilities"`` or ``"logits"``.
        temperature: The average's logarithm is divided by it before the softmax; 0.001 to 1000.
        cascade: When to stop before all members have run; `None` runs all.
        metrics: Scores, with the split they were measured on, as plain JSON.
        training_data: What the members were trained on.
        license: The weights' license.
        library_version: Version of activitynet that wrote the card; filled in when saved.
        ensemble_version: Version of these fields.

    Raises:
        WeightsError: A field of the wrong type or outside its range.
    """

    members: Annotated[tuple[Member, ...], Meta(min_length=1, max_length=MAX_MEMBERS)]
    classes: _Classes
    average: Averaging = "probabilities"
    temperature: _Temperature = 1.0
    cascade: Stages | None = None
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training_data: str = ""
    license: str = ""
    library_version: str = ""
    ensemble_version: Literal[1] = 1

    def __post_init__(self) -> None:
        _check(self, "metrics")
        folders = [member.folder for member in self.members]
        if len({folder.lower() for folder in folders}) < len(folders):
            raise WeightsError(f"field 'members' must have different folders, got {shown(folders)}.")
        weights = [member.weight for member in self.members]
        if not math.isclose(sum(weights), 1, abs_tol=1e-6):
            raise WeightsError(f"field 'members' must have weights that add up to 1, got {shown(weights)}.")
        if self.cascade is not None and len(self.cascade.temperatures) != len(folders):
            raise WeightsError("field 'cascade' must have one temperature for each member.")

    def to_json(self) -> str:
        """Return the card as indented JSON."""
        return _json(to_plain(self))

    @classmethod
    def from_json(cls, text: str | bytes, *, what: str = "the card") -> EnsembleCard:
        """Read the result of `to_json`. No field may be missing, unknown or repeated.

        Args:
            text: The JSON.
            what: Name of the card in errors.

        Raises:
            WeightsError: The text is not a valid card; the message names the field.
        """
        return read_record(_parse(text, what), cls, what=what, version="ensemble_version", complete=True)


def read_any_card(text: str | bytes, *, what: str) -> Card | EnsembleCard:
    """Read a ``config.json``, a model's or an ensemble's.

    Args:
        text: The JSON.
        what: Name of the card in errors.

    Raises:
        WeightsError: It is not a valid card.
    """
    return (EnsembleCard if is_ensemble_card(text) else Card).from_json(text, what=what)


def is_ensemble_card(text: str | bytes) -> bool:
    """Return whether JSON has the field that only an ensemble's card has."""
    try:
        value = _parse(text, "")
    except WeightsError:
        return False
    return isinstance(value, dict) and "ensemble_version" in value


def _parse(text: str | bytes, what: str) -> Any:
    if len(text) > MAX_BYTES:
        raise WeightsError(f"{what} has more than the {MAX_BYTES:,} bytes allowed.")
    return parse_json(text, what=what)


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _check(card: Card | EnsembleCard, *mappings: str) -> None:
    """Check a card's fields. Mappings are replaced by copies in plain JSON."""
    for name in mappings:
        value = getattr(card, name)
        try:
            plain = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise WeightsError(
                f"card field {name!r} must hold plain, finite JSON values: {clipped(error)}."
            ) from error
        object.__setattr__(card, name, plain)
    check_record(card, WeightsError)
    name, times = Counter(card.classes).most_common(1)[0]
    if times > 1:
        raise WeightsError(f"field 'classes' must name each class once, got {shown(name)} twice.")
    try:
        size = len(card.to_json().encode("utf-8"))
    except UnicodeEncodeError as error:
        raise WeightsError(
            f"the card holds text that is not valid Unicode: {shown(error.object)}."
        ) from error
    if size > MAX_BYTES:
        raise WeightsError(f"the card has {size:,} bytes as JSON, more than the {MAX_BYTES:,} allowed.")
