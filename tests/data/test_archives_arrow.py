from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitynet.data.archives import member_names, read_member
from activitynet.errors import DataError, ImageError


def write(
    path: Path, contents: list[bytes | None], *, rows: int = 3, large: bool = False, **options: Any
) -> Path:
    """Write photos as `datasets` does: a stream of record batches."""
    kind = pa.struct({"bytes": pa.large_binary() if large else pa.binary(), "path": pa.string()})
    images = pa.array([{"bytes": content, "path": None} for content in contents], kind)
    table = pa.table({"label": list(range(len(contents))), "image": images, "text": ["é"] * len(contents)})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema, **options) as stream:
        stream.write_table(table, max_chunksize=rows)
    return path


def index(path: Path) -> dict[str, bytes]:
    return {name: read_member(path / name) for name in member_names(path)}


@settings(max_examples=50, deadline=None)
@given(
    contents=st.lists(st.none() | st.binary(max_size=300), min_size=1, max_size=10),
    rows=st.integers(1, 5),
    large=st.booleans(),
)
def test_every_photo_is_found_with_its_bytes(
    contents: list[bytes | None], rows: int, large: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("arrow") / "x.arrow", contents, rows=rows, large=large)
    assert index(path) == {
        f"image/{row}": content for row, content in enumerate(contents) if content is not None
    }


def test_a_compressed_file_is_refused(tmp_path: Path) -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pytest.raises(DataError, match=r"x\.arrow': it is compressed"):
        index(write(tmp_path / "x.arrow", [bytes(1000)] * 3, options=options))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.arrow", [b"abc", None])
    assert read_member(path / "image" / "0") == b"abc"
    for name in ("image/1", "image/2", "image/-1", "image/x", "image", "label/0", "other/0", "image/0/0"):
        with pytest.raises(ImageError, match=f"holds no '{name}'"):
            read_member(path / name)


def test_cut_off_between_two_batches_it_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.arrow", [b"abc"] * 4, rows=2)
    whole = path.read_bytes()
    lengths = []
    for length in range(0, len(whole), 8):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="cannot read Arrow file") as caught:
            index(path)
        if "no end mark" in str(caught.value):
            lengths.append(length)
    assert len(lengths) >= 3  # after none, one and two of the batches


@pytest.mark.parametrize("content", [b"", b"no arrow file", bytes(1000)])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.arrow").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read Arrow file .*x\.arrow'"):
        index(tmp_path / "x.arrow")


def test_damaged_bytes_end_in_typed_errors(tmp_path: Path) -> None:
    whole = write(tmp_path / "x.arrow", [b"abc", None, b"x" * 100, b""]).read_bytes()
    drawn = random.Random(0)
    for number in range(700):
        damaged = bytearray(whole)
        for _ in range(drawn.choice((1, 2, 20))):
            damaged[drawn.randrange(len(damaged))] = drawn.choice((0, 1, 127, 255, drawn.randrange(256)))
        (tmp_path / "y.arrow").write_bytes(
            damaged[: drawn.randrange(len(damaged))] if number % 3 == 0 else damaged
        )
        path = tmp_path / f"{number}.arrow"
        (tmp_path / "y.arrow").rename(path)
        message = f"{number}.arrow"
        try:
            photos = index(path)
        except (DataError, ImageError) as error:
            message = str(error)
        else:
            assert all(len(content) <= len(whole) for content in photos.values())
        assert f"{number}.arrow" in message
        assert "\n" not in message
        path.unlink()
