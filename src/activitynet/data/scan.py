"""Check that photos decode, and hash them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from activitynet.data.dataset import Photo, PhotoData, SkippedPhoto, by_split
from activitynet.data.decode import read_photo, verify_image
from activitynet.errors import DataError, ImageError

_NAMED = 3  # photos of each kind that a difference names
_UNREADABLE = "unreadable"  # no hash has so few digits


class Look(NamedTuple):
    """What one reading of a photo's file told.

    Attributes:
        size: Its bytes.
        digest: Their BLAKE2b hash in hexadecimal.
        error: Why the photo cannot be read; empty when it can.
    """

    size: int
    digest: str
    error: str = ""

    @classmethod
    def at(cls, content: bytes) -> Look:
        """Look at the bytes of a photo that can be read."""
        return cls(len(content), hashlib.blake2b(content, digest_size=8).hexdigest())


def fingerprint(data: PhotoData, looks: Sequence[Look]) -> list[str]:
    """Describe every photo of a data set in a line of its own.

    A line holds split, class index, size in bytes, BLAKE2b hash of the bytes and path, with a space
    between each two; of a photo that cannot be read it has the word "unreadable" for the hash. Paths
    start at the folder that holds all photos, so that moving it changes nothing; what does not print in
    them is escaped.

    Args:
        data: The photos; those of one split in the order that training gives them their indices.
        looks: What was found of each when it was read: train, val, test.

    Returns:
        The lines: train, val, test.
    """
    photos = [(split, photo) for split, group in by_split(data) for photo in group]
    if not photos:
        return []
    root = os.path.commonpath([os.path.abspath(photo.path.parent) for _, photo in photos])  # noqa: PTH100

    def line(split: str, photo: Photo, look: Look) -> str:
        path = Path(os.path.relpath(photo.path, root)).as_posix()
        content = f"0 {_UNREADABLE}" if look.error else f"{look.size} {look.digest}"
        return f"{split} {photo.label} {content} {_printable(path)}"

    return [line(split, photo, look) for (split, photo), look in zip(photos, looks, strict=True)]


def difference(before: list[str], now: list[str]) -> str | None:
    """Say how a data set differs from what it was, or return `None` where nothing does.

    Args:
        before: What `fingerprint` returned then.
        now: What it returns now.

    Returns:
        A phrase that counts the photos that can no longer be read, or can be again, and those that were
        added, removed, changed or moved, and names up to three of each:
        ``"2 photos added (train/a/1.jpg, train/a/2.jpg), 1 removed (val/b/1.jpg)"``.
    """
    if before == now:
        return None
    then, today = Counter(before), Counter(now)
    removed = [_Line.of(text) for text in (then - today).elements()]
    added = [_Line.of(text) for text in (today - then).elements()]
    changed, removed, added = _pair(removed, added, lambda line: (line.split, line.label, line.path))
    moved, removed, added = _pair(removed, added, lambda line: (line.digest, line.size, line.place))
    broken = [new.path for _, new in changed if new.digest == _UNREADABLE]
    repaired = [new.path for old, new in changed if old.digest == _UNREADABLE]
    kinds = {
        "no longer readable": broken,
        "readable again": repaired,
        "added": [line.path for line in added],
        "removed": [line.path for line in removed],
        "changed": [new.path for old, new in changed if _UNREADABLE not in (old.digest, new.digest)],
        "moved": [_move(old, new) for old, new in moved],
    }
    parts = [
        f"{len(names)} {kind} ({', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''})"
        for kind, names in kinds.items()
        if names
    ]
    if not parts:
        return "the photos are in another order"
    count, rest = ", ".join(parts).split(" ", 1)
    return f"{count} {'photo' if count == '1' else 'photos'} {rest}"


class _Line(NamedTuple):
    split: str
    label: str
    size: str
    digest: str
    path: str

    @classmethod
    def of(cls, text: str) -> _Line:
        return cls(*text.split(" ", 4))

    @property
    def place(self) -> str:
        """The path where nothing else tells what the photo is."""
        return self.path if self.digest == _UNREADABLE else ""


def _pair(
    old: list[_Line], new: list[_Line], key: Callable[[_Line], tuple[str, ...]]
) -> tuple[list[tuple[_Line, _Line]], list[_Line], list[_Line]]:
    """Pair old and new lines of the same key; return the pairs, and what is left of both."""
    waiting: dict[tuple[str, ...], list[_Line]] = defaultdict(list)
    for line in old:
        waiting[key(line)].append(line)
    pairs, fresh = [], []
    for line in new:
        if same := waiting[key(line)]:
            pairs.append((same.pop(0), line))
        else:
            fresh.append(line)
    return pairs, [line for lines in waiting.values() for line in lines], fresh


def _move(old: _Line, new: _Line) -> str:
    if old.path != new.path:
        return f"{old.path} to {new.path}"
    if old.split != new.split:
        return f"{new.path} from {old.split} to {new.split}"
    return f"{new.path} from class {old.label} to class {new.label}"


def _printable(path: str) -> str:
    r"""Escape what would end the line or does not print; ``\`` becomes ``\\``, so no two paths meet."""
    return "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode("ascii")
        for char in path
    )


_AT_ONCE = 1024
_LISTED = 10  # bad photos that one message names


class Checked(NamedTuple):
    """Photos that were looked at.

    Attributes:
        data: Those that can be read; its ``skipped`` names the others.
        fingerprint: A line for each photo, the others included (see `fingerprint`).
    """

    data: PhotoData
    fingerprint: list[str]


def check_photos(data: PhotoData, *, skip_bad: bool = False, workers: int = 4) -> Checked:
    """Decode every photo once, so that a bad one is known before the first step rather than hours into a run.

    Each file is read once, for its hash as well. A bad photo is never replaced by another or by a blank one,
    and no file is changed: it is an error, or the photo is left out, by name.

    Args:
        data: What to check, in all of its splits.
        skip_bad: Leave out the photos that cannot be read. A class may not lose all its photos of a split.
        workers: Threads to decode with, at least 1.

    Raises:
        DataError: Photos cannot be read, and ``skip_bad`` is off or too little would be left. The message
            says how many, and lists the first ten.
    """
    entries = [(split, photo) for split, photos in by_split(data) for photo in photos]
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        looks: list[Look] = []
        for start in range(0, len(entries), _AT_ONCE):  # what waits for a thread takes memory
            looks += pool.map(_look, [photo for _, photo in entries[start : start + _AT_ONCE]])
    bad = [
        SkippedPhoto(photo, split, look.error)
        for (split, photo), look in zip(entries, looks, strict=True)
        if look.error
    ]
    if bad and not skip_bad:
        raise DataError(
            f"{len(bad)} of {len(entries)} photos cannot be read; repair or remove them, or leave them out "
            f"with --skip-bad (in Python, skip_bad=True):\n{_listed(bad)}"
        )
    return Checked(_without(data, bad), fingerprint(data, looks))


def _look(photo: Photo) -> Look:
    try:
        content = read_photo(photo.path)
        verify_image(content, name=os.fsdecode(photo.path))
    except ImageError as error:
        return Look(0, "", str(error))
    return Look.at(content)


def _listed(bad: Sequence[SkippedPhoto]) -> str:
    listed = "\n".join(f"  {photo.error}" for photo in bad[:_LISTED])
    more = f"\n  and {len(bad) - _LISTED} more (`activitynet audit` finds all)" if len(bad) > _LISTED else ""
    return listed + more


def _without(data: PhotoData, bad: Sequence[SkippedPhoto]) -> PhotoData:
    """Leave out the bad photos, unless that takes a class's last of a split: the scores would mean less."""
    if not bad:
        return data
    left: dict[str, tuple[Photo, ...]] = {}
    for split, photos in by_split(data):
        gone = {photo.photo for photo in bad if photo.split == split}
        left[split] = tuple(photo for photo in photos if photo not in gone)
        for label in sorted({photo.label for photo in photos} - {photo.label for photo in left[split]}):
            of_class = f" of class {data.classes[label]!r}" if left[split] else ""
            lost = [
                photo
                for photo in bad
                if photo.split == split and (photo.photo.label == label or not left[split])
            ]
            raise DataError(
                f"none of the {split!r} photos{of_class} can be read, so they cannot be left out; repair "
                f"some of them:\n{_listed(lost)}"
            )
    return dataclasses.replace(
        data, train=left["train"], val=left["val"], test=left["test"], skipped=(*data.skipped, *bad)
    )


def count_skipped(skipped: Sequence[SkippedPhoto]) -> dict[str, int]:
    """Return how many photos were left out of each split that lost some."""
    return dict(Counter(photo.split for photo in skipped))


def skip_note(counts: Mapping[str, int]) -> str:
    """Say how many photos were left out, by split: ``"unreadable photos left out: 3 (2 train, 1 val)"``."""
    by_name = ", ".join(f"{count} {split}" for split, count in counts.items())
    return f"unreadable photos left out: {sum(counts.values())} ({by_name})"
