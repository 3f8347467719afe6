from __future__ import annotations

import random
import struct
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from activitynet.data import mat_reader
from activitynet.data.dataset import ACTIVITIES
from activitynet.data.mpii import MpiiImage, open_mpii, read_mpii
from activitynet.errors import DataError

NOTHING = np.zeros((0, 0))


def structs(*rows: dict[str, Any]) -> np.ndarray:
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for position, row in enumerate(rows):
        for name, value in row.items():
            array[name][0, position] = value
    return array


def person() -> dict[str, Any]:
    points = structs(*({"x": 1.5 * n, "y": 2, "id": n, "is_visible": NOTHING} for n in range(16)))
    return {"scale": 2.5, "objpos": {"x": 10, "y": 20}, "annopoints": {"point": points}}


def annotation(name: Any, video: Any, people: int = 1) -> dict[str, Any]:
    """An entry of annolist; its people are a list, one struct, or nothing."""
    rect: Any = NOTHING if people == 0 else person() if people == 1 else structs(*[person()] * people)
    seconds = NOTHING if video is NOTHING else 12
    return {"image": {"name": name}, "annorect": rect, "frame_sec": seconds, "vididx": video}


def act(category: Any, activity: Any = "some activity", number: int = 7) -> dict[str, Any]:
    return {"cat_name": category, "act_name": activity, "act_id": number}


UNTOLD = act(NOTHING, NOTHING, -1)


def release(path: Path, annotations: Sequence[Any], acts: Sequence[Any], train: Sequence[int]) -> Path:
    """Write a file with the structs of the published one."""
    videos = np.empty((1, 2), dtype=object)
    videos[0] = ["dQw4w9WgXcQ", "abc"]
    data = {
        "annolist": structs(*annotations),
        "img_train": np.array([train], dtype=np.float64),
        "version": "12",
        "single_person": NOTHING,
        "act": structs(*acts).T,
        "video_list": videos,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"RELEASE": data}, do_compression=True)
    return path


@pytest.fixture
def published(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return release(
        tmp_path / "mpii.mat",
        [
            annotation("1.jpg", 1),
            annotation("2.jpg", 1, people=3),
            annotation("3.jpg", NOTHING, people=0),
            annotation("4.jpg", 2),
            annotation("5.jpg", NOTHING, people=0),
            annotation("6.jpg", np.nan),
        ],
        [
            act("sports", "soccer"),
            act("sports", "soccer"),
            act("inactivity quiet/light", "yoga, Power "),
            UNTOLD,
            UNTOLD,
            act("bicycling", "bicycling, BMX"),
        ],
        [1, 1, 1, 0, 1, 1],
    )


def test_images_are_read_with_their_oddities(published: Path) -> None:
    images = read_mpii(published)
    assert images == [
        MpiiImage("1.jpg", "sports", "soccer", 1, True),
        MpiiImage("2.jpg", "sports", "soccer", 1, True),
        MpiiImage("3.jpg", "inactivity quiet/light", "yoga, Power", None, True),
        MpiiImage("4.jpg", "", "", 2, False),
        MpiiImage("5.jpg", "", "", None, True),
        MpiiImage("6.jpg", "bicycling", "bicycling, BMX", None, True),
    ]


def test_labelled_training_images_become_photos(published: Path) -> None:
    data = open_mpii(published, val_fraction=0)
    assert data.classes == ACTIVITIES
    folder = published.parent / "images"
    assert [(photo.path, data.classes[photo.label], photo.group) for photo in data.train] == [
        (folder / "6.jpg", "bicycling", ""),
        (folder / "3.jpg", "inactivity quiet/light", ""),
        (folder / "1.jpg", "sports", "video-1"),
        (folder / "2.jpg", "sports", "video-1"),
    ]
    assert {photo.source for photo in data.train} == {"MPII Human Pose"}
    assert data.val == data.test == ()


def test_frames_of_a_video_stay_together(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    count = 80
    path = release(
        tmp_path / "mpii.mat",
        [annotation(f"{n}.jpg", n // 4 + 1, people=0) for n in range(count)],
        [act(("sports", "dancing")[n // 4 % 2]) for n in range(count)],
        [1] * count,
    )
    data = open_mpii(path, val_fraction=0.25, seed=3)
    assert len(data.train) + len(data.val) == count
    assert data.val
    assert not {photo.group for photo in data.train} & {photo.group for photo in data.val}
    assert {photo.label for photo in data.val} == {photo.label for photo in data.train}
    assert data == open_mpii(path, val_fraction=0.25, seed=3)


def test_the_images_are_looked_for_where_archives_put_them(tmp_path: Path, published: Path) -> None:
    moved = tmp_path / "mpii_human_pose_v1_u12_2" / "mpii.mat"
    moved.parent.mkdir()
    published.rename(moved)
    assert open_mpii(moved, val_fraction=0).train[0].path == tmp_path / "images" / "6.jpg"
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "images").rename(elsewhere)
    with pytest.raises(DataError, match="no folder 'images' beside"):
        open_mpii(moved)
    assert open_mpii(moved, images=elsewhere, val_fraction=0).train[0].path == elsewhere / "6.jpg"
    with pytest.raises(DataError, match="no folder of images"):
        open_mpii(moved, images=tmp_path / "nowhere")


def test_an_unknown_category_is_named_with_its_image(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    path = release(
        tmp_path / "x.mat", [annotation(f"{n}.jpg", 1) for n in "ab"], [act("sport"), act("dancing")], [1, 1]
    )
    with pytest.raises(
        DataError, match=r"image 1 \('a.jpg'\): label 'sport' is not .* Did you mean 'sports'"
    ):
        open_mpii(path)
    assert open_mpii(path, classes=["dancing", "sport"], val_fraction=0).classes == ("dancing", "sport")


@pytest.mark.parametrize("name", ["../1.jpg", "/etc/passwd", "a\\b.jpg", "", "..", "C:1.jpg"])
def test_a_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    path = release(tmp_path / "x.mat", [annotation(name, 1), annotation("2.jpg", 1)], [UNTOLD] * 2, [1, 1])
    with pytest.raises(DataError, match=r"image 1: .* is not a file name"):
        read_mpii(path)


def test_what_the_file_says_is_shown_in_part(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    long = "x" * 100_000
    wrong_names = [annotation(long + "/", 1), annotation("2.jpg", 1)]
    wrong_category = [annotation(long, 1), annotation("2.jpg", 1)]
    cases = (
        (wrong_names, [UNTOLD] * 2, "is not a file name"),
        (wrong_category, [act(long)] * 2, "is not one of the 20 classes"),
        ([annotation(long, 1)] * 2, [UNTOLD] * 2, "as image 1 and image 2"),
    )
    for images, acts, message in cases:
        path = release(tmp_path / "x.mat", images, acts, [1, 1])
        with pytest.raises(DataError, match=message) as refusal:
            open_mpii(path)
        assert len(str(refusal.value)) < 700


def test_an_image_listed_twice_is_refused(tmp_path: Path) -> None:
    path = release(tmp_path / "x.mat", [annotation("1.jpg", 1)] * 2, [UNTOLD] * 2, [1, 1])
    with pytest.raises(DataError, match=r"'1\.jpg' as image 1 and image 2"):
        read_mpii(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"RELEASE": {"annolist": 1}})
    with pytest.raises(DataError, match=r"has no structs RELEASE\.annolist, img_train and act"):
        read_mpii(path)
    savemat(path, {"other": 1})
    with pytest.raises(DataError, match="no variable 'RELEASE'"):
        read_mpii(path)
    release(path, [annotation("1.jpg", 1)] * 2, [UNTOLD] * 3, [1, 1])
    with pytest.raises(DataError, match="lists 2 images, but 3 activities and 2 marks"):
        read_mpii(path)


def test_numbers_where_structs_are_expected_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    for value in (5, "text", NOTHING, np.arange(4.0)):
        savemat(path, {"RELEASE": {"annolist": value, "img_train": 1, "act": value}})
        with pytest.raises(DataError):
            read_mpii(path)


def test_one_image_alone_is_too_few(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    path = release(tmp_path / "x.mat", [annotation("1.jpg", 1)], [act("sports")], [1])
    assert read_mpii(path) == [MpiiImage("1.jpg", "sports", "some activity", 1, True)]
    with pytest.raises(DataError, match="training photos of one class only, 'sports'"):
        open_mpii(path)


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(kind: int, sides: tuple[int, ...], content: bytes, name: bytes = b"RELEASE") -> bytes:
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(sides)}i", *sides))
    return element(14, head + element(1, name) + content)


def mat(*variables: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + b"".join(variables)


FIELDS = struct.pack("<HHI", 5, 4, 32) + element(1, b"annolist".ljust(32, b"\0"))
NEST = (struct.pack("<II", 14, 2**31 - 1) + matrix(1, (1, 1), b"", b"")[8:]) * 100_000
HUGE = 2**31 - 1
HOSTILE = {
    "no file": b"",
    "another file": b"PK\x03\x04" * 99,
    "a file of HDF5": b"MATLAB 7.3 MAT-file".ljust(512),
    "a deep nest": mat(matrix(1, (1, 1), NEST)),
    "cells that are not there": mat(matrix(1, (1, HUGE), b"")),
    "structs that are not there": mat(matrix(2, (HUGE, 1), FIELDS)),
    "a packed bomb": mat(element(15, zlib.compress(matrix(6, (1, 2**25), element(9, bytes(2**28))), 1))),
    "a value that claims to be long": mat(matrix(6, (1, 1), struct.pack("<II", 9, 2**32 - 8))),
    "more sides than a thing can have": mat(matrix(6, (3,) * 100_000, b"")),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_end_in_one_line(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(DataError, match=r"cannot read .*x\.mat'") as refusal:
        read_mpii(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 700


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("name", ["MAX_MEMORY", "MAX_OUTPUT"])
def test_the_limits_hold(name: str, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read_mpii(published)) == 6
    program = tmp_path / "reader.py"
    code = Path(mat_reader.__file__).read_text()
    (line,) = [line for line in code.splitlines() if line.startswith(f"{name} = ")]
    program.write_text(code.replace(line, f"{name} = {2**26 if name == 'MAX_MEMORY' else 100}"))
    monkeypatch.setattr(mat_reader, "__file__", str(program))
    with pytest.raises(DataError, match=r"cannot read .*mpii\.mat'"):
        read_mpii(published)


def test_a_flipped_bit_in_what_is_not_used_is_noticed(published: Path) -> None:
    damaged = bytearray(published.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    published.write_bytes(damaged)
    with pytest.raises(DataError, match=r"cannot read .*Copy or download it again"):
        read_mpii(published)


@pytest.mark.parametrize("seed", range(10))
def test_damaged_bytes_are_read_or_refused(seed: int, published: Path) -> None:
    chance = random.Random(seed)
    content = bytearray(zlib.decompress(published.read_bytes()[136:]))
    for _ in range(chance.choice([1, 2, 8])):
        content[chance.randrange(len(content))] = chance.choice([0, 1, 255, chance.randrange(256)])
    # The damage lies within what is packed, where no checksum tells of it.
    published.write_bytes(mat(element(15, zlib.compress(bytes(content)))))
    message = "mpii.mat"
    try:
        open_mpii(published)
    except DataError as error:
        message = str(error)
    assert "mpii.mat" in message
    assert "\n" not in message
