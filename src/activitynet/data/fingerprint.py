"""Whether a data set is still the one that a run began with, and if not, what became of it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from activitynet.data.photos import Photo, PhotoData
from activitynet.data.splits import by_split

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
