"""Photos that are damaged, or lie about themselves."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from activitynet.data.decode import decode_image
from fuzzing.mutations import NUMBERS, damaged, number_bytes

# A photo of the largest size that is read takes gigabytes by right. This bound is low enough for any
# other use of memory to show.
MAX_PIXELS = 2_000_000


def _encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if "append_images" in options:
        options["append_images"] = [frame.copy() for frame in options["append_images"]]
    image.copy().save(buffer, image_format, **options)  # saving leaves traces in an image
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _interlaced_png(pixels: np.ndarray) -> bytes:
    """What Pillow cannot write: the pixels in the seven passes of Adam7."""
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, right in passes
        for row in pixels[top::down, left::right]
        if row.size
    )
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def _rle_bmp() -> bytes:
    """An 8-bit BMP with run lengths, which Pillow reads and does not write."""
    rows = (
        b"".join(b"\x08\x05\x00\x04\x01\x02\x03\x04\x04\x09\x00\x00" for _ in range(8))
        + b"\x00\x02\x01\x01\x00\x01"
    )
    palette = bytes(range(256)) * 4
    header = struct.pack("<IiiHHIIiiII", 40, 16, 8, 1, 8, 1, len(rows), 0, 0, 256, 0)
    offset = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + palette + rows


@functools.cache
def whole_photos() -> tuple[bytes, ...]:
    """A small photo in each format and variant that is read."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 3), dtype=np.uint8)
    rgb = Image.fromarray(pixels)
    rgba, grey, palette = rgb.convert("RGBA"), rgb.convert("L"), rgb.quantize(16)
    rgba.putalpha(grey)
    wide = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "maker", 0x011A: 72.0})
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}
    photos = [
        _encoded(rgb, "JPEG"),
        _encoded(rgb, "JPEG", progressive=True),
        _encoded(rgb, "JPEG", exif=exif, comment="c", dpi=(72, 72), restart_marker_blocks=1),
        _encoded(rgb, "JPEG", icc_profile=icc, subsampling=0, optimize=True),
        _encoded(rgb, "JPEG", xmp=b"<x/>", exif=exif, progressive=True),
        _encoded(rgb.convert("CMYK"), "JPEG"),
        _encoded(grey, "JPEG"),
        _encoded(rgb, "MPO", **frames),
        _encoded(rgb, "PNG", exif=exif, icc_profile=icc),
        _encoded(rgba, "PNG", dpi=(72, 72)),
        _encoded(palette, "PNG", transparency=bytes([0, 128, 255])),
        _encoded(palette, "PNG", transparency=3),
        _encoded(wide, "PNG"),
        _encoded(rgb.convert("1"), "PNG"),
        _encoded(grey.convert("LA"), "PNG"),
        _encoded(rgb, "PNG", **frames),
        _interlaced_png(pixels),
        _encoded(palette, "GIF", transparency=2),
        _encoded(palette, "GIF", interlace=True),
        _encoded(rgb, "GIF", **frames, comment="c"),
        _encoded(rgb, "WEBP"),
        _encoded(rgba, "WEBP", lossless=True, exif=exif, icc_profile=icc),
        _encoded(rgba, "WEBP", **frames),
        *(_encoded(image, "BMP") for image in (rgb, rgba, palette, rgb.convert("1"), grey)),
        _encoded(rgb, "DIB"),
        _rle_bmp(),
        *(
            _encoded(rgb, "TIFF", compression=name)
            for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
        ),
        _encoded(rgb, "TIFF", compression="jpeg", exif=exif, icc_profile=icc),
        _encoded(rgb.convert("1"), "TIFF", compression="group4"),
        _encoded(rgb.convert("1"), "TIFF", compression="group3"),
        _encoded(rgb, "TIFF", big_tiff=True, compression="zstd"),
        *(_encoded(image, "TIFF") for image in (rgba, palette, grey.convert("F"), wide, grey.convert("I"))),
        _encoded(rgb.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        _encoded(rgb, "TIFF", **frames, compression="tiff_lzw"),
        *(_encoded(image, "PPM") for image in (rgb, grey, rgb.convert("1"), wide, grey.convert("F"))),
        b"P3 3 2 255\n" + b"1 2 3 " * 6,
        b"P2 # comment\n4 2 15\n" + b"7 " * 8,
        b"P1 8 2 " + b"01" * 8,
        _encoded(rgb, "AVIF", exif=exif),
        _encoded(rgb, "AVIF", **frames),
    ]
    for number, sound in enumerate(photos):
        decode_image(sound, name=f"whole photo {number}")  # or the damage would not be what is refused
    return tuple(photos)


@functools.cache
def _bomb(mebibytes: int) -> bytes:
    return zlib.compress(bytes(mebibytes << 20), 9)


def _png(data: bytes, chance: random.Random) -> bytes:
    """Change a PNG's chunks, each with a right checksum."""
    chunks, place = [], 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    for _ in range(chance.choice([1, 1, 2])):
        number, change = chance.randrange(len(chunks)), chance.randrange(7)
        kind, content = chunks[number]
        if change <= 2:
            chunks[number] = kind, damaged(content, chance)
        elif change == 3:
            chunks.insert(chance.randrange(len(chunks) + 1), chance.choice(chunks))
        elif change == 4:
            del chunks[number]
            chunks = chunks or [(b"IEND", b"")]
        elif change == 5:
            other = chance.choice(
                [b"PLTE", b"tRNS", b"gAMA", b"sRGB", b"pHYs", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"iTXt"]
            )
            chunks.insert(1, (other, damaged(content, chance)))
        else:
            packed = _bomb(chance.choice([1, 64]))
            bomb = chance.choice(
                [
                    (b"zTXt", b"name\0\0" + packed),
                    (b"iCCP", b"name\0\0" + packed),
                    (b"iTXt", b"name\0\1\0\0\0" + packed),
                    (b"IDAT", packed),
                ]
            )
            chunks.insert(chance.choice([1, len(chunks) - 1, len(chunks)]), bomb)
    return data[:8] + b"".join(_chunk(kind, content) for kind, content in chunks)


def _jpeg(data: bytes, chance: random.Random) -> bytes:
    """Change a JPEG's segments, each with a right length."""
    segments, place = [], 2
    while data[place : place + 1] == b"\xff" and data[place + 1] != 0xDA:
        size = int.from_bytes(data[place + 2 : place + 4], "big")
        segments.append((data[place : place + 2], data[place + 4 : place + 2 + size]))
        place += 2 + size
    for _ in range(chance.choice([1, 1, 2])):
        number, change = chance.randrange(len(segments)), chance.randrange(5)
        marker, content = segments[number]
        if change <= 1:
            segments[number] = marker, damaged(content, chance)[:60_000]
        elif change == 2:
            segments.insert(chance.randrange(len(segments) + 1), chance.choice(segments))
        elif change == 3:
            segments[number] = bytes([0xFF, chance.randrange(0xC0, 0xFF)]), content
        else:
            tiff = damaged(_exif_bytes(), chance)[:60_000]
            segments.insert(chance.randrange(2), (b"\xff\xe1", b"Exif\0\0" + tiff))
    head = b"".join(marker + struct.pack(">H", len(content) + 2) + content for marker, content in segments)
    return data[:2] + head + data[place:]


@functools.cache
def _exif_bytes() -> bytes:
    exif = Image.Exif()
    exif.update(
        {0x0112: 6, 0x010F: "maker", 0x011A: 72.0, 0x8769: {0x9003: "2020"}, 0x8825: {1: "N", 2: (1.0,)}}
    )
    return exif.tobytes()[6:]


def _riff(data: bytes, chance: random.Random) -> bytes:
    """Damage what a WebP's chunks hold, and set the whole length right."""
    body = damaged(data[12:], chance)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


_TAGS = [256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 320, 322, 339]


def _tiff(data: bytes, chance: random.Random) -> bytes:
    """Change the entries of a TIFF's first directory: tag, type, count or value."""
    if len(data) < 8 or data[:4] != b"II*\0":
        return damaged(data, chance)
    changed = bytearray(data)
    begin = int.from_bytes(changed[4:8], "little")
    count = int.from_bytes(changed[begin : begin + 2], "little")
    for _ in range(chance.choice([1, 1, 2, 3])):
        entry = begin + 2 + 12 * chance.randrange(max(count, 1))
        field = chance.choice(
            [
                (
                    0,
                    struct.pack(
                        "<H",
                        chance.choice([256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 320, 322, 339]),
                    ),
                ),
                (2, struct.pack("<H", chance.choice([*range(19), 65535]))),
                (4, struct.pack("<I", chance.choice(NUMBERS) % 2**32)),
                (8, struct.pack("<I", chance.choice(NUMBERS) % 2**32)),
                (8, struct.pack("<I", chance.randrange(len(changed)))),
                (8, number_bytes(chance)[:4]),
            ]
        )
        place = entry + field[0]
        changed[place : place + len(field[1])] = field[1]
    return bytes(changed)


def photo(chance: random.Random) -> bytes:
    """Make a damaged photo."""
    whole = chance.choice(whole_photos())
    for start, change in ((b"\x89PNG", _png), (b"\xff\xd8", _jpeg), (b"RIFF", _riff), (b"II", _tiff)):
        if whole.startswith(start) and chance.random() < 0.6:
            whole = change(whole, chance)
            return damaged(whole, chance) if chance.random() < 0.1 else whole
    return damaged(whole, chance, whole_photos())


def write_photo(chance: random.Random, folder: Path) -> Path:
    """Write a damaged photo into a folder."""
    path = folder / "photo.jpg"
    path.write_bytes(photo(chance))
    return path


def read_photo(path: Path, chance: random.Random) -> None:
    """Decode it, in full or reduced."""
    decode_image(path, at_least=chance.choice([None, None, (1, 1), (8, 12)]), max_pixels=MAX_PIXELS)
