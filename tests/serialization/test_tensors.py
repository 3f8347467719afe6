from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activitynet.errors import StorageError, WeightsError
from activitynet.serialization.tensors import read_metadata, read_tensors, save_tensors

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool)


def some_tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = {str(dtype): (torch.rand(3, 4, generator=generator) * 9).to(dtype) for dtype in DTYPES}
    return {**tensors, "scalar": torch.tensor(3), "empty": torch.zeros(0, 5), "имя": torch.ones(1)}


def crafted(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_what_is_written_is_read_bit_by_bit(tmp_path: Path) -> None:
    tensors = some_tensors()
    digest = save_tensors(tmp_path / "a.safetensors", tensors)
    assert digest == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    found = read_tensors(tmp_path / "a.safetensors", sha256=digest)
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_views_and_shared_memory_are_written_apart(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(2, 3, 4)
    views = {"base": base, "same": base, "turned": base.transpose(0, 2), "part": base[:, 1]}
    views["channels_last"] = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    views["learned"] = torch.nn.Parameter(torch.rand(3))
    save_tensors(tmp_path / "a.safetensors", views)
    found = read_tensors(tmp_path / "a.safetensors")
    assert all(torch.equal(found[name], views[name]) for name in views)
    found["same"].zero_()
    assert torch.equal(found["base"], base)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_numbers_that_are_not_finite_are_named(bad: float, dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {"good": torch.ones(2), "bad.weight": torch.tensor([1.0, bad], dtype=dtype)}
    save_tensors(tmp_path / "a.safetensors", tensors)
    with pytest.raises(WeightsError, match=r"'bad\.weight'.*not finite"):
        read_tensors(tmp_path / "a.safetensors")


def test_another_hash_is_refused(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a.safetensors", {"a": torch.ones(1)})
    with pytest.raises(WeightsError, match="SHA-256"):
        read_tensors(tmp_path / "a.safetensors", sha256="0" * 64)


def test_a_file_that_is_not_there_or_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.safetensors': No such file"):
        read_tensors(tmp_path / "gone.safetensors")
    with pytest.raises(WeightsError, match="it is a folder"):
        read_tensors(tmp_path)


HOSTILE = {
    "empty": b"",
    "short": b"\x01\x02",
    "header longer than the file": struct.pack("<Q", 2**60) + b"{}",
    "header of zero bytes": struct.pack("<Q", 0),
    "header that is no JSON": struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc",
    "header that is a list": crafted([1, 2]),
    "unknown type": crafted({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
    "offsets past the end": crafted({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}, bytes(4)),
    "offsets reversed": crafted({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, bytes(4)),
    "offsets that do not fit the shape": crafted(
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)
    ),
    "shape that overflows": crafted(
        {"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]}}, bytes(4)
    ),
    "negative shape": crafted({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4)),
    "overlap": crafted(
        {
            "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        },
        bytes(4),
    ),
    "bytes that belong to no tensor": crafted(
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(9)
    ),
    "a pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "float8 NaN": crafted({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"\x7f\xff"),
    "complex NaN": crafted({"a": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}, b"\xff" * 8),
    "half-byte type": crafted({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"\xff"),
    "scale type": crafted({"a": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}, b"\xff"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(WeightsError, match="hostile"):
        read_tensors(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keep=st.floats(0, 1),
    flips=st.lists(st.tuples(st.integers(0), st.integers(1, 255)), max_size=4),
)
def test_a_damaged_file_never_passes_for_the_whole_one(
    keep: float, flips: list[tuple[int, int]], tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    digest = save_tensors(path, some_tensors())
    whole = path.read_bytes()
    data = bytearray(whole[: round(keep * len(whole))])
    for place, change in flips:
        if data:
            data[place % len(data)] ^= change
    path.write_bytes(data)
    if data == whole:
        assert set(read_tensors(path, sha256=digest)) == set(some_tensors())
        return
    with pytest.raises(WeightsError):
        read_tensors(path, sha256=digest)
    with contextlib.suppress(
        WeightsError
    ):  # without a hash some damage goes unseen, but nothing else is raised
        read_tensors(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"a\.safetensors"):
        save_tensors(tmp_path / "file" / "a.safetensors", {"a": torch.ones(1)})


@pytest.mark.parametrize("name", ["x" * 100_000, "a\nb\u2028\x1b"])
def test_what_a_header_says_is_shown_in_part(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    nan = b"\0\0\xc0\x7f"
    eight_bits = {**entry, "dtype": "F8_E4M3", "shape": [4]}
    for header in ({name: entry}, {name: eight_bits}, {"a": {**entry, "dtype": name}}, {"a": name}):
        path.write_bytes(crafted(header, nan))
        for reader in (read_tensors, read_metadata) if "a" in header else (read_tensors,):
            with pytest.raises(WeightsError, match=r"a\.safetensors") as refusal:
                reader(path)
            assert len(str(refusal.value)) < 500
            assert str(refusal.value).isprintable()


def test_a_git_lfs_pointer_says_what_to_run(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n")
    with pytest.raises(WeightsError, match=r"a\.safetensors' is a Git LFS pointer.*git lfs pull"):
        read_tensors(path, sha256="0" * 64)
