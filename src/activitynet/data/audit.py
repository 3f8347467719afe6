"""What is wrong with a data set: broken and odd photos, duplicates, leaks between splits."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from activitynet.data.decode import decode_image, read_photo
from activitynet.data.duplicates import alike, copies, joined
from activitynet.data.findings import KINDS, Audit, AuditedPhoto, Finding, Kind
from activitynet.data.hashing import PhotoHash, content_hash, is_flat, photo_hash
from activitynet.data.photos import Photo, PhotoData
from activitynet.data.splits import by_split
from activitynet.data.telling import telling_facts
from activitynet.errors import ImageError

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
    finding. Suspicious labels take a model: see `activitynet.evaluation.suspects`.

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


def cleaned(data: PhotoData, found: Audit, *, drop_suspects: bool = False) -> PhotoData:
    """Return a data set without its broken photos and without duplicates across splits.

    Of duplicates in several splits, those in ``test`` stay, else those in ``val``: scores are kept, and what
    is learned from gives way. Duplicates within one split stay. No label is changed.

    Args:
        data: The data set.
        found: What `audit` found in it.
        drop_suspects: Leave out photos with suspicious labels, too, where they are to be learned from. Those
            to score on stay, or a model would choose what it is tested by.
    """
    dropped: set[tuple[str, str]] = set()
    for finding in found.findings:
        if finding.kind == "unreadable":
            dropped.update((photo.split, photo.path) for photo in finding.photos)
        elif finding.kind == "suspicious_label" and drop_suspects:
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
