"""Audit a data set: broken photos, duplicates, leaks between splits, doubtful labels."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from activitynet.data.dataset import Photo, PhotoData, by_split, group_numbers
from activitynet.data.decode import decode_image, read_photo
from activitynet.data.duplicates import PhotoHash, alike, content_hash, copies, is_flat, joined, photo_hash
from activitynet.data.splits import can_be_folded, folds
from activitynet.errors import DataError, ImageError
from activitynet.serialization.records import read_record, to_plain

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

    def label_issues(self) -> dict[str, str]:
        """Return the labels that are more probable than photos' own, by their paths."""
        return {
            finding.photos[0].path: finding.suggestion.label
            for finding in self.findings
            if finding.suggestion is not None
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain JSON values."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, value: object) -> Audit:
        """Make one from what `to_dict` returned.

        Raises:
            DataError: It is not such an object.
        """
        return read_record(value, cls, what="the audit", error=DataError, complete=True)


TELLING = 0.1
"""How much nearer to always right than chance a guess may come, as a share of the way."""

_NAMED = 3  # classes
_DEVIATIONS = 3.0  # of what chance alone brings about


def telling_facts(
    photos: Sequence[Photo],
    sizes: Sequence[tuple[int, int]],
    formats: Sequence[str],
    classes: Sequence[str],
) -> list[Finding]:
    """Find what gives the class of a photo away, though it is not what the photo shows.

    A decision tree guesses the class by one fact alone, for photos it has not learned from. Its balanced
    accuracy (the mean over the classes of how many of their photos it guesses) is compared with guessing
    blindly. Photos of which the fact is not known are left out, and so are classes that are too rare to
    cross-validate.

    Args:
        photos: The photos, of all splits.
        sizes: Width and height of each; (0, 0) where they are not known. Their ratio counts, too.
        formats: The file format of each; empty where it is not known.
        classes: Class names.
    """
    width, height = np.array(sizes, dtype=np.float64).reshape(-1, 2).T
    shape = np.stack([width, height, width / np.maximum(height, 1)], axis=1)
    facts: tuple[tuple[Kind, str, np.ndarray, np.ndarray], ...] = (
        ("telling_size", "the size in pixels", shape, width > 0),
        ("telling_format", "the file format", *_codes(formats)),
        ("telling_source", "the source", *_codes([photo.source for photo in photos])),
    )
    labels = np.array([photo.label for photo in photos], dtype=np.int64)
    groups = group_numbers(photos)
    findings = []
    for kind, what, values, known in facts:
        use = known.copy()
        use[known] = can_be_folded(labels[known], groups[known])
        message = _message(what, values[use], labels[use], groups[use], classes)
        if message:
            findings.append(Finding(kind, message))
    return findings


def _codes(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for each name, (N, 1), and which names are known, (N,)."""
    distinct, codes = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    # In no order, for that two names are alike tells nothing.
    shuffled = np.random.default_rng(0).permutation(len(distinct))
    return shuffled[codes.ravel()][:, None], np.array([bool(name) for name in names], dtype=bool)


def _message(
    what: str, values: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: Sequence[str]
) -> str:
    """Say how well the values tell the labels, or nothing where they do not."""
    present, truth, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(present) < 2 or len(np.unique(values, axis=0)) < 2:
        return ""
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415 - slow to import, seldom needed

    tree = DecisionTreeClassifier(class_weight="balanced", random_state=0)
    right = np.zeros(len(truth), dtype=bool)
    for learned, held in folds(truth, groups):
        right[held] = tree.fit(values[learned], truth[learned]).predict(values[held]) == truth[held]
    recalls = np.bincount(truth, weights=right) / sizes
    accuracy, chance = recalls.mean(), 1 / len(present)
    noise = np.sqrt((chance * (1 - chance) / sizes).sum()) / len(present)
    if accuracy - chance <= max(TELLING * (1 - chance), _DEVIATIONS * noise):
        return ""
    worst = np.argsort(-recalls, kind="stable")[:_NAMED]
    told = ", ".join(f"{classes[present[index]]!r} ({recalls[index]:.0%})" for index in worst)
    return (
        f"{what} alone tells the class with a balanced accuracy of {accuracy:.0%} (chance: {chance:.0%}), "
        f"most of all {told}. A network may learn it instead of what people do."
    )


TINY = 32
"""Pixels that the shorter side of a photo should have at least."""

_EXTENSIONS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "GIF": {".gif"},
    "WEBP": {".webp"},
    "BMP": {".bmp", ".dib"},
    "TIFF": {".tif", ".tiff"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
    "AVIF": {".avif"},
}
_SIGNATURES: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("JPEG", lambda start: start.startswith(b"\xff\xd8\xff")),
    ("PNG", lambda start: start.startswith(b"\x89PNG\r\n\x1a\n")),
    ("GIF", lambda start: start.startswith((b"GIF87a", b"GIF89a"))),
    ("WEBP", lambda start: start.startswith(b"RIFF") and start[8:12] == b"WEBP"),
    ("BMP", lambda start: start.startswith(b"BM")),
    ("TIFF", lambda start: start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))),
    ("PPM", lambda start: start[:1] == b"P" and start[1:2] in b"123456"),
    ("AVIF", lambda start: start[4:8] == b"ftyp" and start[8:12] in (b"avif", b"avis", b"mif1")),
)


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What one look at a photo tells."""

    error: str = ""
    content: str = ""
    size: tuple[int, int] = (0, 0)
    format: str = ""
    flat: bool = False
    hash: PhotoHash | None = None


def audit(data: PhotoData, *, workers: int = 2) -> Audit:
    """Look at every photo of a data set once, and report what is wrong with it.

    Found are photos that cannot be read, whose extension names another format, that are smaller than `TINY`
    or of one colour; exact duplicates, by their bytes, and near ones (`near_photos`), within a split and
    across splits; classes that a split lacks; and sizes, formats or sources that give the class away
    (`telling_facts`). Photos of one group may look alike: near duplicates within a group and a split are no
    finding. Suspicious labels take a model: see `activitynet.evaluation.label_errors`.

    Args:
        data: The photos. They are only read.
        workers: Threads to decode with, at least 1.
    """
    entries = [(split, photo) for split, photos in by_split(data) for photo in photos]
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        seen = list(pool.map(lambda entry: _look(entry[1].path), entries))

    def named(index: int) -> AuditedPhoto:
        split, photo = entries[index]
        return AuditedPhoto(str(photo.path), split, data.classes[photo.label])

    findings = [
        Finding(kind, message, (named(index),))
        for index, look in enumerate(seen)
        for kind, message in _faults(entries[index][1], look)
    ]
    duplicates: tuple[tuple[Kind, str, list[list[int]]], ...] = (
        ("exact_duplicate", "the same bytes", _same(seen)),
        ("near_duplicate", "almost the same picture", _alike(entries, seen)),
    )
    for kind, what, groups in duplicates:
        for group in groups:
            splits = {entries[index][0] for index in group}
            labels = {entries[index][1].label for index in group}
            message = f"{len(group)} photos are {what}"
            if len(splits) > 1:
                message += f", in the splits {' and '.join(sorted(splits))}"
            if len(labels) > 1:
                message += f", with {len(labels)} different labels"
            photos = tuple(named(index) for index in group)
            findings.append(Finding(kind, f"{message}.", photos, len(splits) > 1))
    findings += _missing_classes(data)
    findings += telling_facts(
        [photo for _, photo in entries],
        [look.size for look in seen],
        [look.format for look in seen],
        data.classes,
    )
    return Audit(len(entries), tuple(sorted(findings, key=lambda found: KINDS.index(found.kind))))


def cleaned(data: PhotoData, found: Audit, *, drop_label_issues: bool = False) -> PhotoData:
    """Return a data set without its broken photos and without duplicates across splits.

    Of duplicates in several splits, those in ``test`` stay, else those in ``val``: scores are kept, and what
    is learned from gives way. Duplicates within one split stay. No label is changed.

    Args:
        data: The data set.
        found: What `audit` found in it.
        drop_label_issues: Leave out photos with suspicious labels, too, where they are trained on. Those
            to score on stay, or a model would choose what it is tested by.
    """
    dropped: set[tuple[str, str]] = set()
    for finding in found.findings:
        if finding.kind == "unreadable":
            dropped.update((photo.split, photo.path) for photo in finding.photos)
        elif finding.kind == "suspicious_label" and drop_label_issues:
            dropped.update((photo.split, photo.path) for photo in finding.photos if photo.split == "train")
        elif finding.across:
            kept = "test" if any(photo.split == "test" for photo in finding.photos) else "val"
            dropped.update((photo.split, photo.path) for photo in finding.photos if photo.split != kept)
    parts = {
        split: tuple(photo for photo in photos if (split, str(photo.path)) not in dropped)
        for split, photos in by_split(data)
    }
    return dataclasses.replace(data, train=parts["train"], val=parts["val"], test=parts["test"])


def _look(path: Path) -> _Seen:
    try:
        content = read_photo(path)
        image = decode_image(content, name=str(path))
    except ImageError as error:
        return _Seen(str(error))
    kind = next((name for name, fits in _SIGNATURES if fits(content[:16])), "")
    return _Seen(
        content=content_hash(content),
        size=image.size,
        format=kind,
        flat=is_flat(image),
        hash=photo_hash(image),
    )


def _faults(photo: Photo, look: _Seen) -> list[tuple[Kind, str]]:
    if look.error:
        return [("unreadable", look.error)]
    faults: list[tuple[Kind, str]] = []
    suffix = photo.path.suffix.lower()
    if look.format and suffix and suffix not in _EXTENSIONS[look.format]:
        faults.append(("wrong_extension", f"the file is {look.format}, but its name ends in {suffix!r}."))
    if min(look.size) < TINY:
        faults.append(("tiny", f"the photo has {look.size[0]} x {look.size[1]} pixels."))
    if look.flat:
        faults.append(("monochrome", "the photo is of one colour."))
    return faults


def _same(seen: Sequence[_Seen]) -> list[list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index, look in enumerate(seen):
        if look.content:
            groups[look.content].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _alike(entries: Sequence[tuple[str, Photo]], seen: Sequence[_Seen]) -> list[list[int]]:
    """Group near duplicates that are not all of the same bytes."""

    def belong_together(one: int, other: int) -> bool:
        (split, photo), (other_split, other_photo) = entries[one], entries[other]
        return split == other_split and bool(photo.group) and photo.group == other_photo.group

    contents = [look.content for look in seen]
    near = alike(contents, [None if look.flat else look.hash for look in seen])
    groups = joined(len(seen), [*copies(contents), *(pair for pair in near if not belong_together(*pair))])
    return [group for group in groups if len({contents[index] for index in group}) > 1]


def _missing_classes(data: PhotoData) -> list[Finding]:
    present = {split: {photo.label for photo in photos} for split, photos in by_split(data) if photos}
    return [
        Finding("missing_class", f"class {name!r} has no photo in {split}.")
        for split, labels in present.items()
        for label, name in enumerate(data.classes)
        if label not in labels
    ]
