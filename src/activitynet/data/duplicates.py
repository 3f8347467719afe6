"""Groups of photos that show the same, so that a split can keep each on one side."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from activitynet.data.decode import decode_image, read_photo
from activitynet.data.hashing import PhotoHash, content_hash, is_flat, near_photos, photo_hash
from activitynet.data.photos import Photo
from activitynet.errors import ImageError

_log = logging.getLogger(__name__)

_SECONDS = 10.0  # between two lines that say how far it is


def group_duplicates(photos: Sequence[Photo], *, workers: int = 4) -> tuple[Photo, ...]:
    """Make each set of photos that are copies or near-duplicates of one another a group.

    Copies have the same bytes; near-duplicates are found as `audit` finds them: encoded again, resized,
    mirrored or slightly cropped. What looks like either of two photos joins both, so a group may be a chain.
    Every photo is decoded for that; the log says how far it is.

    Args:
        photos: The photos; what groups they have is replaced.
        workers: Threads to decode with, at least 1. The result does not depend on it.

    Returns:
        The photos in their order. Those alone in what they show have no group, nor have those that cannot be
        read: `check_photos` deals with these.
    """
    _log.info("looking for near-duplicates among %d photos", len(photos))
    contents: list[str] = []
    hashes: list[PhotoHash | None] = []
    told = time.monotonic()
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for content, hash_ in pool.map(_look, photos):
            contents.append(content)
            hashes.append(hash_)
            if time.monotonic() - told > _SECONDS:
                told = time.monotonic()
                _log.info("%d of %d photos looked at", len(contents), len(photos))
    groups = joined(len(photos), [*copies(contents), *alike(contents, hashes)])
    name = {index: f"duplicates-{number}" for number, group in enumerate(groups, start=1) for index in group}
    _log.info("%d photos are near-duplicates of others, in %d groups", len(name), len(groups))
    return tuple(dataclasses.replace(photo, group=name.get(index, "")) for index, photo in enumerate(photos))


def _look(photo: Photo) -> tuple[str, PhotoHash | None]:
    try:
        content = read_photo(photo.path)
        image = decode_image(content)
    except ImageError:
        return "", None
    return content_hash(content), None if is_flat(image) else photo_hash(image)


def copies(contents: Sequence[str]) -> list[tuple[int, int]]:
    """Pair every photo with the first of the same bytes.

    Args:
        contents: A hash of each photo's bytes; empty where it cannot be read.

    Returns:
        Pairs of indices (i, j), i < j.
    """
    first: dict[str, int] = {}
    pairs = [(first.setdefault(content, index), index) for index, content in enumerate(contents) if content]
    return [(one, other) for one, other in pairs if one != other]


def alike(contents: Sequence[str], hashes: Sequence[PhotoHash | None]) -> list[tuple[int, int]]:
    """Find pairs of near-duplicates (`near_photos`); of photos with the same bytes the first stands for all.

    Args:
        contents: A hash of each photo's bytes.
        hashes: What each shows; `None` where nothing can be said of it, as of a photo of one colour.

    Returns:
        Pairs of indices (i, j), i < j, in order.
    """
    later = {index for _, index in copies(contents)}
    shown = [(index, hash_) for index, hash_ in enumerate(hashes) if hash_ is not None and index not in later]
    pairs = near_photos([hash_ for _, hash_ in shown])
    return [(shown[one][0], shown[other][0]) for one, other in pairs]


def joined(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the groups of two or more of ``count`` things that pairs of them make, each in order."""
    groups: dict[int, list[int]] = {}
    for index, number in enumerate(joined_numbers(count, pairs).tolist()):
        groups.setdefault(number, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def joined_numbers(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Number the groups that pairs of ``count`` things make, a thing in no pair being one: int64 (count,)."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - slow to import, seldom needed
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    edges = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)
