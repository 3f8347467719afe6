"""One look at every photo before a run: which of them cannot be read, and what the others hold."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from activitynet.data.decode import read_photo, verify_image
from activitynet.data.fingerprint import Look, fingerprint
from activitynet.data.photos import Photo, PhotoData, SkippedPhoto
from activitynet.data.splits import by_split
from activitynet.errors import DataError, ImageError

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
