from __future__ import annotations

import logging
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import activitynet.data.cache as cache_module
from activitynet.data.cache import PhotoCache
from activitynet.data.decode import decode_image
from activitynet.data.drawn import draw_picture
from activitynet.errors import DataError, ImageError, StorageError

PLENTY = 10**9
HEADER = 28
ENTRY = HEADER + 16 * 16 * 3
"""Bytes of an entry of 16 x 16 pixels."""


def photo(path: Path, seed: int = 0, size: tuple[int, int] = (32, 32), **options: object) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*.rgb"), key=lambda path: path.stat().st_mtime_ns)


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode == "RGB" and np.array_equal(np.asarray(one), np.asarray(other))


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def refuse(*_: object, **__: object) -> Image.Image:
        raise AssertionError("a photo was decoded that is in the cache")

    return lambda: monkeypatch.setattr(cache_module, "decode_image", refuse)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 60), (40, 24)),
        ((60, 100), (24, 40)),
        ((24, 24), (24, 24)),
        ((20, 90), (20, 90)),  # never enlarged
        ((1000, 25), (960, 24)),
        ((1, 1), (1, 1)),
    ],
)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_photos_are_shrunk_to_their_shorter_side(
    size: tuple[int, int], expected: tuple[int, int], suffix: str, tmp_path: Path
) -> None:
    path = photo(tmp_path / f"a{suffix}", size=size)
    cache = PhotoCache(tmp_path / "cache", size=24, max_bytes=PLENTY)
    made, found = cache.get(path), cache.get(path)
    assert made.size == expected
    assert same(made, found)


def test_a_photo_is_upright_and_is_the_full_one_resized(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    grain = np.random.default_rng(0).normal(0, 6, (300, 400, 3))
    drawn = np.asarray(draw_picture("dancing", 0, split="test", size=400))[50:350] + grain
    Image.fromarray(drawn.clip(0, 255).astype(np.uint8)).save(path, quality=88, exif=exif)
    found = PhotoCache(tmp_path / "cache", size=130, max_bytes=PLENTY).get(path)
    expected = decode_image(path).resize((130, 173), Image.Resampling.BICUBIC)
    assert same(found, expected)


def test_an_entry_serves_other_processes_and_other_paths(
    tmp_path: Path, no_decoding: Callable[[], None]
) -> None:
    path = photo(tmp_path / "a.jpg")
    cache = PhotoCache(tmp_path / "cache", size=16, max_bytes=PLENTY)
    made = cache.get(path)
    no_decoding()
    copy = tmp_path / "b.jpg"
    copy.write_bytes(path.read_bytes())
    pickled = pickle.loads(pickle.dumps(cache))  # noqa: S301 - its own
    others = (cache, pickled, PhotoCache(cache.folder, size=16, max_bytes=PLENTY))
    for other in others:
        for name in (path, str(path), copy):
            assert same(other.get(name), made)
    assert len(entries(cache.folder)) == 1
    with pytest.raises(AssertionError, match="was decoded"):
        PhotoCache(cache.folder, size=15, max_bytes=PLENTY).get(path)


def test_another_pillow_has_other_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = photo(tmp_path / "a.jpg")
    cache = PhotoCache(tmp_path / "cache", size=16, max_bytes=PLENTY)
    cache.get(path)
    monkeypatch.setattr(cache_module, "_FORMAT", "another")
    cache.get(path)
    assert len(entries(cache.folder)) == 2


@pytest.mark.parametrize("age", [0, 3600])
def test_a_photo_that_was_edited_is_a_new_one(age: int, tmp_path: Path) -> None:
    """Even one of the same length whose time was set back."""
    path = photo(tmp_path / "a.png", seed=1, compress_level=0)
    before = path.stat()
    os.utime(path, ns=(before.st_mtime_ns - age * 10**9,) * 2)
    cache = PhotoCache(tmp_path / "cache", size=32, max_bytes=PLENTY)
    for seed in (1, 2, 3, 2):
        when = path.stat().st_mtime_ns
        photo(path, seed=seed, compress_level=0)
        assert path.stat().st_size == before.st_size
        os.utime(path, ns=(when, when))
        assert same(cache.get(path), decode_image(path))
        assert same(cache.get(path), decode_image(path))


def test_a_photo_that_stays_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = photo(tmp_path / "a.jpg")
    cache = PhotoCache(tmp_path / "cache", size=16, max_bytes=PLENTY)
    reads = []
    monkeypatch.setattr(cache_module, "read_photo", lambda path: reads.append(path) or path.read_bytes())
    for _ in range(3):
        cache.get(path)
    assert len(reads) == 3  # too fresh: a change in the same instant would not show
    monkeypatch.setattr(cache_module, "_SETTLED", -(10**12))
    made = [cache.get(path) for _ in range(3)]
    assert len(reads) == 4
    entries(cache.folder)[0].unlink()
    assert same(cache.get(path), made[0])
    assert len(reads) == 5


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:],
    "the first pixel": lambda data: data[:HEADER] + bytes([data[HEADER] ^ 128]) + data[HEADER + 1 :],
    "the last byte": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "the magic": lambda data: b"x" + data[1:],
    "swapped sides": lambda data: data[:16] + data[20:24] + data[16:20] + data[24:],
    "a giant": lambda data: data[:16] + b"\xff" * 8 + data[24:],
    "another size before": lambda data: data[:8] + b"\1" + data[9:],
    "cut short": lambda data: data[:-100],
    "too long": lambda data: data + b"\0",
    "its header only": lambda data: data[:HEADER],
    "half its header": lambda data: data[:10],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_entry_is_made_anew_and_said_once(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [photo(tmp_path / f"{seed}.jpg", seed, (48, 32)) for seed in (1, 2)]
    folder = tmp_path / "cache"
    expected = [PhotoCache(folder, size=16, max_bytes=PLENTY).get(path) for path in paths]
    whole = [entry.read_bytes() for entry in entries(folder)]
    for entry in entries(folder):
        entry.write_bytes(DAMAGE[kind](entry.read_bytes()))
    cache = PhotoCache(folder, size=16, max_bytes=PLENTY)
    for _ in range(2):
        assert all(same(cache.get(path), image) for path, image in zip(paths, expected, strict=True))
    assert [entry.read_bytes() for entry in entries(folder)] == whole
    assert [(record.levelno, "is damaged" in record.message) for record in caplog.records] == [
        (logging.WARNING, True)
    ]


def test_an_entry_that_is_damaged_while_in_use_or_another_s_is_not_trusted(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{seed}.jpg", seed) for seed in (1, 2)]
    cache = PhotoCache(tmp_path / "cache", size=16, max_bytes=PLENTY)
    expected = [cache.get(path) for path in paths for _ in range(2)][::2]
    one, two = entries(cache.folder)
    one.write_bytes(DAMAGE["a flipped bit"](one.read_bytes()))
    assert same(cache.get(paths[0]), expected[0])
    one.write_bytes(two.read_bytes())
    assert same(cache.get(paths[0]), expected[0])


def test_the_bound_holds_and_the_oldest_leave_first(tmp_path: Path) -> None:
    bound = 20 * ENTRY + 5
    folder = tmp_path / "cache"
    folder.mkdir()
    strangers = [folder / "note.txt", folder / "ab" / "note.txt", folder / "abc" / f"{'0' * 32}.rgb"]
    for stranger in strangers:
        stranger.parent.mkdir(exist_ok=True)
        stranger.write_bytes(bytes(50 * ENTRY))
    cache = PhotoCache(folder, size=16, max_bytes=bound)
    made: list[Path] = []
    for seed in range(60):
        cache.get(photo(tmp_path / f"{seed}.png", seed))
        now = entries(folder)
        made += [entry for entry in now if entry not in made]
        assert len(made) == seed + 1
        assert sum(entry.stat().st_size for entry in now) <= bound
        assert len(now) > 16 or seed < 20
        assert set(now) == set(made[-len(now) :])
    assert all(stranger.exists() for stranger in strangers)
    PhotoCache(folder, size=16, max_bytes=5 * ENTRY)
    assert 3 <= len(entries(folder)) <= 5


def test_a_photo_that_is_larger_than_the_cache_is_only_decoded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = photo(tmp_path / "a.png", size=(16, 16))
    cache = PhotoCache(tmp_path / "cache", size=16, max_bytes=ENTRY - 1)
    assert same(cache.get(path), decode_image(path))
    assert entries(cache.folder) == []
    assert "larger than the cache" in caplog.text
    PhotoCache(cache.folder, size=16, max_bytes=ENTRY).get(path)
    assert len(entries(cache.folder)) == 1


def test_bad_photos_are_refused_as_in_decoding_and_not_kept(tmp_path: Path) -> None:
    whole = photo(tmp_path / "whole.jpg", size=(200, 200)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no photo")
    cache = PhotoCache(tmp_path / "cache", size=16, max_bytes=PLENTY)
    for name in ("cut.jpg", "empty.jpg", "text.jpg", "missing.jpg", "cache", "a\0b.jpg", "x" * 300):
        for _ in range(2):
            with pytest.raises(ImageError) as expected:
                decode_image(tmp_path / name)
            with pytest.raises(ImageError) as caught:
                cache.get(tmp_path / name)
            assert str(caught.value) == str(expected.value)
    assert entries(cache.folder) == []


@pytest.mark.parametrize("values", [(0, 1), (-1, 1), (1, 0), (2.0, 1), (1, True), ("8", 1)])
def test_size_and_bound_are_whole_numbers(values: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(size|max_bytes) must be a whole number from 1"):
        PhotoCache(tmp_path, size=values[0], max_bytes=values[1])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=f"cannot use '{folder}' as a cache"):
            PhotoCache(folder, size=16, max_bytes=PLENTY)


def test_photos_are_still_read_when_nothing_can_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [photo(tmp_path / f"{seed}.png", seed) for seed in (1, 2)]
    cache = PhotoCache(tmp_path / "cache", size=32, max_bytes=PLENTY)
    for file in cache.folder.iterdir():
        file.unlink()
    cache.folder.rmdir()
    cache.folder.touch()
    for path in paths:
        assert same(cache.get(path), decode_image(path))
    assert [record.message.startswith("cannot write to cache") for record in caplog.records] == [True]


READER = """
import random, sys
from pathlib import Path
from PIL import Image
from activitynet.data.cache import PhotoCache
from activitynet.data.decode import decode_image

folder, bound, seed, rounds, *paths = sys.argv[1:]
expected = {path: decode_image(path).tobytes() for path in paths}
cache = PhotoCache(folder, size=64, max_bytes=int(bound))
chance = random.Random(seed)
print("reading", flush=True)
for _ in range(int(rounds)):
    path = chance.choice(paths)
    assert cache.get(path).tobytes() == expected[path], path
print("done", flush=True)
"""


def reader(folder: Path, bound: int, seed: int, rounds: int, paths: list[Path]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(folder), str(bound), str(seed), str(rounds), *map(str, paths)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    return process


def test_two_processes_share_a_folder_while_others_are_killed(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{seed}.png", seed, (64, 64)) for seed in range(4)]
    entry_bytes = HEADER + 64 * 64 * 3
    folder, bound, chance = tmp_path / "cache", 2 * entry_bytes, random.Random(0)
    lasting = [reader(folder, bound, seed, 3000, paths) for seed in (1, 2)]
    kills = 0
    while kills < 2 or (kills < 5 and any(process.poll() is None for process in lasting)):
        victim = reader(folder, bound, 100 + kills, 10**9, paths)
        time.sleep(chance.uniform(0, 0.1))
        assert victim.poll() is None
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        kills += 1
    for process in lasting:
        out, err = process.communicate(timeout=240)
        assert (out, process.returncode) == ("done\n", 0)
        assert len(err.splitlines()) <= 1  # said once, if at all
        assert err == "" or "is full" in err
    assert 0 < sum(entry.stat().st_size for entry in entries(folder)) <= bound
    others = {path.name for path in folder.iterdir() if not path.is_dir()}
    assert others <= {"lock", "total", "new.tmp"}
    # All that the killed ones left is whole, and the lock is free.
    cache = PhotoCache(folder, size=64, max_bytes=PLENTY)
    assert all(cache._load(entry.stem) is not None for entry in entries(folder))
    assert all(same(cache.get(path), decode_image(path)) for path in paths)
    assert len(entries(folder)) == 4
    assert int.from_bytes((folder / "total").read_bytes(), "little") == 4 * entry_bytes
