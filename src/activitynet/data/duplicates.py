"""Find exact and near-duplicate photos by their hashes."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from activitynet.data.dataset import Photo
from activitynet.data.scan import PhotoHash, ScannedPhoto, scan_photos
from activitynet.errors import DataError

_log = logging.getLogger(__name__)

MAX_DISTANCE = 15
"""Largest Hamming distance that `hamming_pairs` searches for."""

_CHUNK = 2**20  # pairs of hashes compared at once
_THUMBNAILS = 2**10  # pairs of photos whose thumbnails are compared at once
_OVERHEAD = 5_000  # cost of a few numpy calls, in units of one hash looked up


def group_duplicates(photos: Sequence[Photo], *, workers: int = 4) -> tuple[Photo, ...]:
    """Put photos that are exact or near-duplicates of one another into one group.

    Near-duplicates were encoded again, resized, mirrored or slightly cropped. Groups are connected: a photo
    that resembles two others connects them. Every photo is decoded; the log shows the progress.

    Args:
        photos: The photos; groups they already have are replaced.
        workers: Threads that decode, at least 1. The result does not depend on it.

    Returns:
        The photos in their order. Photos without duplicates and unreadable photos have no group.
    """
    _log.info("looking for near-duplicates among %d photos", len(photos))
    scanned = scan_photos(photos, perceptual=True, workers=workers)
    groups = connected_groups(len(photos), [*exact_duplicate_pairs(scanned), *near_duplicate_pairs(scanned)])
    name = {index: f"duplicates-{number}" for number, group in enumerate(groups, start=1) for index in group}
    _log.info("%d photos are near-duplicates of others, in %d groups", len(name), len(groups))
    return tuple(dataclasses.replace(photo, group=name.get(index, "")) for index, photo in enumerate(photos))


def exact_duplicate_pairs(scanned: Sequence[ScannedPhoto]) -> list[tuple[int, int]]:
    """Pair every readable photo with the first one of the same bytes.

    Returns:
        Pairs of indices (i, j), i < j.
    """
    first: dict[str, int] = {}
    return [
        (original, index)
        for index, photo in enumerate(scanned)
        if not photo.error and (original := first.setdefault(photo.content_hash, index)) != index
    ]


def near_duplicate_pairs(scanned: Sequence[ScannedPhoto]) -> list[tuple[int, int]]:
    """Find near-duplicates among photos with perceptual hashes (see `similar_pairs`).

    Of exact duplicates only the first is compared.

    Returns:
        Pairs of indices (i, j), i < j, in order.
    """
    copies = {index for _, index in exact_duplicate_pairs(scanned)}
    compared = [
        (index, photo.hash)
        for index, photo in enumerate(scanned)
        if photo.hash is not None and index not in copies
    ]
    pairs = similar_pairs([hash_ for _, hash_ in compared])
    return [(compared[one][0], compared[other][0]) for one, other in pairs]


def connected_groups(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the connected components of two or more of ``count`` nodes, each in order."""
    groups: dict[int, list[int]] = {}
    for index, number in enumerate(connected_components(count, pairs).tolist()):
        groups.setdefault(number, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def connected_components(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Number the connected components of a graph of ``count`` nodes and these edges: int64 (count,)."""
    from scipy.sparse import coo_array, csgraph  # noqa: PLC0415 - slow to import, seldom needed

    edges = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return csgraph.connected_components(graph, directed=False)[1].astype(np.int64)


def similarity(one: PhotoHash, other: PhotoHash) -> float:
    """Return the highest correlation of two photos' thumbnails, mirrored or not, in [-1, 1].

    The whole of each photo is compared with every part of the other. A photo of one grey has similarity 0.
    """
    return float(_similarities(one.thumbnails[None], other.thumbnails[None])[0])


def _similarities(thumbnails: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the similarity of each pair of photos: uint8 (P, 6, 16, 16) twice to float (P,)."""
    first, second, mirrored = _normal(thumbnails), _normal(others), _normal(others[..., ::-1])
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


def _normal(thumbnails: np.ndarray) -> np.ndarray:
    flat = thumbnails.reshape(*thumbnails.shape[:2], -1).astype(np.float64)
    flat -= flat.mean(axis=-1, keepdims=True)
    scale = np.linalg.norm(flat, axis=-1, keepdims=True)
    return flat / np.where(scale > 0, scale, 1)


def similar_pairs(
    hashes: Sequence[PhotoHash], *, max_distance: int = 10, min_similarity: float = 0.9
) -> list[tuple[int, int]]:
    """Find pairs of photos that show the same: encoded again, resized, mirrored or slightly cropped.

    Candidates have a perceptual hash within ``max_distance`` of each other; their thumbnails decide.

    Args:
        hashes: The photos' hashes.
        max_distance: Largest Hamming distance of the hashes of a pair, 0 to 15.
        min_similarity: Least correlation of its thumbnails (`similarity`).

    Returns:
        Pairs of indices (i, j), i < j, in order.
    """
    if not hashes:
        return []
    bits = np.array([photo.bits for photo in hashes], dtype=np.uint64)
    found = [
        hamming_pairs(bits[:, 0], max_distance, others=None if view == 0 else bits[:, view])
        for view in range(bits.shape[1])
    ]
    candidates = np.unique(np.concatenate(found), axis=0)
    similar: list[tuple[int, int]] = []
    for start in range(0, len(candidates), _THUMBNAILS):
        pairs = candidates[start : start + _THUMBNAILS]
        left, right = (np.stack([hashes[index].thumbnails for index in side]) for side in pairs.T)
        similar += map(tuple, pairs[_similarities(left, right) >= min_similarity].tolist())
    return similar


def hamming_pairs(hashes: np.ndarray, max_distance: int, *, others: np.ndarray | None = None) -> np.ndarray:
    """Find the pairs of hashes within a Hamming distance, without comparing each with each.

    Multi-index hashing (Norouzi et al. 2012, https://arxiv.org/abs/1307.2982): the bits are cut into bands.
    Two near hashes differ in few bits of some band, so each hash is looked up under its own bits of every
    band, and under those with a few bits flipped; only hashes that meet are compared. More hashes are
    searched by fewer and wider bands, so that most of those that meet are near.

    Args:
        hashes: 64-bit hashes, uint64 (N,).
        max_distance: Most bits that may differ, 0 to 15.
        others: Find pairs of ``hashes[i]`` and ``others[j]``, such as those of mirrored photos; uint64 (N,).

    Returns:
        Pairs of indices (i, j), each i < j, in order and each once: int64 (P, 2).

    Raises:
        DataError: The distance is out of range.
    """
    if not 0 <= max_distance <= MAX_DISTANCE:
        raise DataError(f"max_distance must lie in 0 to {MAX_DISTANCE}, got {max_distance!r}.")
    left = np.asarray(hashes, dtype=np.uint64)
    right = left if others is None else np.asarray(others, dtype=np.uint64)
    # Equal hashes are searched for once.
    values, inverse = np.unique(left, return_inverse=True)
    other_values, other_inverse = np.unique(right, return_inverse=True)
    found = [np.zeros((0, 2), dtype=np.int64)]
    for band in _bands(len(values), max_distance):
        found += _pairs_in(band, values, other_values, max_distance)
    return _pairs(np.unique(np.concatenate(found), axis=0), inverse, other_inverse)


class _Band(NamedTuple):
    """A range of bits, and how many of them may differ in hashes that meet."""

    shift: int
    width: int
    radius: int

    @property
    def lookups(self) -> int:
        """Number of keys that each hash is looked up under."""
        return sum(math.comb(self.width, flipped) for flipped in range(self.radius + 1))

    def cost(self, count: int) -> float:
        """Estimate the time of a search among ``count`` hashes: table, lookups, comparisons."""
        keys = 2**self.width
        return keys + self.lookups * (_OVERHEAD + count + count * count / keys)

    def keys(self, hashes: np.ndarray) -> np.ndarray:
        return ((hashes >> np.uint64(self.shift)) & np.uint64(2**self.width - 1)).astype(np.intp)

    def masks(self) -> Iterator[int]:
        """Yield every number of the band's width that has at most ``radius`` bits."""
        for flipped in range(self.radius + 1):
            for bits in itertools.combinations(range(self.width), flipped):
                yield sum(1 << bit for bit in bits)


def _bands(count: int, max_distance: int) -> list[_Band]:
    """Return the bands by which ``count`` hashes are searched fastest.

    The radii, plus one for each band, add up to one more than the distance: so near hashes differ in at most
    the radius of some band.
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


def _pairs_in(band: _Band, left: np.ndarray, right: np.ndarray, max_distance: int) -> Iterator[np.ndarray]:
    """Yield pairs of indices of hashes that meet in a band and are near: int64 (P, 2)."""
    keys, other_keys = band.keys(left), band.keys(right)
    order, other_order = np.argsort(keys), np.argsort(other_keys)  # neighbours are read together
    keys, left, right = keys[order], left[order], right[other_order]
    first_of = np.concatenate([[0], np.cumsum(np.bincount(other_keys, minlength=2**band.width))])
    for mask in band.masks():
        first = first_of[keys ^ mask]
        ends = np.cumsum(first_of[(keys ^ mask) + 1] - first)
        done = 0
        while done < len(keys):
            before = ends[done - 1] if done else 0
            until = max(int(np.searchsorted(ends, before + _CHUNK, "right")), done + 1)
            one, entry = _spread(first[done:until], np.diff(ends[done:until], prepend=before))
            near = np.flatnonzero(np.bitwise_count(left[done + one] ^ right[entry]) <= max_distance)
            yield np.stack([order[done + one[near]], other_order[entry[near]]], axis=1)
            done = until


def _spread(first: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the runs ``first[i], first[i] + 1, …`` of ``counts[i]`` numbers, and each number's run."""
    ends = np.cumsum(counts)
    run = np.repeat(np.arange(len(counts)), counts)
    return run, np.arange(len(run)) + np.repeat(first - ends + counts, counts)


def _pairs(found: np.ndarray, inverse: np.ndarray, other_inverse: np.ndarray) -> np.ndarray:
    """Turn pairs of distinct hashes into pairs of photos."""
    order, other_order = np.argsort(inverse, kind="stable"), np.argsort(other_inverse, kind="stable")
    counts, other_counts = np.bincount(inverse), np.bincount(other_inverse)
    first, other_first = np.cumsum(counts) - counts, np.cumsum(other_counts) - other_counts
    one, other = found.T
    # Combine each photo of one hash with each photo of the other.
    pair, member = _spread(first[one], counts[one])
    grid, other_member = _spread(other_first[other[pair]], other_counts[other[pair]])
    pairs = np.stack([order[member[grid]], other_order[other_member]], axis=1)
    return np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
