"""Scan photos: decode each once, hash it, and detect changes of a data set."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import logging
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from activitynet.data.dataset import Photo, PhotoData, SkippedPhoto, by_split
from activitynet.data.decode import OpenPhoto, read_photo
from activitynet.errors import DataError, ImageError

_log = logging.getLogger(__name__)

_QUEUED = 1024  # photos that wait for a thread at a time
_LOG_SECONDS = 10.0  # between two progress messages


class PhotoHash(NamedTuple):
    """Perceptual hashes of a photo.

    The perceptual hash of an image is the 64 lowest frequencies of its discrete cosine transform, one bit
    each: whether the coefficient is positive. Photos that were encoded again, resized or slightly cropped
    differ in few bits.

    Attributes:
        bits: Twelve perceptual hashes, each in [0, 2**64): of the whole photo, of its middle and of its four
            corners (95 % of width and height each), then of the same parts mirrored.
        thumbnails: The six parts in grey: uint8, (6, 16, 16).
    """

    bits: tuple[int, ...]
    thumbnails: np.ndarray


class ScannedPhoto(NamedTuple):
    """What scanning a photo found.

    Attributes:
        error: Why the photo cannot be read; empty if it can, and only then are the other fields set.
        num_bytes: Size of its file.
        content_hash: BLAKE2b hash of the file: 32 hexadecimal digits.
        size: Width and height in pixels, upright.
        format: Pillow's name of the file format: ``"JPEG"``, ``"PNG"`` and so on.
        hash: The perceptual hash; `None` if it was not asked for, or the photo is of one colour.
    """

    error: str = ""
    num_bytes: int = 0
    content_hash: str = ""
    size: tuple[int, int] = (0, 0)
    format: str = ""
    hash: PhotoHash | None = None


def scan_photos(photos: Sequence[Photo], *, perceptual: bool = False, workers: int = 4) -> list[ScannedPhoto]:
    """Read and decode every photo once.

    Args:
        photos: The photos. No file is changed.
        perceptual: Compute perceptual hashes. Without them a JPEG is decoded at an eighth of its size, which
            is much faster and finds the same damage.
        workers: Threads, at least 1. The result does not depend on it.

    Returns:
        The result for each photo, in their order.
    """

    def scan(photo: Photo) -> ScannedPhoto:
        return _scan(photo.path, perceptual)

    scanned: list[ScannedPhoto] = []
    logged = time.monotonic()
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for start in range(0, len(photos), _QUEUED):
            for found in pool.map(scan, photos[start : start + _QUEUED]):
                scanned.append(found)
                if time.monotonic() - logged > _LOG_SECONDS:
                    logged = time.monotonic()
                    _log.info("%d of %d photos scanned", len(scanned), len(photos))
    return scanned


def _scan(path: Path, perceptual: bool) -> ScannedPhoto:
    try:
        content = read_photo(path)
        opened = OpenPhoto(io.BytesIO(content), os.fsdecode(path))
        size = opened.size
        image = opened.decode(at_least=None if perceptual else (1, 1))
    except ImageError as error:
        return ScannedPhoto(str(error))
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    hashed = photo_hash(image) if perceptual and not is_flat(image) else None
    return ScannedPhoto("", len(content), digest, size, opened.format, hashed)


_SIDE = 32
# (left, top, share of the sides): the whole, the middle and the corners.
_PARTS = (
    (0.0, 0.0, 1.0),
    (0.025, 0.025, 0.95),
    (0.0, 0.0, 0.95),
    (0.05, 0.0, 0.95),
    (0.0, 0.05, 0.95),
    (0.05, 0.05, 0.95),
)


def _cosines() -> np.ndarray:
    """Return the orthonormal DCT-II as a matrix: (frequency, position)."""
    frequency, position = np.ogrid[:_SIDE, :_SIDE]
    return np.cos(np.pi * frequency * (2 * position + 1) / (2 * _SIDE)) * np.sqrt(2 / _SIDE)


_COSINES = _cosines()
# (row, column) of the 64 lowest frequencies, without the mean.
_LOWEST = np.array(
    sorted(
        ((row, column) for row in range(_SIDE) for column in range(_SIDE) if row + column),
        key=lambda place: (sum(place), place),
    )[:64]
)
_BITS = np.uint64(1) << np.arange(64, dtype=np.uint64)
_MIRRORED = int(_BITS[_LOWEST[:, 1] % 2 == 1].sum())  # frequencies whose sign a mirror image flips


def photo_hash(image: Image.Image) -> PhotoHash:
    """Hash what an image shows, whatever its size.

    Args:
        image: An upright image of mode RGB or L.
    """
    grey, thumbnails, hashes = image.convert("L"), [], []
    width, height = grey.size
    for left, top, share in _PARTS:
        box = (left * width, top * height, (left + share) * width, (top + share) * height)
        small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX, box=box), dtype=np.float64)
        hashes.append(_sign_bits(small))
        half = _SIDE // 2
        thumbnails.append(small.reshape(half, 2, half, 2).mean(axis=(1, 3)).round().astype(np.uint8))
    upright, mirrored = zip(*hashes, strict=True)
    return PhotoHash(upright + mirrored, np.stack(thumbnails))


def _sign_bits(grey: np.ndarray) -> tuple[int, int]:
    """Return the hash of a grey square, and of its mirror image."""
    transform = _COSINES @ grey @ _COSINES.T
    # Rounded, so that a missing frequency is 0 on every machine.
    coefficients = np.round(transform[_LOWEST[:, 0], _LOWEST[:, 1]], 6)
    bits = int(_BITS[coefficients > 0].sum())
    return bits, bits ^ (int(_BITS[coefficients != 0].sum()) & _MIRRORED)


def is_flat(image: Image.Image) -> bool:
    """Tell whether an image is of one colour, up to the noise of a level or two that JPEG leaves."""
    pixels = np.asarray(image.resize((16, 16), Image.Resampling.BOX) if min(image.size) > 64 else image)
    return bool((np.ptp(pixels, axis=(0, 1)) <= 2).all())


class CheckedData(NamedTuple):
    """A data set whose photos were all decoded once.

    Attributes:
        data: The photos that can be read; ``data.skipped`` names the others.
        fingerprint: One line for each photo, including the skipped ones (see `fingerprint`).
    """

    data: PhotoData
    fingerprint: list[str]


def check_photos(data: PhotoData, *, skip_bad: bool = False, workers: int = 4) -> CheckedData:
    """Decode every photo once, so that a bad one is found before training starts.

    A bad photo is an error, or is left out and named. No file is changed.

    Args:
        data: The data set; all splits are checked.
        skip_bad: Leave out photos that cannot be read. Each class must keep a photo in each of its splits.
        workers: Threads that decode, at least 1.

    Raises:
        DataError: Photos cannot be read, and ``skip_bad`` is off or a class would lose all photos of a split.
            The message says how many, and lists the first ten.
    """
    entries = [(split, photo) for split, photos in by_split(data) for photo in photos]
    scanned = scan_photos([photo for _, photo in entries], workers=workers)
    bad = [
        SkippedPhoto(photo, split, found.error)
        for (split, photo), found in zip(entries, scanned, strict=True)
        if found.error
    ]
    if bad and not skip_bad:
        raise DataError(
            f"{len(bad)} of {len(entries)} photos cannot be read; repair or remove them, or leave them out "
            f"with --skip-bad (in Python, skip_bad=True):\n{_listed(bad)}"
        )
    return CheckedData(_without(data, bad), fingerprint(data, scanned))


_LISTED = 10  # bad photos that one message lists


def _listed(bad: Sequence[SkippedPhoto]) -> str:
    listed = "\n".join(f"  {photo.error}" for photo in bad[:_LISTED])
    more = f"\n  and {len(bad) - _LISTED} more (`activitynet audit` finds all)" if len(bad) > _LISTED else ""
    return listed + more


def _without(data: PhotoData, bad: Sequence[SkippedPhoto]) -> PhotoData:
    """Leave out bad photos, unless a class would lose its last photo of a split."""
    if not bad:
        return data
    kept: dict[str, tuple[Photo, ...]] = {}
    for split, photos in by_split(data):
        skipped = {photo.photo for photo in bad if photo.split == split}
        kept[split] = tuple(photo for photo in photos if photo not in skipped)
        for label in sorted({photo.label for photo in photos} - {photo.label for photo in kept[split]}):
            of_class = f" of class {data.classes[label]!r}" if kept[split] else ""
            lost = [
                photo
                for photo in bad
                if photo.split == split and (photo.photo.label == label or not kept[split])
            ]
            raise DataError(
                f"none of the {split!r} photos{of_class} can be read, so they cannot be left out; repair "
                f"some of them:\n{_listed(lost)}"
            )
    return dataclasses.replace(
        data, train=kept["train"], val=kept["val"], test=kept["test"], skipped=(*data.skipped, *bad)
    )


def count_skipped(skipped: Sequence[SkippedPhoto]) -> dict[str, int]:
    """Return how many photos were skipped, by split; splits without any are missing."""
    return dict(Counter(photo.split for photo in skipped))


def skipped_message(counts: Mapping[str, int]) -> str:
    """Say how many photos were skipped: ``"unreadable photos left out: 3 (2 train, 1 val)"``."""
    by_name = ", ".join(f"{count} {split}" for split, count in counts.items())
    return f"unreadable photos left out: {sum(counts.values())} ({by_name})"


_UNREADABLE = "unreadable"  # stands for a hash; no hash looks like it
_NAMED = 3  # photos of each kind that a difference names


def fingerprint(data: PhotoData, scanned: Sequence[ScannedPhoto]) -> list[str]:
    """Describe each photo of a data set in one line: split, class index, bytes, content hash and path.

    The hash of an unreadable photo is the word "unreadable". Paths are relative to the common folder of all
    photos, so that moving it changes nothing; unprintable characters are escaped.

    Args:
        data: The photos.
        scanned: The result of `scan_photos` for them: train, val, test.

    Returns:
        The lines: train, val, test.
    """
    photos = [(split, photo) for split, group in by_split(data) for photo in group]
    if not photos:
        return []
    root = os.path.commonpath([os.path.abspath(photo.path.parent) for _, photo in photos])  # noqa: PTH100

    def line(split: str, photo: Photo, found: ScannedPhoto) -> str:
        path = Path(os.path.relpath(photo.path, root)).as_posix()
        content = f"0 {_UNREADABLE}" if found.error else f"{found.num_bytes} {found.content_hash}"
        return f"{split} {photo.label} {content} {_escaped(path)}"

    return [line(split, photo, found) for (split, photo), found in zip(photos, scanned, strict=True)]


def difference(before: list[str], now: list[str]) -> str | None:
    """Say how a data set has changed, or return `None` if it has not.

    Args:
        before: The old `fingerprint`.
        now: The new one.

    Returns:
        A phrase that counts the photos that were added, removed, changed, moved, or can no longer or again be
        read, and names up to three of each:
        ``"2 photos added (train/a/1.jpg, train/a/2.jpg), 1 removed (val/b/1.jpg)"``.
    """
    if before == now:
        return None
    old_counts, new_counts = Counter(before), Counter(now)
    removed = [_Line.of(text) for text in (old_counts - new_counts).elements()]
    added = [_Line.of(text) for text in (new_counts - old_counts).elements()]
    changed, removed, added = _pair(removed, added, lambda line: (line.split, line.label, line.path))
    moved, removed, added = _pair(removed, added, lambda line: (line.digest, line.size, line.place))
    kinds = {
        "no longer readable": [new.path for _, new in changed if new.digest == _UNREADABLE],
        "readable again": [new.path for old, new in changed if old.digest == _UNREADABLE],
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
        """The path, if nothing else identifies the photo."""
        return self.path if self.digest == _UNREADABLE else ""


def _pair(
    old: list[_Line], new: list[_Line], key: Callable[[_Line], tuple[str, ...]]
) -> tuple[list[tuple[_Line, _Line]], list[_Line], list[_Line]]:
    """Pair old and new lines of the same key; return the pairs, and what is left of both."""
    waiting: dict[tuple[str, ...], list[_Line]] = defaultdict(list)
    for line in old:
        waiting[key(line)].append(line)
    pairs, unpaired = [], []
    for line in new:
        if same := waiting[key(line)]:
            pairs.append((same.pop(0), line))
        else:
            unpaired.append(line)
    return pairs, [line for lines in waiting.values() for line in lines], unpaired


def _move(old: _Line, new: _Line) -> str:
    if old.path != new.path:
        return f"{old.path} to {new.path}"
    if old.split != new.split:
        return f"{new.path} from {old.split} to {new.split}"
    return f"{new.path} from class {old.label} to class {new.label}"


def _escaped(path: str) -> str:
    r"""Escape unprintable characters; ``\`` becomes ``\\``, so that different paths stay different."""
    return "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode("ascii")
        for char in path
    )
