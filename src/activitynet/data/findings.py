"""What an audit found, as plain records."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, Literal, get_args

from activitynet.data.fields import are_numbers, fields_from_json, fields_to_json
from activitynet.errors import DataError

Kind = Literal[
    "unreadable",
    "wrong_extension",
    "tiny",
    "monochrome",
    "exact_duplicate",
    "near_duplicate",
    "missing_class",
    "telling_size",
    "telling_format",
    "telling_source",
    "suspicious_label",
]
"""Kinds of findings."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclasses.dataclass(frozen=True)
class AuditedPhoto:
    """A photo that a finding names.

    Attributes:
        path: Its file.
        split: ``"train"``, ``"val"`` or ``"test"``.
        label: Its class's name.
    """

    path: str
    split: str
    label: str


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """Another label for a photo.

    Attributes:
        label: The class's name.
        probability: How probable it is, in [0, 1].
        given_probability: How probable the label is that the photo has, in [0, 1].
    """

    label: str
    probability: float
    given_probability: float


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: Of `KINDS`.
        message: What is wrong, in a sentence.
        photos: The photos it is about: one, or all that are duplicates of one another.
        across: Whether they are in more than one split.
        suggestion: A label for the photo that is more probable than its own.
    """

    kind: Kind
    message: str
    photos: tuple[AuditedPhoto, ...] = ()
    across: bool = False
    suggestion: Suggestion | None = None


@dataclasses.dataclass(frozen=True)
class Audit:
    """What was found in a data set.

    Attributes:
        photos: How many photos were looked at.
        findings: What is wrong, by kind.
    """

    photos: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each kind that occurs."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def suspects(self) -> dict[str, str]:
        """Return the labels that are more probable than photos' own, by their paths."""
        return {
            finding.photos[0].path: finding.suggestion.label
            for finding in self.findings
            if finding.suggestion is not None
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain JSON values."""
        findings = []
        for finding in self.findings:
            photos = [fields_to_json(photo) for photo in finding.photos]
            findings.append({**fields_to_json(finding), "photos": photos})
        return {"photos": self.photos, "findings": findings}

    @classmethod
    def from_dict(cls, value: object) -> Audit:
        """Make one from what `to_dict` returned.

        Raises:
            DataError: It is not such an object.
        """
        fields = fields_from_json(cls, value)
        if type(fields["photos"]) is not int or not isinstance(fields["findings"], tuple):
            raise DataError("Audit needs a number of photos and a list of findings.")
        return cls(fields["photos"], tuple(map(_finding, fields["findings"])))


def _finding(value: object) -> Finding:
    fields = fields_from_json(Finding, value)
    if fields["kind"] not in KINDS or not isinstance(fields["message"], str):
        raise DataError(f"Finding has an unknown kind or no message, got {fields['kind']!r}.")
    if not isinstance(fields["photos"], tuple) or not isinstance(fields["across"], bool):
        raise DataError("Finding needs a list of photos, and across must be true or false.")
    photos = tuple(AuditedPhoto(**fields_from_json(AuditedPhoto, photo)) for photo in fields["photos"])
    for photo in photos:
        if not all(isinstance(text, str) for text in dataclasses.astuple(photo)):
            raise DataError("AuditedPhoto needs texts.")
    suggestion = _suggestion(fields["suggestion"]) if fields["suggestion"] is not None else None
    return Finding(**{**fields, "photos": photos, "suggestion": suggestion})


def _suggestion(value: object) -> Suggestion:
    fields = fields_from_json(Suggestion, value)
    numbers = fields["probability"], fields["given_probability"]
    if not isinstance(fields["label"], str) or not are_numbers(numbers, 2):
        raise DataError("Suggestion needs a label and two probabilities.")
    return Suggestion(**fields)
