from __future__ import annotations

import contextlib
import functools
import io
import os
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from activitynet.data.decode import MAX_PIXELS, decode_image, read_photo
from activitynet.data.drawn import draw_picture
from activitynet.errors import DataError, ImageError

ENCODINGS: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("GIF", {}),
    ("WEBP", {"lossless": True}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("PPM", {}),
    ("AVIF", {}),
]


def noise(width: int = 60, height: int = 40) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def quadrants() -> Image.Image:
    """An image whose four quarters tell which way up it is."""
    image = Image.new("RGB", (64, 32), "red")
    image.paste("green", (32, 0, 64, 16))
    image.paste("blue", (0, 16, 32, 32))
    image.paste("white", (32, 16, 64, 32))
    return image


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png(
    width: int, height: int, *, depth: int = 8, color: int = 0, rows: bytes = b"", extra: bytes = b""
) -> bytes:
    """A PNG built by hand, with right checksums, of sizes and depths that Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png16(values: np.ndarray, color: int) -> bytes:
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values.reshape(height, -1))
    return png(width, height, depth=16, color=color, rows=rows)


@pytest.mark.parametrize(("image_format", "options"), ENCODINGS)
def test_every_format_is_read_as_pillow_reads_it(image_format: str, options: dict[str, Any]) -> None:
    data = encoded(noise(), image_format, **options)
    expected = Image.open(io.BytesIO(data)).convert("RGB")
    found = decode_image(data)
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_a_path_its_bytes_and_an_open_image_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a photo.png"
    noise().save(path)
    for source in (path, str(path), path.read_bytes(), Image.open(path)):
        assert np.array_equal(np.asarray(decode_image(source)), np.asarray(noise()))


def test_an_image_that_was_given_open_stays_as_it_was() -> None:
    image = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    decode_image(image)
    assert image.mode == "RGBA"
    assert image.getpixel((0, 0)) == (10, 20, 30, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_set_upright(orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quadrants().transpose(undo[orientation]) if orientation > 1 else quadrants()
    exif = Image.Exif()
    exif[0x0112] = orientation
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF"):
        found = decode_image(encoded(stored, image_format, exif=exif))
        again = decode_image(found)  # which is upright already
        assert np.array_equal(np.asarray(again), np.asarray(found))
        assert found.size == (64, 32)
        difference = np.abs(np.asarray(found, dtype=int) - np.asarray(quadrants(), dtype=int))
        assert np.median(difference) <= 3, image_format


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0"])
def test_damaged_exif_does_not_make_a_photo_bad(exif: bytes) -> None:
    assert decode_image(encoded(quadrants(), "JPEG", exif=exif)).size == (64, 32)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I", "F", "I;16", "CMYK", "YCbCr", "HSV"]
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    black_or_clear = decode_image(Image.new(mode, (5, 7)))
    assert black_or_clear.mode == "RGB"
    assert black_or_clear.size == (5, 7)


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_what_is_clear_becomes_white(mode: str) -> None:
    assert decode_image(Image.new(mode, (3, 3))).getpixel((1, 1)) == (255, 255, 255)


def test_half_transparent_red_is_half_way_to_white() -> None:
    data = encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), "PNG")
    assert decode_image(data).getpixel((0, 0)) == (255, 127, 127)


def test_palettes_with_transparency_become_white_where_clear() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    for transparency in (0, bytes([0, 255])):
        found = decode_image(encoded(image, "PNG", transparency=transparency))
        assert [found.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 255)]


def test_a_cmyk_jpeg_has_its_colours() -> None:
    data = encoded(Image.new("RGB", (32, 32), (200, 30, 60)).convert("CMYK"), "JPEG", quality=95)
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    found = decode_image(data).getpixel((8, 8))
    assert np.abs(np.subtract(found, (200, 30, 60))).max() <= 3


@pytest.mark.parametrize(("color", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_are_scaled_to_8(color: int, channels: int) -> None:
    eight = np.random.default_rng(1).integers(0, 256, (9, 7, channels))
    if channels in (2, 4):
        eight[..., -1] = 255  # opaque
    found = np.asarray(decode_image(png16(eight * 257, color)))
    expected = eight[..., :3] if channels > 2 else np.repeat(eight[..., :1], 3, axis=2)
    assert np.array_equal(found, expected)


def test_grey_of_many_bits_is_scaled_in_every_container() -> None:
    grey = np.random.default_rng(2).integers(0, 256, (8, 6), dtype=np.uint8)
    grey[0, :2] = 0, 255
    sixteen = grey.astype(np.uint16) * 257
    sources = {
        "16-bit TIFF": encoded(Image.fromarray(sixteen), "TIFF"),
        "16-bit PGM": b"P5 6 8 65535\n" + sixteen.astype(">u2").tobytes(),
        "32-bit TIFF": encoded(Image.fromarray(sixteen.astype(np.int32)), "TIFF"),
        "float TIFF": encoded(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"),
        "float image up to 255": Image.fromarray(grey.astype(np.float32)),
    }
    for name, source in sources.items():
        assert np.array_equal(np.asarray(decode_image(source))[..., 0], grey), name


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "TIFF", "MPO", "AVIF"])
def test_the_first_frame_of_several_is_taken(image_format: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue")]
    data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:])
    assert np.abs(np.subtract(decode_image(data).getpixel((8, 8)), (255, 0, 0))).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_one_pixel_wide_images_are_read(size: tuple[int, int]) -> None:
    assert decode_image(encoded(Image.new("RGB", size), "PNG")).size == size


@pytest.mark.parametrize("others_are_lax", [False, True])
@pytest.mark.parametrize(("image_format", "options"), ENCODINGS)
def test_a_file_cut_short_is_refused(
    image_format: str, options: dict[str, Any], others_are_lax: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", others_are_lax)
    data = encoded(noise(), image_format, **options)
    for share in (0.0, 0.01, 0.1, 0.5, 0.9):
        with pytest.raises(ImageError, match="'cut'"):
            decode_image(data[: int(share * len(data))], name="cut")


def test_decoding_at_an_eighth_refuses_what_decoding_in_full_refuses(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    noise(400, 300).save(whole, quality=95)
    decode_image(whole, at_least=(1, 1))
    half = tmp_path / "half.jpg"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    for check in (functools.partial(decode_image, at_least=(1, 1)), decode_image):
        with pytest.raises(ImageError, match=r"half\.jpg.*truncated"):
            check(half)


@pytest.mark.parametrize(
    ("at_least", "expected"),
    [
        ((1, 1), (25, 38)),
        ((25, 37), (25, 38)),
        ((26, 37), (50, 75)),
        ((25, 38), (50, 75)),
        ((50, 75), (50, 75)),
        ((51, 1), (100, 150)),
        ((1, 76), (100, 150)),
        ((101, 150), (200, 300)),
        ((1000, 1000), (200, 300)),
    ],
)
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_a_jpeg_is_reduced_as_long_as_both_upright_sides_suffice(
    at_least: tuple[int, int], expected: tuple[int, int], orientation: int
) -> None:
    upright = noise(300, 200)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(Image.Transpose.ROTATE_90) if orientation > 4 else upright
    for image_format in ("JPEG", "MPO"):
        found = decode_image(encoded(stored, image_format, exif=exif), at_least=at_least)
        assert (found.height, found.width) == expected


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 60}])
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_reduced_jpeg_looks_like_a_resized_one(reduction: int, options: dict[str, Any]) -> None:
    """To a tolerance: in levels of 256, 2 on average and 32 at an edge."""
    grain = np.random.default_rng(0).normal(0, 6, (384, 384, 3))
    drawn = np.asarray(draw_picture("dancing", 0, split="test", size=384)) + grain
    picture = Image.fromarray(drawn.clip(0, 255).astype(np.uint8))
    data = encoded(picture, "JPEG", **{"quality": 88, **options})
    side = 330 // reduction
    full, reduced = decode_image(data), decode_image(data, at_least=(side, side))
    assert reduced.size == (384 // reduction, 384 // reduction)
    expected, found = (
        np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), dtype=int)
        for image in (full, reduced)
    )
    assert np.abs(found - expected).mean() < 2
    assert np.abs(found - expected).max() <= 32


def test_only_encoded_jpegs_are_reduced(tmp_path: Path) -> None:
    whole = encoded(noise(), "JPEG")
    assert np.array_equal(decode_image(whole, at_least=(40, 60)), decode_image(whole))
    for image_format in ("PNG", "WEBP", "TIFF"):
        data = encoded(noise(), image_format)
        assert np.array_equal(decode_image(data, at_least=(1, 1)), decode_image(data)), image_format
    opened = Image.open(io.BytesIO(whole))
    assert decode_image(opened, at_least=(1, 1)).size == opened.size == (60, 40)


def test_a_jpeg_that_is_reduced_is_bounded_by_its_full_size(tmp_path: Path) -> None:
    data = encoded(noise(60, 40), "JPEG")
    assert decode_image(data, at_least=(1, 1), max_pixels=2400).size == (8, 5)
    with pytest.raises(ImageError, match="60 x 40 pixels"):
        decode_image(data, at_least=(1, 1), max_pixels=2399)
    # The header alone says so, whatever comes after.
    start = data.index(b"\xff\xc0") + 5
    giant = tmp_path / "giant.jpg"
    giant.write_bytes(data[:start] + struct.pack(">HH", 30_000, 30_000) + data[start + 4 :])
    for check in (functools.partial(decode_image, at_least=(1, 1)), decode_image):
        with pytest.raises(ImageError, match="30000 x 30000 pixels"):
            check(giant)


@pytest.mark.parametrize("at_least", [(0, 5), (5, -1), (5,), (1.5, 2), ("1", "2")])
def test_a_least_size_is_two_whole_numbers(at_least: Any) -> None:
    with pytest.raises(DataError, match="at_least must be two whole numbers"):
        decode_image(noise(), at_least=at_least)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_reduced_jpeg_that_is_cut_short_is_refused(share: float) -> None:
    data = encoded(noise(400, 300), "JPEG", quality=95)
    with pytest.raises(ImageError, match="truncated"):
        decode_image(data[: int(share * len(data))], at_least=(1, 1))


def test_a_file_is_read_as_it_is_or_refused_as_in_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"anything")
    assert read_photo(path) == b"anything"
    for bad in (tmp_path, tmp_path / "missing.jpg", tmp_path / "a\0b.jpg"):
        with pytest.raises(ImageError) as reading:
            read_photo(bad)
        with pytest.raises(ImageError) as decoding:
            decode_image(bad)
        assert str(reading.value) == str(decoding.value)


def test_bad_files_are_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello, this is not a photo at all")
    (tmp_path / "page.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    (tmp_path / "folder.jpg").mkdir()
    cases = {
        "empty.jpg": "is empty",
        "text.jpg": "not a JPEG",
        "page.eps": "not a JPEG",
        "folder.jpg": "is a folder",
        "missing.jpg": "No such file",
        "text.jpg/below.jpg": "Not a directory",
        "a\nb.jpg": "No such file",
        "x" * 300: "File name too long",
    }
    for name, reason in cases.items():
        with pytest.raises(ImageError) as caught:
            decode_image(tmp_path / name)
        message = str(caught.value)
        assert repr(str(tmp_path / name)) in message
        assert reason in message
        assert "\n" not in message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        decode_image(tmp_path / "pipe.jpg")


@pytest.mark.skipif(os.name != "posix", reason="users are changed as POSIX does it")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    noise().save(path)
    path.chmod(0)
    # Root may read anything, so a child process gives its rights up.
    script = f"""
import os
from activitynet.data.decode import decode_image
from activitynet.errors import ImageError
file = os.open({str(tmp_path)!r}, os.O_RDONLY)
os.fchdir(file)
if os.getuid() == 0:
    os.setuid(65534)
try:
    decode_image("secret.jpg")
except ImageError as error:
    print(error)
"""
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "cannot read photo 'secret.jpg': Permission denied" in done.stdout


def test_a_giant_is_refused_by_its_header_with_its_size() -> None:
    with pytest.raises(ImageError, match="'giant': it has 30000 x 30000 pixels"):
        decode_image(png(30_000, 30_000, depth=1, rows=bytes(3751 * 30_000)), name="giant")


def test_the_bound_on_pixels_is_exact() -> None:
    image = encoded(noise(20, 10), "PNG")
    assert decode_image(image, max_pixels=200).size == (20, 10)
    for source in (image, noise(20, 10)):
        with pytest.raises(ImageError, match="20 x 10 pixels"):
            decode_image(source, max_pixels=199)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_large_photos_are_read_without_pillow_warning_of_bombs(image_format: str) -> None:
    data = encoded(Image.new("1", (9500, 9500)), image_format)
    assert MAX_PIXELS // 2 == Image.MAX_IMAGE_PIXELS < 9500**2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert decode_image(data).size == (9500, 9500)
    assert caught == []
    assert MAX_PIXELS // 2 == Image.MAX_IMAGE_PIXELS


def test_a_gif_frame_larger_than_its_screen_is_refused_without_a_warning() -> None:
    data = bytearray(encoded(noise(8, 8).quantize(4), "GIF"))
    frame = data.index(b",\0\0\0\0") + 5
    data[frame : frame + 4] = struct.pack("<HH", 12_000, 10_000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ImageError, match="12000 x 10000 pixels"):
            decode_image(bytes(data), max_pixels=10**6)
    assert caught == []


def test_a_chunk_that_claims_to_be_long_gets_no_room(tmp_path: Path) -> None:
    path = tmp_path / "long.png"
    data = bytearray(encoded(noise(), "PNG"))
    start = data.index(b"IDAT") - 4
    data[start : start + 4] = struct.pack(">I", 2**31 - 1)
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with contextlib.suppress(ImageError):
            decode_image(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_damaged_metadata_makes_no_warning_whatever_the_filters_were_before() -> None:
    script = """
import io
from PIL import Image
from activitynet.data.decode import decode_image
buffer = io.BytesIO()
exif = b"Exif\\0\\0II*\\0\\x08\\0\\0\\0\\xff\\xff"
Image.new("RGB", (64, 32)).save(buffer, "JPEG", exif=exif)
print(decode_image(buffer.getvalue()).size)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "(64, 32)\n"
    assert done.stderr == ""


@pytest.mark.filterwarnings("ignore:::PIL")
@settings(max_examples=300, deadline=None)
@given(
    choice=st.sampled_from(ENCODINGS),
    changes=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=8),
    at_least=st.sampled_from([None, (1, 1), (8, 12)]),
)
def test_damaged_bytes_give_an_image_or_an_image_error(
    choice: tuple[str, dict[str, Any]], changes: list[tuple[int, int]], at_least: tuple[int, int] | None
) -> None:
    data = bytearray(encoded(noise(24, 16), choice[0], **choice[1]))
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(ImageError):
        image = decode_image(bytes(data), at_least=at_least, max_pixels=10**6)
        assert image.mode == "RGB"
        assert image.width * image.height <= 10**6


@settings(max_examples=100, deadline=None)
@given(
    start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"P6 "]),
    rest=st.binary(max_size=60),
)
def test_random_bytes_give_an_image_or_an_image_error(start: bytes, rest: bytes) -> None:
    with contextlib.suppress(ImageError):
        assert decode_image(start + rest, max_pixels=10**6).mode == "RGB"


def test_jpeg_2000_is_read_and_refused_where_it_is_cut_off() -> None:
    picture = Image.radial_gradient("L").resize((64, 48)).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "JPEG2000")
    assert np.array_equal(np.asarray(decode_image(file.getvalue())), np.asarray(picture))  # it is lossless
    with pytest.raises(ImageError, match="cannot read photo"):
        decode_image(file.getvalue()[: len(file.getvalue()) // 2])


def test_heic_is_read_or_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "no extension"
    picture = Image.new("RGB", (64, 48), (200, 30, 30))
    pillow_heif.from_pillow(picture).save(path, quality=90)
    image = decode_image(path)
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert np.abs(np.asarray(image).astype(int) - [200, 30, 30]).max() < 12
    monkeypatch.delitem(Image.OPEN, "HEIF")
    monkeypatch.setattr("activitynet.data.decode.can_read_heif", lambda: False)
    with pytest.raises(ImageError, match=r"it is a HEIC photo\. .*activitynet\[heif\]"):
        decode_image(path)
