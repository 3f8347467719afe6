"""Every mode and format that Pillow writes, and TIFFs that it does not, read back against a reference."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from activitynet.data.decode import decode_image
from activitynet.errors import ImageError

SHARES = np.linspace(0, 1, 96).reshape(8, 12)
"""The picture: a ramp from black to white, as shares of white."""

GREY = SHARES * 255
EIGHT = Image.fromarray(GREY.round().astype(np.uint8))


def lab() -> Image.Image:
    profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    return ImageCms.profileToProfile(EIGHT.convert("RGB"), *profiles, outputMode="LAB")


def grey_palette(mode: str) -> Image.Image:
    image = Image.frombytes("P", EIGHT.size, EIGHT.tobytes())
    image.putpalette([value for value in range(256) for _ in range(3)])
    return image.convert(mode)


def sixteen(mode: str) -> Image.Image:
    kind = ">u2" if mode == "I;16B" else "<u2"
    return Image.frombytes(mode, EIGHT.size, (SHARES * 65535).round().astype(kind).tobytes())


MODES: dict[str, Callable[[], Image.Image]] = {
    "L": lambda: EIGHT,
    "LA": lambda: EIGHT.convert("LA"),
    "La": lambda: EIGHT.convert("LA").convert("La"),
    "P": lambda: grey_palette("P"),
    "PA": lambda: grey_palette("PA"),
    "RGB": lambda: EIGHT.convert("RGB"),
    "RGBX": lambda: EIGHT.convert("RGB").convert("RGBX"),
    "RGBA": lambda: EIGHT.convert("RGBA"),
    "RGBa": lambda: EIGHT.convert("RGBA").convert("RGBa"),
    "CMYK": lambda: EIGHT.convert("RGB").convert("CMYK"),
    "YCbCr": lambda: EIGHT.convert("RGB").convert("YCbCr"),
    "LAB": lab,
    "HSV": lambda: EIGHT.convert("RGB").convert("HSV"),
    "I": lambda: Image.fromarray((SHARES * 65535).round().astype(np.int32)),
    "F": lambda: Image.fromarray(SHARES.astype(np.float32)),
    "I;16": lambda: sixteen("I;16"),
    "I;16L": lambda: sixteen("I;16L"),
    "I;16B": lambda: sixteen("I;16B"),
}
# Largest difference: of rounding, or of a lossy format.
FORMATS = {"PNG": 1, "TIFF": 1, "GIF": 1, "BMP": 1, "PPM": 1, "WEBP": 9, "JPEG": 9, "AVIF": 9}
DEEP = {"I", "F", "I;16", "I;16L", "I;16B"}  # which Pillow clips when it writes them to what has 8 bits
ACCURACY = {"YCbCr": 2, "LAB": 3, "GIF": 8}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_read_back_from_every_format(mode: str) -> None:
    image = MODES[mode]()
    assert image.mode == mode
    assert_is_ramp(image, ACCURACY.get(mode, 1))
    for name, accuracy in FORMATS.items():
        file = io.BytesIO()
        try:
            image.save(file, name, **({"quality": 95} if accuracy > 1 else {}))
        except (OSError, ValueError):  # a format that has no such mode
            continue
        if mode not in DEEP or name in ("PNG", "TIFF", "PPM"):
            assert_is_ramp(file.getvalue(), max(accuracy, ACCURACY.get(mode, 1), ACCURACY.get(name, 1)))


def assert_is_ramp(source: Image.Image | bytes, accuracy: float = 1) -> None:
    found = np.asarray(decode_image(source)).astype(float)
    assert found.shape == (8, 12, 3)
    assert np.abs(found - GREY[..., None]).max() <= accuracy


def tiff(order: str, photometry: int, kind: str, values: np.ndarray, bits: int = 0) -> bytes:
    """Write a grey TIFF of one strip."""
    content = values.astype(np.dtype(kind).newbyteorder(order)).tobytes() if not bits else values.tobytes()
    sample_format = {"u": 1, "i": 2, "f": 3}[kind[0]]
    tags = [
        (256, 4, values.shape[1] if not bits else 12),
        (257, 4, 8),
        (258, 3, bits or 8 * np.dtype(kind).itemsize),
        (259, 3, 1),
        (262, 3, photometry),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, 8),
        (279, 4, len(content)),
        (339, 3, sample_format),
    ]
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, 1)
        + struct.pack(f"{order}H2x" if kind == 3 else f"{order}I", value)
        for tag, kind, value in tags
    )
    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(content))
    return header + content + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "u4", "i4", "f4"])
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_grey_tiff_of_any_kind_has_its_pixels_or_is_refused(
    order: str, white_is_zero: bool, kind: str
) -> None:
    greatest = {"u1": 255, "u2": 65535, "i2": 32767, "u4": 2**32 - 1, "i4": 2**31 - 1, "f4": 1}[kind]
    values = (1 - SHARES if white_is_zero else SHARES) * greatest
    data = tiff(order, 0 if white_is_zero else 1, kind, values if kind == "f4" else values.round())
    if (order, kind) != (">", "u4"):
        assert_is_ramp(data)
    else:  # Pillow does not know it
        with pytest.raises(ImageError, match="'odd': it is not a JPEG"):
            decode_image(data, name="odd")


def test_a_cut_white_is_zero_tiff_is_refused() -> None:
    data = tiff(">", 0, "u2", (1 - SHARES) * 65535)
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(ImageError, match="'cut'"):
            decode_image(data[: int(share * len(data))], name="cut")


def test_12_bits_are_scaled_to_8() -> None:
    pairs = (SHARES * 4095).round().astype(int).reshape(-1, 2)
    first, second = pairs.T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8)
    assert_is_ramp(tiff("<", 1, "u2", packed, bits=12))


def test_floats_that_are_not_finite_do_not_darken_the_rest() -> None:
    values = SHARES.astype(np.float32)
    values[0, 1], values[0, 2], values[0, 3] = np.inf, -np.inf, np.nan
    found = np.asarray(decode_image(Image.fromarray(values)))[..., 0]
    assert found[0, 1:4].tolist() == [255, 0, 0]
    assert np.abs(found[1:] - GREY[1:]).max() <= 1


def bmp32(alpha: int) -> bytes:
    """Write a BMP of version 4 with an alpha mask, as image editors do."""
    pixels = np.zeros((8, 12, 4), np.uint8)
    pixels[..., :3] = np.asarray(EIGHT)[::-1, :, None]
    pixels[..., 3] = alpha
    masks = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)
    info = struct.pack("<IiiHHIIiiII", 108, 12, 8, 1, 32, 3, pixels.size, 0, 0, 0, 0)
    info += struct.pack("<IIII", *masks) + b"BGRs" + bytes(48)
    return (
        b"BM"
        + struct.pack("<IHHI", 14 + len(info) + pixels.size, 0, 0, 14 + len(info))
        + info
        + pixels.tobytes()
    )


def test_a_bmp_whose_alpha_is_zero_throughout_is_not_transparent() -> None:
    assert_is_ramp(bmp32(0))
    assert_is_ramp(bmp32(255))
    half = np.asarray(decode_image(bmp32(128)))[..., 0]
    assert np.abs(half - (GREY + 255) / 2).max() <= 2


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


LARGE = zlib.compress(bytes(3 * 2**20))
METADATA = {
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + LARGE),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + LARGE),
    "iCCP": chunk(b"iCCP", b"profile\0\0" + LARGE),
    "many texts": 30 * chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 10**6)) * 3,
}


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize("kind", METADATA)
def test_a_png_is_read_without_metadata_that_are_too_large(kind: str, at_the_end: bool) -> None:
    file = io.BytesIO()
    EIGHT.save(file, "PNG")
    whole = file.getvalue()
    place = len(whole) - 12 if at_the_end else 33  # before IEND, or after IHDR
    data = whole[:place] + METADATA[kind] + whole[place:]
    assert_is_ramp(data)
    damaged = bytearray(data)
    damaged[whole.index(b"IDAT") + 10 + (0 if at_the_end else len(METADATA[kind]))] ^= 255
    with pytest.raises(ImageError, match="damaged"):
        decode_image(bytes(damaged))


@pytest.mark.parametrize("loaded", [False, True])
def test_an_image_whose_file_is_closed_says_so(loaded: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    EIGHT.save(path)
    with Image.open(path) as image:
        if loaded:
            image.load()
    if loaded:
        assert_is_ramp(image)
    else:
        with pytest.raises(ImageError, match=r"its file is closed\. Call load\(\)"):
            decode_image(image)


def test_a_git_lfs_pointer_says_what_to_run(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n")
    with pytest.raises(ImageError, match=r"a\.jpg': it is a Git LFS pointer.*git lfs pull"):
        decode_image(path)
