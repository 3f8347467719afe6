"""Audit a data set: unreadable photos, duplicates, leaks between splits, spurious correlations."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from activitynet.data.dataset import Photo, PhotoData, by_split, group_numbers
from activitynet.data.decode import decode_image
from activitynet.data.duplicates import connected_groups, exact_duplicate_pairs, near_duplicate_pairs
from activitynet.data.scan import ScannedPhoto, scan_photos
from activitynet.data.splits import can_be_folded, folds
from activitynet.errors import ImageError
from activitynet.pages import thumbnail, write_page
from activitynet.serialization.records import to_plain

Kind = Literal[
    "unreadable",
    "wrong_extension",
    "tiny",
    "monochrome",
    "exact_duplicate",
    "near_duplicate",
    "missing_class",
    "spurious_size",
    "spurious_format",
    "spurious_source",
    "suspicious_label",
]
"""Kinds of findings."""

KINDS: tuple[Kind, ...] = get_args(Kind)

TINY = 32
"""Least pixels of a photo's shorter side."""


@dataclasses.dataclass(frozen=True)
class AuditedPhoto:
    """A photo that a finding names.

    Attributes:
        path: Its file.
        split: ``"train"``, ``"val"`` or ``"test"``.
        label: The name of its class.
    """

    path: str
    split: str
    label: str


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """Another label for a photo.

    Attributes:
        label: The name of the class.
        probability: The probability of that label, in [0, 1].
        given_probability: The probability of the label that the photo has, in [0, 1].
    """

    label: str
    probability: float
    given_probability: float


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault of a data set.

    Attributes:
        kind: One of `KINDS`.
        message: What is wrong, in a sentence.
        photos: The photos concerned: one, or all duplicates of one another.
        across_splits: Whether they are in more than one split.
        suggestion: A more probable label for the photo.
    """

    kind: Kind
    message: str
    photos: tuple[AuditedPhoto, ...] = ()
    across_splits: bool = False
    suggestion: Suggestion | None = None


@dataclasses.dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        photos: Number of photos scanned.
        findings: What is wrong, in the order of `KINDS`.
    """

    photos: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def counts(self) -> dict[str, int]:
        """Return the number of findings of each kind that occurs."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def label_issues(self) -> dict[str, str]:
        """Return the suggested labels, by the photos' paths."""
        return {
            finding.photos[0].path: finding.suggestion.label
            for finding in self.findings
            if finding.suggestion is not None
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain JSON values."""
        return to_plain(self)


def audit(data: PhotoData, *, workers: int = 4) -> Audit:
    """Scan every photo of a data set once, and report what is wrong.

    Findings are photos that cannot be read, whose extension names another format, that are smaller than
    `TINY` or of one colour; exact and near-duplicates, within a split and across splits; classes that a split
    lacks; and sizes, formats or sources that predict the class (`spurious_correlations`). Near-duplicates of
    one group and split are no finding. `activitynet.evaluation.label_errors` adds suspicious labels; it needs
    a model.

    Args:
        data: The data set. No file is changed.
        workers: Threads that decode, at least 1.
    """
    entries = [(split, photo) for split, photos in by_split(data) for photo in photos]
    photos = [photo for _, photo in entries]
    scanned = scan_photos(photos, perceptual=True, workers=workers)
    named = [AuditedPhoto(str(photo.path), split, data.classes[photo.label]) for split, photo in entries]
    findings = [
        Finding(kind, message, (named[index],))
        for index, found in enumerate(scanned)
        for kind, message in _faults(photos[index].path, found)
    ]
    groups = _duplicate_groups(entries, scanned)
    findings += [_duplicates(kind, [named[index] for index in group]) for kind, group in groups]
    findings += _missing_classes(data)
    sizes, formats = [found.size for found in scanned], [found.format for found in scanned]
    findings += spurious_correlations(photos, sizes, formats, data.classes)
    return Audit(len(entries), tuple(sorted(findings, key=lambda found: KINDS.index(found.kind))))


def cleaned(data: PhotoData, found: Audit, *, drop_label_issues: bool = False) -> PhotoData:
    """Return a data set without its unreadable photos and without duplicates across splits.

    Of duplicates in several splits, those in ``test`` are kept, else those in ``val``, so that scores stay
    comparable. Duplicates within one split are kept. No label is changed.

    Args:
        data: The data set.
        found: The result of its `audit`.
        drop_label_issues: Also drop training photos with suspicious labels. Validation and test photos are
            kept, or the model that doubts them would choose what it is scored by.
    """
    dropped: set[tuple[str, str]] = set()
    for finding in found.findings:
        if finding.kind == "unreadable":
            dropped.update((photo.split, photo.path) for photo in finding.photos)
        elif finding.kind == "suspicious_label" and drop_label_issues:
            dropped.update((photo.split, photo.path) for photo in finding.photos if photo.split == "train")
        elif finding.across_splits:
            kept = "test" if any(photo.split == "test" for photo in finding.photos) else "val"
            dropped.update((photo.split, photo.path) for photo in finding.photos if photo.split != kept)
    parts = {
        split: tuple(photo for photo in photos if (split, str(photo.path)) not in dropped)
        for split, photos in by_split(data)
    }
    return dataclasses.replace(data, train=parts["train"], val=parts["val"], test=parts["test"])


_SAME_FORMAT = {"DIB": "BMP", "MPO": "JPEG"}  # variants that share extensions


def _faults(path: Path, found: ScannedPhoto) -> Iterator[tuple[Kind, str]]:
    if found.error:
        yield "unreadable", found.error
        return
    suffix = path.suffix.lower()
    named, actual = (
        _SAME_FORMAT.get(name, name) for name in (Image.registered_extensions().get(suffix, ""), found.format)
    )
    if suffix and named != actual:
        yield "wrong_extension", f"the file is {actual}, but its name ends in {suffix!r}."
    if min(found.size) < TINY:
        yield "tiny", f"the photo has {found.size[0]} x {found.size[1]} pixels."
    if found.hash is None:
        yield "monochrome", "the photo is of one colour."


def _duplicate_groups(
    entries: Sequence[tuple[str, Photo]], scanned: Sequence[ScannedPhoto]
) -> list[tuple[Kind, list[int]]]:
    """Return the groups of exact duplicates, then those of near-duplicates that are not all exact."""

    def same_group(pair: tuple[int, int]) -> bool:
        (split, photo), (other_split, other) = (entries[index] for index in pair)
        return split == other_split and bool(photo.group) and photo.group == other.group

    exact = exact_duplicate_pairs(scanned)
    near = [pair for pair in near_duplicate_pairs(scanned) if not same_group(pair)]
    groups: list[tuple[Kind, list[int]]] = [
        ("exact_duplicate", group) for group in connected_groups(len(scanned), exact)
    ]
    for group in connected_groups(len(scanned), [*exact, *near]):
        if len({scanned[index].content_hash for index in group}) > 1:
            groups.append(("near_duplicate", group))
    return groups


def _duplicates(kind: Kind, photos: Sequence[AuditedPhoto]) -> Finding:
    splits, labels = ({getattr(photo, name) for photo in photos} for name in ("split", "label"))
    what = "the same bytes" if kind == "exact_duplicate" else "almost the same picture"
    message = f"{len(photos)} photos are {what}"
    if len(splits) > 1:
        message += f", in the splits {' and '.join(sorted(splits))}"
    if len(labels) > 1:
        message += f", with {len(labels)} different labels"
    return Finding(kind, f"{message}.", tuple(photos), len(splits) > 1)


def _missing_classes(data: PhotoData) -> list[Finding]:
    present = {split: {photo.label for photo in photos} for split, photos in by_split(data) if photos}
    return [
        Finding("missing_class", f"class {name!r} has no photo in {split}.")
        for split, labels in present.items()
        for label, name in enumerate(data.classes)
        if label not in labels
    ]


MIN_ADVANTAGE = 0.1
"""Least advantage over chance of a spurious correlation, as a share of the greatest one possible."""

_NAMED = 3  # classes
_DEVIATIONS = 3.0  # standard deviations of chance that the advantage must also exceed


def spurious_correlations(
    photos: Sequence[Photo],
    sizes: Sequence[tuple[int, int]],
    formats: Sequence[str],
    classes: Sequence[str],
) -> list[Finding]:
    """Find properties that predict the class of a photo, though they are not what it shows.

    A decision tree predicts the class from one property alone, with cross-validation. Its balanced accuracy
    (mean recall of the classes) is compared with chance. Photos without the property, and classes that are
    too rare for cross-validation, are left out.

    Args:
        photos: The photos, of all splits.
        sizes: Width and height of each; (0, 0) if unknown. Their ratio is a property, too.
        formats: The file format of each; empty if unknown.
        classes: Class names.
    """
    width, height = np.array(sizes, dtype=np.float64).reshape(-1, 2).T
    shape = np.stack([width, height, width / np.maximum(height, 1)], axis=1)
    properties: tuple[tuple[Kind, str, np.ndarray, np.ndarray], ...] = (
        ("spurious_size", "the size in pixels", shape, width > 0),
        ("spurious_format", "the file format", *_codes(formats)),
        ("spurious_source", "the source", *_codes([photo.source for photo in photos])),
    )
    labels = np.array([photo.label for photo in photos], dtype=np.int64)
    groups = group_numbers(photos)
    findings = []
    for kind, what, values, known in properties:
        use = known.copy()
        use[known] = can_be_folded(labels[known], groups[known])
        message = _correlation(what, values[use], labels[use], groups[use], classes)
        if message:
            findings.append(Finding(kind, message))
    return findings


def _codes(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for each name, (N, 1), and which names are known, (N,)."""
    distinct, codes = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    # Shuffled, since the alphabetical order of names means nothing.
    shuffled = np.random.default_rng(0).permutation(len(distinct))
    return shuffled[codes.ravel()][:, None], np.array([bool(name) for name in names], dtype=bool)


def _correlation(
    what: str, values: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: Sequence[str]
) -> str:
    """Say how well the values predict the labels; return nothing if they do not."""
    present, truth, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(present) < 2 or len(np.unique(values, axis=0)) < 2:
        return ""
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415 - slow to import, seldom needed

    tree = DecisionTreeClassifier(class_weight="balanced", random_state=0)
    right = np.zeros(len(truth), dtype=bool)
    for fitted, held_out in folds(truth, groups):
        tree.fit(values[fitted], truth[fitted])
        right[held_out] = tree.predict(values[held_out]) == truth[held_out]
    recalls = np.bincount(truth, weights=right) / sizes
    accuracy, chance = recalls.mean(), 1 / len(present)
    noise = np.sqrt((chance * (1 - chance) / sizes).sum()) / len(present)
    if accuracy - chance <= max(MIN_ADVANTAGE * (1 - chance), _DEVIATIONS * noise):
        return ""
    best = np.argsort(-recalls, kind="stable")[:_NAMED]
    named = ", ".join(f"{classes[present[index]]!r} ({recalls[index]:.0%})" for index in best)
    return (
        f"{what} alone predicts the class with a balanced accuracy of {accuracy:.0%} (chance: {chance:.0%}), "
        f"best for {named}. A network may learn it instead of what people do."
    )


SHOWN = 100
"""Findings of each kind that a report shows."""

_PHOTOS = 8  # that a report shows of one finding

_TITLES = {
    "unreadable": "Photos that cannot be read",
    "wrong_extension": "Extensions of another format",
    "tiny": "Tiny photos",
    "monochrome": "Photos of one colour",
    "exact_duplicate": "Exact duplicates",
    "near_duplicate": "Near-duplicates",
    "missing_class": "Classes without photos in a split",
    "spurious_size": "Sizes that predict the class",
    "spurious_format": "File formats that predict the class",
    "spurious_source": "Sources that predict the class",
    "suspicious_label": "Suspicious labels, the most suspicious first",
}


def write_report(path: str | os.PathLike[str], found: Audit) -> None:
    """Write an audit as one HTML file with thumbnails, showing `SHOWN` findings of each kind.

    Raises:
        StorageError: The file cannot be written.
    """
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in found.findings:
        by_kind[finding.kind].append(finding)
    sections = [
        {
            "title": _TITLES[kind],
            "count": len(by_kind[kind]),
            "grid": kind == "suspicious_label",
            # Leaks first.
            "findings": [
                _shown(one) for one in sorted(by_kind[kind], key=lambda one: not one.across_splits)[:SHOWN]
            ],
            "more": max(0, len(by_kind[kind]) - SHOWN),
        }
        for kind in KINDS
        if kind in by_kind
    ]
    summary = f"{found.photos} photos, {len(found.findings)} findings."
    write_page(path, "audit.html", summary=summary, sections=sections)


def _shown(finding: Finding) -> dict[str, Any]:
    photos = [_shown_photo(photo, finding.suggestion) for photo in finding.photos[:_PHOTOS]]
    return {
        "message": finding.message if finding.suggestion is None else "",
        "across": finding.across_splits,
        "photos": photos,
        "more": max(0, len(finding.photos) - _PHOTOS),
    }


def _shown_photo(photo: AuditedPhoto, suggestion: Suggestion | None) -> dict[str, str]:
    try:
        small = thumbnail(decode_image(Path(photo.path)))
    except ImageError:
        small = ""
    labels = probabilities = ""
    if suggestion is not None:
        labels = f"{photo.label} → {suggestion.label}"
        probabilities = f"{suggestion.probability:.0%} against {suggestion.given_probability:.0%}"
    caption = f"{photo.split} · {photo.label} · {photo.path}"
    return {"thumbnail": small, "caption": caption, "labels": labels, "sure": probabilities}
