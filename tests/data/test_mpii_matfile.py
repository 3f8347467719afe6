from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from activitynet.data import mpii
from activitynet.data.mpii import read_mat
from activitynet.errors import DataError

WANTED = {"people": {"name": {}, "age": {}, "pets": {"name": {}}}, "cells": {}, "title": {}}


def structs(*rows: dict[str, Any]) -> np.ndarray:
    """A MATLAB struct array, as savemat wants it."""
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for position, row in enumerate(rows):
        for name, value in row.items():
            array[name][0, position] = value
    return array


def example() -> dict[str, Any]:
    nothing = np.zeros((0, 0))
    people = structs(
        {"name": "Ann", "age": 41, "secret": "x" * 999, "pets": structs({"name": "Rex"})},
        {"name": "Zoë €", "age": 2.5, "secret": nothing, "pets": nothing},
        {"name": nothing, "age": np.array([1, 2], dtype=np.uint8), "secret": 3, "pets": "a cat"},
    )
    cells = np.empty((1, 3), dtype=object)
    cells[0] = [1, "two", nothing]
    return {
        "other": np.arange(500.0),
        "DATA": {"people": people, "cells": cells, "title": "t", "more": people},
    }


def element(kind: int, content: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(kind: int, sides: tuple[int, ...], content: bytes, name: bytes = b"", order: str = "<") -> bytes:
    head = element(6, struct.pack(order + "II", kind, 0), order)
    head += element(5, struct.pack(f"{order}{len(sides)}i", *sides), order) + element(1, name, order)
    return element(14, head + content, order)


def mat(*variables: bytes, order: str = "<") -> bytes:
    version = struct.pack(order + "H", 0x0100)
    return (
        b"MATLAB 5.0 MAT-file".ljust(124) + version + (b"IM" if order == "<" else b"MI") + b"".join(variables)
    )


def field_names(*names: bytes) -> bytes:
    return struct.pack("<HHI", 5, 4, 32) + element(1, b"".join(name.ljust(32, b"\0") for name in names))


def saved(path: Path, content: bytes | dict[str, Any], **options: Any) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        savemat(path, content, **options)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_what_is_wanted_comes_back(compressed: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.mat", example(), do_compression=compressed)
    (data,) = read_mat(path, "DATA", WANTED)
    assert list(data) == ["people", "cells", "title"]
    assert data["title"] == "t"
    ann, zoe, third = data["people"]
    assert (ann["name"], zoe["name"], third["name"]) == ("Ann", "Zoë €", None)
    assert [list(person["age"]) for person in data["people"]] == [[41], [2.5], [1, 2]]
    assert (ann["pets"], zoe["pets"], third["pets"]) == ([{"name": "Rex"}], None, "a cat")
    assert "secret" not in ann
    number, text, nothing = data["cells"]
    assert (list(number), text, nothing) == ([1], "two", None)


def test_numbers_come_back_whatever_their_type(tmp_path: Path) -> None:
    kinds = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
    values = {f"v_{kind}": np.array([[1, 2], [3, 100]], dtype=kind) for kind in kinds}
    path = saved(tmp_path / "x.mat", values)
    for name in values:
        assert list(read_mat(path, name, {})) == [1, 3, 2, 100]  # column by column


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    numbers = element(9, struct.pack(">2d", 1.5, -2.0), ">")
    path = saved(tmp_path / "x.mat", mat(matrix(6, (1, 2), numbers, b"x", ">"), order=">"))
    assert list(read_mat(path, "x", {})) == [1.5, -2.0]


@pytest.mark.parametrize(("code", "encoding"), [(16, "utf-8"), (4, "utf-16-le"), (18, "utf-32-le")])
def test_text_is_read_in_every_encoding(code: int, encoding: str, tmp_path: Path) -> None:
    text = element(code, "naïve €".encode(encoding))
    path = saved(tmp_path / "x.mat", mat(matrix(4, (1, 7), text, b"x")))
    assert read_mat(path, "x", {}) == "naïve €"


def test_a_missing_file_or_variable_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.mat': No such file"):
        read_mat(tmp_path / "nowhere.mat", "DATA", WANTED)
    with pytest.raises(DataError, match="holds no variable 'RELEASE'"):
        read_mat(saved(tmp_path / "x.mat", example()), "RELEASE", WANTED)
    with pytest.raises(DataError, match=r"version 7\.3"):
        read_mat(saved(tmp_path / "y.mat", b"MATLAB 7.3 MAT-file".ljust(512)), "DATA", WANTED)
    for content in (b"", b"PK\x03\x04" * 99):
        with pytest.raises(DataError, match="does not begin like a MATLAB file"):
            read_mat(saved(tmp_path / "z.mat", content), "DATA", WANTED)


def test_a_flipped_bit_in_what_is_passed_over_is_noticed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = {"DATA": {"title": "t", "noise": rng.integers(0, 256, 50_000, dtype=np.uint8)}}
    damaged = bytearray(saved(tmp_path / "x.mat", content, do_compression=True).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(DataError, match=r"cannot read .*Copy or download it again"):
        read_mat(saved(tmp_path / "x.mat", bytes(damaged)), "DATA", {"title": {}})


def nested(levels: int) -> bytes:
    """Cells in cells, all claiming to be long."""
    one = struct.pack("<II", 14, 2**31 - 1) + matrix(1, (1, 1), b"")[8:]
    return one * levels


NO_ROOM = 400_000_000
HOSTILE = {
    "a deep nest": mat(matrix(1, (1, 1), nested(100_000), b"DATA")),
    "cells that are not there": mat(matrix(1, (1, NO_ROOM), b"", b"DATA")),
    "structs that are not there": mat(matrix(2, (NO_ROOM, NO_ROOM), field_names(b"people"), b"DATA")),
    "structs without fields": mat(matrix(2, (1, NO_ROOM), struct.pack("<HHI", 5, 4, 32), b"DATA")),
    "many empty cells": mat(
        element(15, zlib.compress(matrix(1, (1, 2**22), struct.pack("<II", 14, 0) * 2**22, b"DATA")))
    ),
    "a long text": mat(element(15, zlib.compress(matrix(4, (1, 1), element(16, b" " * 2**27), b"DATA")))),
    "a value that claims to be long": mat(matrix(6, (1, 1), struct.pack("<II", 9, 2**32 - 8), b"DATA")),
    "more sides than a thing can have": mat(matrix(6, (3,) * 100_000, b"", b"DATA")),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_take_no_room(what: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.mat", HOSTILE[what])
    tracemalloc.start()
    try:
        if what == "structs without fields":
            with pytest.raises(DataError):
                read_mat(path, "DATA", WANTED)
        else:
            with pytest.raises(DataError, match="cannot read"):
                read_mat(path, "DATA", WANTED)
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


def test_a_packed_bomb_is_not_unpacked_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpii, "MAX_UNPACKED", 2**20)
    skipped = field_names(b"title", b"big") + matrix(4, (1, 1), element(16, b"t"))
    skipped += matrix(6, (1, 2**19), element(9, bytes(2**22)))
    path = saved(tmp_path / "x.mat", mat(element(15, zlib.compress(matrix(2, (1, 1), skipped, b"DATA")))))
    with pytest.raises(DataError, match="unpacks to more than 1 MiB"):
        read_mat(path, "DATA", {"title": {}})


def example_bytes(*, compressed: bool) -> bytes:
    target = io.BytesIO()
    savemat(target, example(), do_compression=compressed)
    return target.getvalue()


PLAIN = example_bytes(compressed=False)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), packed=st.booleans(), cut=st.booleans())
def test_damaged_bytes_are_read_or_refused(
    seed: int, packed: bool, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(seed)
    damaged = bytearray(PLAIN[128:])
    for _ in range(rng.choice([1, 2, 8])):
        damaged[rng.randrange(len(damaged))] = rng.choice([0, 1, 255, rng.randrange(256)])
    if cut:
        del damaged[rng.randrange(len(damaged)) :]
    variables = bytes(damaged)
    if packed:  # the damage lies within, where no checksum tells of it
        variables = element(15, zlib.compress(variables))
    path = tmp_path_factory.mktemp("mat") / "x.mat"
    try:
        read_mat(saved(path, PLAIN[:128] + variables), "DATA", WANTED)
    except DataError as error:
        message = str(error)
    else:
        message = "x.mat"
    assert "x.mat" in message
    assert "\n" not in message
