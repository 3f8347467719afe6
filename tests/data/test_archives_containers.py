from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from activitynet.data.archives import file_of, photos_inside
from activitynet.data.audit import audit, cleaned, write_report
from activitynet.data.cache import PhotoCache
from activitynet.data.decode import decode_image, open_photo, read_photo
from activitynet.data.open import open_data
from activitynet.data.scan import check_photos, difference
from activitynet.data.tables import read_split, write_split
from activitynet.errors import DataError, ImageError


def jpeg(seed: int, size: tuple[int, int] = (48, 40)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(file, "JPEG")
    return file.getvalue()


def pack(path: Path, members: dict[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two shards of photos of two classes, the last of ``val`` a copy of one of ``train``."""
    for split, numbers in (("train", range(6)), ("val", (6, 7, 8, 0))):
        members: dict[str, bytes | str] = {}
        for place, number in enumerate(numbers):
            members |= {f"{place}.jpg": jpeg(number), f"{place}.txt": "ab"[number % 2]}
        pack(tmp_path / "shards" / f"{split}-0.tar", members)
    return tmp_path / "shards"


def test_a_path_goes_on_inside_a_file(shards: Path) -> None:
    path = shards / "train-0.tar" / "3.jpg"
    assert read_photo(path) == jpeg(3)
    assert np.array_equal(np.asarray(decode_image(path)), np.asarray(decode_image(jpeg(3))))
    assert decode_image(str(path), at_least=(5, 5)).size < (48, 40)
    decode_image(path, at_least=(1, 1))
    assert file_of(path) == shards / "train-0.tar"
    assert file_of(shards / "none") == shards / "none"
    assert [path.name for path in photos_inside(shards / "train-0.tar")] == [f"{i}.jpg" for i in range(6)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("train-0.tar/9.jpg", r"train-0\.tar' holds no '9\.jpg'"),
        ("train-0.tar/3.jpg/x", r"holds no '3\.jpg/x'"),
        ("none-0.tar/3.jpg", "No such file"),
        ("photo.jpg/3.jpg", "Not a directory"),
        ("broken.tar/3.jpg", "truncated, damaged or no tar"),
        ("empty.tar/3.jpg", "it is empty"),
        ("text.tar/3.jpg", "it is not a JPEG"),
    ],
)
def test_what_is_not_there_is_named(name: str, reason: str, shards: Path) -> None:
    (shards / "photo.jpg").write_bytes(jpeg(0))
    (shards / "broken.tar").write_bytes(b"x" * 2000)
    pack(shards / "empty.tar", {"3.jpg": b""})
    pack(shards / "text.tar", {"3.jpg": b"no photo"})
    for read in (decode_image, open_photo):
        with pytest.raises(ImageError, match=f"cannot read photo .*{name}.*{reason}"):
            read(shards / name)


def test_a_container_that_was_written_anew_is_read_anew(shards: Path) -> None:
    path = shards / "train-0.tar" / "3.jpg"
    assert read_photo(path) == jpeg(3)
    pack(shards / "train-0.tar", {"new.txt": "x" * 3000, "3.jpg": jpeg(30)})
    assert read_photo(path) == jpeg(30)


def test_the_cache_returns_what_it_would_of_files(shards: Path, tmp_path: Path) -> None:
    cache = PhotoCache(tmp_path / "cache", size=20, max_bytes=10**7)
    os.utime(shards / "train-0.tar", (1, 1))  # long settled
    path, file = shards / "train-0.tar" / "3.jpg", tmp_path / "3.jpg"
    file.write_bytes(jpeg(3))
    for _ in range(2):
        assert np.array_equal(np.asarray(cache.get(path)), np.asarray(cache.get(file)))
    pack(shards / "train-0.tar", {"3.jpg": jpeg(31)})
    assert not np.array_equal(np.asarray(cache.get(path)), np.asarray(cache.get(file)))


def test_changed_photos_are_told_from_those_of_before(shards: Path) -> None:
    before = check_photos(open_data(shards)).fingerprint
    assert len(before) == 10
    assert before[0].endswith(" train-0.tar/0.jpg")
    assert difference(before, check_photos(open_data(shards)).fingerprint) is None
    members: dict[str, bytes | str] = {f"{i}.jpg": jpeg(i + (i == 2) * 50) for i in range(5)}
    pack(shards / "train-0.tar", members | {f"{i}.txt": "ab"[i % 2] for i in range(5)})
    assert (
        difference(before, check_photos(open_data(shards)).fingerprint)
        == "1 photo removed (train-0.tar/5.jpg), 1 changed (train-0.tar/2.jpg)"
    )


def test_an_audit_reads_them_and_its_table_is_a_data_set(shards: Path, tmp_path: Path) -> None:
    data = open_data(shards)
    found = audit(data)
    assert found.counts() == {"exact_duplicate": 1}
    write_report(tmp_path / "report.html", found)
    report = (tmp_path / "report.html").read_text()
    assert report.count("data:image/jpeg;base64,") == 2
    assert "val-0.tar/3.jpg" in report

    table = tmp_path / "clean.csv"
    write_split(table, cleaned(data, found))
    again = open_data(table)
    assert [len(again.train), len(again.val)] == [5, 4]
    check_photos(again)
    write_split(tmp_path / "split.csv", data)
    assert read_split(tmp_path / "split.csv", data) == data


def test_broken_photos_are_listed_before_training(shards: Path) -> None:
    pack(shards / "train-1.tar", {"0.jpg": jpeg(0)[:200], "0.txt": "a", "1.jpg": b"", "1.txt": "b"})
    data = open_data(shards)
    with pytest.raises(DataError, match=r"2 of 12 photos cannot be read(.|\n)*train-1\.tar/0\.jpg"):
        check_photos(data)
