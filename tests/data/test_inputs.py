from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from activitynet.data.inputs import iter_photos
from activitynet.errors import ImageError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def saved(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(path)
    return path


def as_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    return buffer.getvalue()


def names(inputs: Any, **options: bool) -> list[str]:
    return [name for name, _ in iter_photos(inputs, **options)]


def only(inputs: Any) -> Image.Image:
    ((_, load),) = iter_photos(inputs)
    return load()


def refused(inputs: Any, **options: bool) -> str:
    """The message of an input that must be exactly one item, which cannot be opened."""
    ((name, load),) = iter_photos(inputs, **options)
    with pytest.raises(ImageError) as caught:
        load()
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_everything_that_holds_a_photo_gives_that_photo(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    image = Image.fromarray(PIXELS)
    channels_first = torch.from_numpy(PIXELS).permute(2, 0, 1)
    opaque = np.dstack([PIXELS, np.full((6, 8), 255, dtype=np.uint8)])
    sources: list[Any] = [path, str(path), as_bytes(), bytearray(as_bytes()), memoryview(as_bytes()), image]
    sources += [PIXELS, opaque, PIXELS / 255, (PIXELS / 255).astype(np.float32), PIXELS[:, ::-1][:, ::-1]]
    sources += [channels_first, channels_first / 255, (channels_first / 255).requires_grad_()]
    for source in sources:
        found = only(source)
        assert found.mode == "RGB"
        assert np.array_equal(np.asarray(found), PIXELS), type(source)


def test_grey_arrays_and_tensors_are_photos() -> None:
    grey = PIXELS[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    for source in (grey, grey / 255, torch.from_numpy(grey.copy()), torch.from_numpy(grey / 255)):
        assert np.array_equal(np.asarray(only(source)), expected)
    half = torch.full((4, 4), 0.5, dtype=torch.bfloat16)
    assert only(half).getpixel((0, 0)) == (128, 128, 128)


def test_clear_pixels_of_an_array_become_white() -> None:
    assert only(np.zeros((2, 2, 4), dtype=np.uint8)).getpixel((0, 0)) == (255, 255, 255)


@settings(max_examples=50)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([None, 3, 4]), st.booleans())
def test_arrays_of_every_allowed_shape_open(
    height: int, width: int, channels: int | None, floats: bool
) -> None:
    shape = (height, width) if channels is None else (height, width, channels)
    assert only(np.zeros(shape, dtype=np.float64 if floats else np.uint8)).size == (width, height)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (np.zeros((2, 6, 8, 3), dtype=np.uint8), "must have shape"),
        (np.zeros((3, 6, 8), dtype=np.uint8), "must have shape"),
        (np.zeros((8,), dtype=np.uint8), "must have shape"),
        (np.zeros((0, 8, 3), dtype=np.uint8), "no pixels"),
        (np.zeros((6, 8), dtype=np.int64), "uint8 or floating point, not int64"),
        (np.zeros((6, 8), dtype=bool), "uint8 or floating point, not bool"),
        (np.full((6, 8), 2.0), "must lie in"),
        (np.full((6, 8), -0.1), "must lie in"),
        (np.full((6, 8), np.nan), "must lie in"),
        (torch.zeros(6, 8, 3), "must have shape"),
        (torch.zeros(2, 3, 6, 8), "must have shape"),
        (torch.zeros(3, 0, 8), "no pixels"),
        (torch.zeros(3, 6, 8, dtype=torch.int32), "not int32"),
        (torch.full((3, 6, 8), 255.0), "must lie in"),
        (b"", "is empty"),
        (b"not a photo", "not a JPEG"),
        (None, "not a photo"),
        (3, "not a photo"),
        (io.BytesIO(b"a\nb\nc\n"), "not a photo"),
    ],
)
def test_what_is_no_photo_is_an_item_that_says_so(source: Any, reason: str) -> None:
    assert reason in refused(source)


def test_a_folder_gives_its_photos_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "sub/1.png"):
        saved(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.png").touch()
    expected = [str(tmp_path / name) for name in ("2.png", "10.png", "sub/1.png")]
    assert names(tmp_path) == names(str(tmp_path)) == expected


def test_a_pattern_gives_the_files_it_matches(tmp_path: Path) -> None:
    for name in ("b10.png", "b2.png", "sub/c.png"):
        saved(tmp_path / name)
    assert names(f"{tmp_path}/b*.png") == [f"{tmp_path}/b2.png", f"{tmp_path}/b10.png"]
    assert len(names(f"{tmp_path}/**/*.png")) == 3
    assert names(f"{tmp_path}/*") == [f"{tmp_path}/b2.png", f"{tmp_path}/b10.png"]


def test_an_existing_path_is_no_pattern(tmp_path: Path) -> None:
    saved(tmp_path / "a1.png")
    path = saved(tmp_path / "a[1].png")
    assert names(path) == [str(path)]
    assert names(saved(tmp_path / "d[*]" / "x.png").parent) == [str(tmp_path / "d[*]" / "x.png")]


def test_paths_that_lead_nowhere_are_items_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = saved(tmp_path / "good.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    assert "No such file" in refused(tmp_path / "missing.png")
    assert "holds no photos" in refused(tmp_path / "empty")
    assert "no file matches" in refused(f"{tmp_path}/*.bmp")
    assert "No such file" in refused(tmp_path / "gone.png")
    assert "symbolic links" in refused(tmp_path / "loop.png")
    assert "is a folder" in refused("")
    items = list(iter_photos([tmp_path / "missing.png", good]))
    assert items[1][1]().size == (8, 6)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
@pytest.mark.parametrize("name", ["a b.png", "новый\nфайл.png", os.fsdecode(b"\xff.png"), "[a]*?.png"])
def test_names_of_any_kind_are_read(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path / name)
    assert names(path) == [str(path)]
    assert only(str(path)).size == (8, 6)
    assert names(tmp_path) == [str(path)]


def test_nameless_photos_are_called_by_their_position(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    with Image.open(path) as opened:
        mixed = [path, as_bytes(), Image.fromarray(PIXELS), [PIXELS, (torch.zeros(3, 4, 4),)], opened]
        assert names(mixed) == [str(path), "bytes[1]", "image[2]", "array[3]", "tensor[4]", str(path)]
    assert names(Image.fromarray(PIXELS)) == ["image[0]"]


def test_an_endless_stream_is_taken_item_by_item(tmp_path: Path) -> None:
    asked = []

    def endless() -> Iterator[Path]:
        for number in itertools.count():
            asked.append(number)
            yield tmp_path / f"{number}.png"

    first = list(itertools.islice(iter_photos(endless()), 3))
    assert [Path(name).name for name, _ in first] == ["0.png", "1.png", "2.png"]
    assert asked == [0, 1, 2]


def test_urls_are_off_unless_asked_for() -> None:
    assert "Pass allow_urls=True" in refused("https://example.org/a.jpg")
    assert names("HTTP://example.org/a.jpg", allow_urls=True) == ["HTTP://example.org/a.jpg"]


def test_photos_inside_tar_files_are_found_by_file_folder_and_pattern(tmp_path: Path) -> None:
    from test_archives_containers import jpeg, pack

    for name in ("a", "b"):
        pack(tmp_path / f"{name}.tar", {"10.jpg": jpeg(0), "2.jpg": jpeg(1), "2.cls": "0"})
    first = [str(tmp_path / "a.tar" / name) for name in ("2.jpg", "10.jpg")]
    assert [name for name, _ in iter_photos(tmp_path / "a.tar")] == first
    for place in (tmp_path, f"{tmp_path}/*.tar"):
        found = list(iter_photos(place))
        assert [name for name, _ in found][:2] == first
        assert len(found) == 4
        assert found[0][1]().size == (48, 40)
    (tmp_path / "b.tar").write_bytes(b"x" * 1000)
    for place in (tmp_path / "b.tar", tmp_path):
        *_, (_, open_photo) = iter_photos(place)
        with pytest.raises(ImageError, match=r"b\.tar': it is truncated, damaged or no tar file"):
            open_photo()
    (tmp_path / "c.tar.gz").touch()
    ((name, open_photo),) = iter_photos(tmp_path / "c.tar.gz")
    with pytest.raises(ImageError, match="empty file"):
        open_photo()


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = saved(tmp_path / "a.png")
    for source in ("~/a.png", Path("~/a.png"), "~", "~/*.png"):
        assert names(source) == [str(path)]


def test_what_a_folder_holds_beside_photos_is_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved(tmp_path / "a.png").rename(tmp_path / "no extension")
    for number in range(5):
        (tmp_path / f"{number}.txt").touch()
    assert names(tmp_path) == [str(tmp_path / "no extension")]
    assert "'0.txt', '1.txt', '2.txt' and 2 more." in caplog.text
    assert len(caplog.records) == 1
    (tmp_path / "no extension").unlink()
    assert "it holds no photos (left out 5 files or folders" in refused(tmp_path)


def test_what_lies_beside_shards_or_in_them_is_taken_or_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from test_archives_containers import jpeg, pack

    members = {"1.jpg": jpeg(0), "1.cls": "0", "._1.jpg": b"what a system left", "README.md": "about"}
    pack(tmp_path / "a.tar", members)
    saved(tmp_path / "b.png")
    for name in ("c.psd", "classes.txt"):
        (tmp_path / name).touch()
    assert names(tmp_path) == [str(tmp_path / "a.tar" / "1.jpg"), str(tmp_path / "b.png")]
    assert caplog.messages[0].endswith("not photos or classes: 'README.md', 'c.psd'.")


def test_brackets_of_folders_and_files_that_exist_are_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "photos [2024]"
    one, two = saved(folder / "1.png"), saved(folder / "2 [b].png")
    saved(tmp_path / "photos 2" / "3.png")
    assert names(folder) == [str(one), str(two)]
    assert names(str(two)) == [str(two)]
    assert names(f"{folder}/*.png") == [str(one), str(two)]
    assert names(f"{folder}/[12].png") == [str(one)]
    assert names(f"{tmp_path}/photos [2]/*.png") == [str(tmp_path / "photos 2" / "3.png")]
