"""MATLAB files like MPII's that are damaged, or lie about themselves."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from activitynet.data.mpii import open_mpii
from fuzzing.mutations import NUMBERS, TEXTS, damaged

_NOTHING = np.zeros((0, 0))
_HEADER = 128


def _structs(*rows: dict[str, Any]) -> np.ndarray:
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for position, row in enumerate(rows):
        for name, value in row.items():
            array[name][0, position] = value
    return array


def release(names: list[Any], categories: list[Any], videos: list[Any], marks: list[Any]) -> bytes:
    """A file with the structs of the published one, not compressed."""
    points = _structs(*({"x": 1.5 * n, "y": 2, "id": n, "is_visible": _NOTHING} for n in range(3)))
    people = {"scale": 2.5, "objpos": {"x": 10, "y": 20}, "annopoints": {"point": points}}
    annotations = [
        {"image": {"name": name}, "annorect": people if n % 2 else _NOTHING, "frame_sec": 1, "vididx": video}
        for n, (name, video) in enumerate(zip(names, videos, strict=True))
    ]
    acts = [{"cat_name": name, "act_name": "yoga, Power", "act_id": 7} for name in categories]
    cells = np.empty((1, 2), dtype=object)
    cells[0] = ["dQw4w9WgXcQ", _structs({"a": 1})]
    data = {
        "annolist": _structs(*annotations),
        "img_train": np.array([marks], dtype=np.float64),
        "version": "12",
        "act": _structs(*acts).T,
        "video_list": cells,
    }
    target = io.BytesIO()
    savemat(target, {"other": np.arange(9.0), "RELEASE": data})
    return target.getvalue()


_NAMES = ["1.jpg", "2.jpg", "3.jpg", "é.jpg"]
_CATEGORIES = ["sports", "inactivity quiet/light", "bicycling", "sports"]


@functools.cache
def _whole() -> bytes:
    return release(_NAMES, _CATEGORIES, [1, 1, _NOTHING, np.nan], [1, 1, 1, 0])


@functools.cache
def _tags(data: bytes) -> list[int]:
    """Where the elements of a file that is not compressed begin, and what looks like one."""
    return [
        place
        for place in range(_HEADER, len(data) - 8, 8)
        if 1 <= int.from_bytes(data[place : place + 2], "little") <= 18
    ]


def _odd(chance: random.Random) -> bytes:
    """A sound file with odd content."""
    names, categories = list(_NAMES), list(_CATEGORIES)
    videos: list[Any] = [1, 1, 2, 2]
    marks: list[Any] = [1, 1, 1, 1]
    for _ in range(chance.choice([1, 2])):
        odd = chance.choice(
            [*TEXTS, _NOTHING, 5, np.arange(4.0), {"name": 1}, np.nan, 1e300, -1, [[1, 2], [3]]]
        )
        try:
            chance.choice([names, categories, videos])[chance.randrange(4)] = odd
            marks[chance.randrange(4)] = chance.choice([0, 1, np.nan, 1e300])
            return release(names, categories, videos, marks)
        except (ValueError, TypeError, UnicodeError):  # what savemat does not write
            continue
    return _whole()


def _changed_tags(chance: random.Random) -> bytes:
    """Change what elements say of their type and size, or the numbers that follow, such as dimensions."""
    changed = bytearray(_whole())
    for _ in range(chance.choice([1, 1, 2, 3])):
        place = chance.choice(_tags(_whole())) + chance.choice([0, 2, 4, 4, 8, 12])
        new = chance.choice([*range(20), *NUMBERS]) % 2**32
        size = chance.choice([2, 4])
        changed[place : place + size] = (new % 256**size).to_bytes(size, "little")
    return bytes(changed)


def _nest(chance: random.Random) -> bytes:
    """Cells in cells, or structs in structs."""
    head = _element(6, struct.pack("<II", chance.choice([1, 2]), 0)) + _element(5, struct.pack("<ii", 1, 1))
    fields = struct.pack("<HHI", 5, 4, 32) + _element(1, chance.choice([b"image", b"act"]).ljust(32, b"\0"))
    level = struct.pack("<II", 14, 2**31 - 1) + head + _element(1, b"")
    deep = (level + (fields if head[8] == 2 else b"")) * chance.choice([5, 15, 17, 500, 20_000])
    top = head + _element(1, b"RELEASE") + (fields if head[8] == 2 else b"") + deep
    return _whole()[:_HEADER] + _element(14, top)


def _element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def _packed(data: bytes, chance: random.Random) -> bytes:
    """Compress what follows the header, as one variable or as many, in truth or with a wrong checksum."""
    body = data[_HEADER:]
    if chance.random() < 0.1:
        body += bytes(chance.choice([2**16, 2**24]))
    packed = zlib.compress(body, 1)
    if chance.random() < 0.1:
        packed = damaged(packed, chance)
    return data[:_HEADER] + _element(15, packed) * chance.choice([1, 1, 1, 2, 50])


def write_mat(chance: random.Random, folder: Path) -> Path:
    """Write a damaged MATLAB file into a folder, and a folder of images beside it."""
    make = chance.choice(
        [_odd, _changed_tags, _changed_tags, _nest, lambda chance: damaged(_whole(), chance)]
    )
    data = make(chance)
    if len(data) > _HEADER and chance.random() < 0.5:
        other = data.find(struct.pack("<I", 14), _HEADER + 8)  # without the variable before
        data = _packed(data[:_HEADER] + data[other:] if chance.random() < 0.5 else data, chance)
    path = folder / "mpii.mat"
    path.write_bytes(data)
    (folder / "images").mkdir(exist_ok=True)
    return path


def read_mpii(path: Path, chance: random.Random) -> None:
    """List its photos."""
    open_mpii(path, val_fraction=chance.choice([0.0, 0.2]))
