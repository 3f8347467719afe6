from __future__ import annotations

import gzip
import io
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitynet.data.archives import index_tar
from activitynet.errors import DataError


def member(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar_of(*members: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def index(content: bytes) -> dict[str, bytes]:
    places = index_tar(io.BytesIO(content), "x.tar")
    return {name: content[offset : offset + size] for name, (offset, size) in places.items()}


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=200)


@settings(max_examples=50, deadline=None)
@given(
    files=st.dictionaries(
        NAMES.filter(lambda name: name not in (".", "..")), st.binary(max_size=2000), max_size=8
    ),
    kind=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_every_member_is_found_with_its_bytes(files: dict[str, bytes], kind: int) -> None:
    packed = tar_of(*(member(f"./a/{name}", content) for name, content in files.items()), kind=kind)
    assert index(packed) == {f"a/{name}": content for name, content in files.items()}


def test_folders_are_passed_over() -> None:
    assert index(tar_of(member("a", b"", type=tarfile.DIRTYPE), member("a/b"))) == {"a/b": b"x"}
    assert index(tar_of()) == {}


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (b"", "empty file"),
        (b"no tar file at all" * 100, "damaged or no tar"),
        (gzip.compress(tar_of(member("a")), mtime=0), "compressed.*gunzip"),
        (tar_of(member("../a")), "leads out"),
        (tar_of(member("/a")), "leads out"),
        (tar_of(member("a/../../b")), "leads out"),
        (tar_of(member("a"), member("./a", b"other")), "twice"),
        (tar_of(member("a", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "link"),
        (tar_of(member("a"), member("b", b"", type=tarfile.LNKTYPE, linkname="a")), "link"),
        (tar_of(member("a")) + tar_of(member("b")), "follows its end mark"),
    ],
    ids=lambda value: value if isinstance(value, str) else "tar",
)
def test_what_cannot_be_trusted_is_refused(packed: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=rf"'x\.tar'.*{reason}"):
        index(packed)


def test_cut_off_anywhere_it_is_refused() -> None:
    packed = tar_of(member("a", b"x" * 700), member("b", b"y" * 700))
    end = 2 * (512 + 1024)
    for length in range(0, end + 1, 64):
        with pytest.raises(DataError):
            index(packed[:length])
    assert index(packed[: end + 512]).keys() == {"a", "b"}  # one block of zeros will do


def test_a_size_that_lies_is_refused() -> None:
    packed = bytearray(tar_of(member("a", b"x" * 5000), member("b")))
    for size in (b"00000001750", b"00000000010", b"77777777777"):
        packed[124:135] = size
        packed[148:156] = b"        "
        packed[148:156] = f"{sum(packed[:512]):06o}\0 ".encode()
        with pytest.raises(DataError, match=r"damaged|was cut off inside|unexpected end"):
            index(bytes(packed))


def test_a_negative_size_does_not_go_round_in_circles() -> None:
    with pytest.raises(DataError):
        index(tar_of(member("a", pax_headers={"size": "-1024"}), member("b")))


def test_headers_upon_headers_are_refused() -> None:
    packed = tar_of(member("a", pax_headers={"comment": "x"}))
    assert index(packed).keys() == {"a"}
    with pytest.raises(DataError, match="recursion"):
        index(packed[:1024] * 5000 + packed[1024:])


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 2**34
    path = tmp_path / "x.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    with path.open("r+b") as file:
        file.truncate(2**34 + 2048)  # sparse
        with pytest.raises(DataError, match="claims"):
            index_tar(file, "x.tar")


def test_damaged_bytes_end_in_typed_errors() -> None:
    packed = tar_of(member("a" * 150, b"x" * 700), member("b", b"y", pax_headers={"comment": "é"}))
    drawn = random.Random(0)
    for _ in range(2000):
        damaged = bytearray(packed)
        for _ in range(drawn.choice((1, 2, 20))):
            damaged[drawn.randrange(len(damaged))] = drawn.choice((0, 32, 45, 48, 255, drawn.randrange(256)))
        try:
            index(bytes(damaged))
        except DataError:
            continue
