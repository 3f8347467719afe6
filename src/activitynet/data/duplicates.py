"""Hashes of photos: of their bytes, and of what they show.

The perceptual hash is the 64 lowest frequencies of a photo's discrete cosine transform, a bit each: whether
the coefficient is positive. Copies that were encoded again, resized or slightly cropped differ in few bits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image

from activitynet.data.dataset import Photo
from activitynet.data.decode import decode_image, read_photo
from activitynet.errors import DataError, ImageError

MAX_DISTANCE = 15
"""Most bits by which hashes may differ and still be searched for."""

_SIDE = 32
# (left, top, share of the sides): the whole, the middle, and towards each corner.
_PARTS = (
    (0.0, 0.0, 1.0),
    (0.025, 0.025, 0.95),
    (0.0, 0.0, 0.95),
    (0.05, 0.0, 0.95),
    (0.0, 0.05, 0.95),
    (0.05, 0.05, 0.95),
)
_CHUNK = 2**20  # pairs that are compared at once
_THUMBS = 2**10  # pairs whose thumbs are compared at once
_OVERHEAD = 5_000  # what a few calls of numpy cost, in hashes looked up


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
_MIRRORS = int(_BITS[_LOWEST[:, 1] % 2 == 1].sum())  # the frequencies whose sign a mirror turns


class PhotoHash(NamedTuple):
    """What a photo shows, in short.

    Attributes:
        bits: Perceptual hashes, each in [0, 2**64): of the whole photo, of its middle, and of what lies
            towards each corner (95 % of its width and height each), as a crop may leave; then those of the
            same parts mirrored.
        thumbs: The parts in grey, squeezed to squares: uint8, (6, 16, 16).
    """

    bits: tuple[int, ...]
    thumbs: np.ndarray


def content_hash(content: bytes) -> str:
    """Return a hash of a file's bytes: 32 hexadecimal digits (BLAKE2b)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def photo_hash(image: Image.Image) -> PhotoHash:
    """Hash what an image shows, whatever its size.

    Args:
        image: The image, upright, of mode RGB or L.
    """
    grey, thumbs, hashes = image.convert("L"), [], []
    width, height = grey.size
    for left, top, share in _PARTS:
        box = (left * width, top * height, (left + share) * width, (top + share) * height)
        small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX, box=box), dtype=np.float64)
        hashes.append(_signs(small))
        half = _SIDE // 2
        thumbs.append(small.reshape(half, 2, half, 2).mean(axis=(1, 3)).round().astype(np.uint8))
    upright, mirrored = zip(*hashes, strict=True)
    return PhotoHash(upright + mirrored, np.stack(thumbs))


def _signs(grey: np.ndarray) -> tuple[int, int]:
    """Return the hash of a square of grey, and of its mirror image."""
    transform = _COSINES @ grey @ _COSINES.T
    # Rounded, so that a frequency that is not there is 0 on every machine.
    present = np.round(transform[_LOWEST[:, 0], _LOWEST[:, 1]], 6)
    bits = int(_BITS[present > 0].sum())
    # What a mirror turns and is not 0 is positive in one of the two.
    turned = int(_BITS[present != 0].sum()) & _MIRRORS
    return bits, bits ^ turned


def is_flat(image: Image.Image) -> bool:
    """Tell whether an image is of one colour, but for a level or two of noise, as JPEG leaves."""
    pixels = np.asarray(image.resize((16, 16), Image.Resampling.BOX) if min(image.size) > 64 else image)
    return bool((np.ptp(pixels, axis=(0, 1)) <= 2).all())


def likeness(one: PhotoHash, other: PhotoHash) -> float:
    """Return how alike two photos are: the highest correlation of their thumbs, mirrored or not, in [-1, 1].

    It is 0 where one of them is of one grey.
    """
    return float(_likenesses(one.thumbs[None], other.thumbs[None])[0])


def _likenesses(thumbs: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the likeness of photos, pair by pair, from their thumbs: uint8 (P, 6, 16, 16) to float (P,)."""
    first, second, mirrored = _normal(thumbs), _normal(others), _normal(others[..., ::-1])
    sides = [
        np.einsum("pkd,pd->pk", parts, whole)
        for parts, whole in (
            (second, first[:, 0]),
            (mirrored, first[:, 0]),
            (first, second[:, 0]),
            (first, mirrored[:, 0]),
        )
    ]
    return np.concatenate(sides, axis=1).max(axis=1)


def _normal(thumbs: np.ndarray) -> np.ndarray:
    flat = thumbs.reshape(*thumbs.shape[:2], -1).astype(np.float64)
    flat -= flat.mean(axis=-1, keepdims=True)
    scale = np.linalg.norm(flat, axis=-1, keepdims=True)
    return flat / np.where(scale > 0, scale, 1)


def near_photos(
    hashes: Sequence[PhotoHash], *, max_distance: int = 10, min_likeness: float = 0.9
) -> list[tuple[int, int]]:
    """Find pairs of photos that show the same: encoded again, resized, mirrored or slightly cropped.

    Candidates are pairs whose perceptual hashes are near (`near_duplicates`); their thumbs decide.

    Args:
        hashes: The photos' hashes.
        max_distance: Most bits by which the hashes of a pair may differ, 0 to 15.
        min_likeness: Least correlation of its thumbs (`likeness`).

    Returns:
        Pairs of indices (i, j), i < j, in order.
    """
    bits = np.array([photo.bits for photo in hashes], dtype=np.uint64).reshape(-1, 2 * len(_PARTS))
    found = [
        near_duplicates(bits[:, 0], max_distance, others=None if view == 0 else bits[:, view])
        for view in range(bits.shape[1])
    ]
    candidates = np.unique(np.concatenate(found), axis=0)
    near: list[tuple[int, int]] = []
    for done in range(0, len(candidates), _THUMBS):
        pairs = candidates[done : done + _THUMBS]
        left, right = (np.stack([hashes[index].thumbs for index in side]) for side in pairs.T)
        near += map(tuple, pairs[_likenesses(left, right) >= min_likeness].tolist())
    return near


def near_duplicates(hashes: np.ndarray, max_distance: int, *, others: np.ndarray | None = None) -> np.ndarray:
    """Find the pairs of hashes that differ in few bits, without comparing each with each.

    The bits are cut into bands. Two hashes that are near enough differ in few bits of some band, so each hash
    is looked up under its own bits of every band, and under those with as few turned; only hashes that meet
    are compared (Norouzi et al. 2012, https://arxiv.org/abs/1307.2982). The more hashes, the fewer and wider
    the bands, so that most of what meets is near.

    Args:
        hashes: 64-bit hashes, uint64 (N,).
        max_distance: Most bits that may differ, 0 to 15.
        others: Look for pairs of ``hashes[i]`` and ``others[j]`` (the mirrored, say); uint64 (N,).

    Returns:
        Pairs of indices (i, j), each i < j, in order and each once: int64 (P, 2).

    Raises:
        DataError: The distance is outside its range.
    """
    if not 0 <= max_distance <= MAX_DISTANCE:
        raise DataError(f"max_distance must lie in 0 to {MAX_DISTANCE}, got {max_distance!r}.")
    left = np.asarray(hashes, dtype=np.uint64)
    right = left if others is None else np.asarray(others, dtype=np.uint64)
    # Many equal hashes are as one for the search.
    values, inverse = np.unique(left, return_inverse=True)
    other_values, other_inverse = np.unique(right, return_inverse=True)
    found = [np.zeros((0, 2), dtype=np.int64)]
    for band in _bands(len(values), max_distance):
        found += _near_in(band, values, other_values, max_distance)
    return _pairs(np.unique(np.concatenate(found), axis=0), inverse, other_inverse)


class _Band(NamedTuple):
    """Some of the bits, and in how many of them hashes that meet may differ."""

    shift: int
    width: int
    radius: int

    @property
    def lookups(self) -> int:
        """How many keys each hash is looked up under."""
        return sum(math.comb(self.width, turned) for turned in range(self.radius + 1))

    def cost(self, count: int) -> float:
        """Estimate the time of a search among so many hashes: a table, lookups, comparisons."""
        keys = 2**self.width
        return keys + self.lookups * (_OVERHEAD + count + count * count / keys)

    def keys(self, hashes: np.ndarray) -> np.ndarray:
        return ((hashes >> np.uint64(self.shift)) & np.uint64(2**self.width - 1)).astype(np.intp)

    def turns(self) -> Iterator[int]:
        """Yield every number of the band's width with as few bits as the radius says."""
        for turned in range(self.radius + 1):
            for bits in itertools.combinations(range(self.width), turned):
                yield sum(1 << bit for bit in bits)


def _bands(count: int, max_distance: int) -> list[_Band]:
    """Return the bands that so many hashes are searched by in the least time.

    Hashes that are near differ in at most the radius of some band, since the radii and one for each band
    add up to one more than the distance.
    """

    def cut(number: int) -> list[_Band]:
        edges = [64 * index // number for index in range(number + 1)]
        share, rest = divmod(max_distance + 1, number)
        bands = [
            _Band(start, end - start, share + (index < rest) - 1)
            for index, (start, end) in enumerate(itertools.pairwise(edges))
        ]
        return [band for band in bands if band.radius >= 0]

    return min(map(cut, range(3, 17)), key=lambda bands: sum(band.cost(count) for band in bands))


def _near_in(band: _Band, left: np.ndarray, right: np.ndarray, max_distance: int) -> Iterator[np.ndarray]:
    """Yield pairs of indices of hashes that meet in a band and are near: int64 (P, 2)."""
    keys, other_keys = band.keys(left), band.keys(right)
    order, other_order = np.argsort(keys), np.argsort(other_keys)  # so that what is read lies together
    keys, left, right = keys[order], left[order], right[other_order]
    first_of = np.concatenate([[0], np.cumsum(np.bincount(other_keys, minlength=2**band.width))])
    for turn in band.turns():
        first = first_of[keys ^ turn]
        ends = np.cumsum(first_of[(keys ^ turn) + 1] - first)
        done = 0
        while done < len(keys):
            before = ends[done - 1] if done else 0
            until = max(int(np.searchsorted(ends, before + _CHUNK, "right")), done + 1)
            one, entry = _spread(first[done:until], np.diff(ends[done:until], prepend=before))
            near = np.flatnonzero(np.bitwise_count(left[done + one] ^ right[entry]) <= max_distance)
            yield np.stack([order[done + one[near]], other_order[entry[near]]], axis=1)
            done = until


def _spread(first: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the runs ``first[i], first[i] + 1, …`` of so many numbers each, and which run each is of."""
    ends = np.cumsum(counts)
    run = np.repeat(np.arange(len(counts)), counts)
    return run, np.arange(len(run)) + np.repeat(first - ends + counts, counts)


def _pairs(found: np.ndarray, inverse: np.ndarray, other_inverse: np.ndarray) -> np.ndarray:
    """Turn pairs of different hashes into pairs of photos."""
    order, other_order = np.argsort(inverse, kind="stable"), np.argsort(other_inverse, kind="stable")
    counts, other_counts = np.bincount(inverse), np.bincount(other_inverse)
    first, other_first = np.cumsum(counts) - counts, np.cumsum(other_counts) - other_counts
    one, other = found.T
    # Each photo of one hash, then with each of those each photo of the other.
    pair, member = _spread(first[one], counts[one])
    grid, other_member = _spread(other_first[other[pair]], other_counts[other[pair]])
    pairs = np.stack([order[member[grid]], other_order[other_member]], axis=1)
    return np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)


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
