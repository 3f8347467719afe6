import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from activitynet.errors import DataError
from activitynet.serialization.records import (
    MAX_DEPTH,
    Sha256,
    check_record,
    parse,
    read_bounded,
    read_record,
    to_plain,
)


@dataclasses.dataclass(frozen=True)
class Part:
    name: Annotated[str, Meta(min_length=1)]
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    hashed: Sha256 | None = None

    def __post_init__(self) -> None:
        check_record(self, DataError)


@dataclasses.dataclass(frozen=True)
class Whole:
    parts: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=2)] = (Part("a"),)
    size: tuple[int, int] = (1, 2)
    kind: Literal["crop", "pad"] = "crop"
    more: Mapping[str, Annotated[int, Meta(ge=1)]] = dataclasses.field(default_factory=dict)
    scale: float = 1.0
    inner: Part | None = None
    flag: bool = False
    version: int = 3

    def __post_init__(self) -> None:
        check_record(self, DataError)
        if self.size[0] > self.size[1]:
            raise DataError(f"size must rise, got {self.size}.")


def read(source: object, **options: Any) -> Whole:
    return read_record(source, Whole, what="file 'x'", error=DataError, **options)


def test_what_is_left_out_keeps_its_default_and_what_is_written_is_read_back() -> None:
    assert read("{}") == Whole()
    whole = Whole(parts=[Part("b", 0), Part("c", hashed="0" * 64)], inner=Part("d"), more={"a": 2})  # type: ignore[arg-type]
    assert whole.parts[0].share == 0.0
    assert isinstance(whole.parts, tuple)
    assert read(to_plain(whole)) == whole
    assert to_plain(whole)["parts"][1]["hashed"] == "0" * 64
    assert to_plain(whole)["size"] == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"parts": []}', "field 'parts' must be a list of length 1 to 2, got ()."),
        ('{"parts": [{}]}', "file 'x' lacks its field 'parts[0].name'."),
        ('{"parts": [{"name": "a", "share": 2}]}', "field 'parts[0].share' must be a number from 0 to 1"),
        ('{"parts": [{"name": "a", "shar": 1}]}', "has no field 'parts[0].shar'. Did you mean 'share'?"),
        ('{"parts": ["a"]}', "field 'parts[0]' must be a table of fields, got 'a'."),
        ('{"inner": {"name": "a", "hashed": "0"}}', "field 'inner.hashed' must be 64 hexadecimal digits"),
        ('{"inner": 3}', "field 'inner' must be a table of fields, got 3."),
        ('{"size": [1]}', "field 'size' must be a list of 2, got [1]."),
        ('{"size": [1, true]}', "field 'size[1]' must be a whole number, got True."),
        ('{"size": [2, 1]}', "file 'x': size must rise, got (2, 1)."),
        ('{"kind": "corp"}', "field 'kind' must be one of crop, pad, got 'corp'. Did you mean 'crop'?"),
        ('{"more": {"a": 0}}', "field 'more.a' must be a whole number of at least 1, got 0."),
        ('{"scale": "1"}', "field 'scale' must be a number, got '1'."),
        ('{"scale": NaN}', "file 'x' is not valid JSON: NaN is not a JSON number."),
        ('{"scale": 1e999}', "field 'scale' must be a number, got inf."),
        ('{"flag": 1}', "field 'flag' must be true or false, got 1."),
        ("[]", "file 'x' must be a table of fields, got []."),
        ("", "file 'x' is not valid JSON: Expecting value"),
        ('{"flag": true, "flag": true}', "file 'x' is not valid JSON: field 'flag' occurs twice."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("file 'x'")
    assert "\n" not in str(caught.value)


def test_a_record_made_in_python_is_held_to_the_same_rules() -> None:
    with pytest.raises(DataError, match=r"^Part: field 'share' must be a number from 0 to 1, got 2\.$"):
        Part("a", share=2)
    with pytest.raises(DataError, match=r"^Whole: field 'scale' must be a number, got nan\.$"):
        Whole(scale=math.nan)


def test_another_version_is_refused_before_its_fields() -> None:
    assert read('{"version": 3}', version="version") == Whole()
    for text in ('{"new": 1, "version": 4}', '{"version": true}', "{}"):
        with pytest.raises(DataError, match="field 'version' must be 3; update activitynet to read others"):
            read(text, version="version")


def test_json_of_too_many_levels_is_refused() -> None:
    parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 5_000, 200_000):
        with pytest.raises(ValueError, match="nests too deep"):
            parse("[" * depth + "]" * depth)
        with pytest.raises(ValueError, match="nests too deep"):
            parse('{"a":' * depth + "1" + "}" * depth)


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_bounded(file, 5) == b"12345"
    with pytest.raises(OSError, match="more than the 4 bytes allowed"):
        read_bounded(file, 4)
    with pytest.raises(OSError, match="it is a folder"):
        read_bounded(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "none")


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither pipes nor devices in its folders")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            read_bounded(path)
