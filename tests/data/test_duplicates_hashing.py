from __future__ import annotations

import io
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn

from activitynet.data.duplicates import hamming_pairs, similar_pairs, similarity
from activitynet.data.scan import photo_hash
from activitynet.errors import DataError


def noise(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, quality: int = 60) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    box = (round(left * width), round(top * height), round(right * width), round(bottom * height))
    return image.crop(box)


def test_bits_are_the_signs_of_the_lowest_frequencies() -> None:
    square = noise(0, (32, 32)).convert("L")
    transform = dctn(np.asarray(square, dtype=np.float64), norm="ortho")
    places = [(row, s - row) for s in range(1, 12) for row in range(s + 1)][:64]
    expected = sum(1 << bit for bit, place in enumerate(places) if transform[place] > 0)
    assert photo_hash(square).bits[0] == expected


def test_the_mirrored_hashes_are_those_of_the_mirror_image() -> None:
    image = noise(1, (640, 640))
    mirrored = photo_hash(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert photo_hash(image).bits[6:8] == mirrored.bits[:2]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 60),
    distance=st.integers(0, 15),
    bipartite=st.booleans(),
)
def test_pairs_are_those_of_comparing_each_with_each(
    seed: int, count: int, distance: int, bipartite: bool
) -> None:
    rng = np.random.default_rng(seed)
    bases = rng.integers(0, 2**64, 3, dtype=np.uint64)

    def draw() -> np.ndarray:
        flips = rng.random((count, 64)) < rng.choice([0.0, 0.05, 0.15], (count, 1))
        turned = (flips * (np.uint64(1) << np.arange(64, dtype=np.uint64))).sum(axis=1, dtype=np.uint64)
        return bases[rng.integers(0, 3, count)] ^ turned

    hashes, others = draw(), draw()
    right = others if bipartite else hashes
    expected = {
        (min(i, j), max(i, j))
        for i, j in itertools.product(range(count), repeat=2)
        if i != j and (int(hashes[i]) ^ int(right[j])).bit_count() <= distance
    }
    found = hamming_pairs(hashes, distance, others=others if bipartite else None)
    assert [tuple(pair) for pair in found.tolist()] == sorted(expected)


@pytest.mark.parametrize("count", [10, 3_000, 40_000])
def test_however_many_there_are_none_is_missed(count: int) -> None:
    rng = np.random.default_rng(count)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    originals = rng.integers(0, 2**64, 1_100, dtype=np.uint64)
    copies = originals.copy()
    for index in range(len(copies)):  # of each distance up to the greatest
        turned = rng.choice(64, index % 11, replace=False)
        copies[index] ^= np.uint64(sum(1 << int(bit) for bit in turned))
    found = hamming_pairs(np.concatenate([originals, hashes, copies]), 10)
    pairs = {(int(one), int(other)) for one, other in found}
    assert pairs >= {(index, index + len(originals) + count) for index in range(len(originals))}


def test_many_equal_hashes_are_no_burden() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 2000, dtype=np.uint64)
    hashes[:400] = hashes[0]
    assert len(hamming_pairs(hashes, 10)) == 400 * 399 // 2


@pytest.mark.parametrize("distance", [-1, 16])
def test_a_distance_outside_its_range_is_refused(distance: int) -> None:
    with pytest.raises(DataError, match="max_distance"):
        hamming_pairs(np.zeros(2, dtype=np.uint64), distance)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "encoded again": lambda image: encoded(image, 40),
    "resized": lambda image: image.resize((image.width // 2, image.height * 2 // 3)),
    "mirrored": lambda image: encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "its middle": lambda image: encoded(cut(image, 0.025, 0.025, 0.975, 0.975)),
    "a corner": lambda image: encoded(cut(image, 0.05, 0.05, 1, 1)),
    "its middle, narrower": lambda image: encoded(cut(image, 0.05, 0.05, 0.95, 0.95)),
    "in grey": lambda image: image.convert("L"),
}


def test_planted_copies_are_found_and_nothing_else() -> None:
    pictures = [noise(seed, (256, 192)) for seed in range(20)]
    originals = [photo_hash(picture) for picture in pictures]
    assert similar_pairs(originals) == []
    for name, copy in COPIES.items():
        copies = [photo_hash(copy(picture)) for picture in pictures]
        expected = {(index, index + 20) for index in range(20)}
        found = set(similar_pairs(originals + copies))
        assert found <= expected, name
        assert len(found) >= (14 if name == "its middle, narrower" else 20), name


def test_similarity_of_one_grey_is_zero() -> None:
    grey = photo_hash(Image.new("RGB", (40, 40), "grey"))
    assert similarity(grey, grey) == 0
    assert similarity(photo_hash(noise(0)), photo_hash(noise(0))) == pytest.approx(1)
