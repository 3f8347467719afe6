"""Decode photos from untrusted bytes into upright RGB images."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin

from activitynet.data.archives import read_member
from activitynet.data.files import HEIF_REMEDY, can_read_heif, is_heif
from activitynet.errors import DataError, ImageError, clipped

MAX_PIXELS = 178_956_970
"""Most pixels of a photo: Pillow's limit against decompression bombs."""

# Only formats that Pillow decodes itself: EPS, for example, would start a program.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000", "HEIF")
_READABLE = "JPEG, PNG, GIF, WebP, BMP, TIFF, PPM, AVIF or JPEG 2000"

_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = range(5, 9)  # orientations that swap width and height
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Image.init()  # registers the decoders, once and before any thread looks for one
_warnings_lock = threading.Lock()

# Pillow warns of damaged metadata and ignored frames, without the photo's name. The filter is permanent:
# all threads share filters, and changing them for each photo would need a lock.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def decode_image(
    source: str | os.PathLike[str] | bytes | Image.Image,
    *,
    at_least: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Image.Image:
    """Decode a photo into an upright image of mode RGB.

    EXIF orientation is applied, transparency is blended with white, grey of more than 8 bits is scaled to 8
    bits, and the first frame of an animation is taken.

    With ``at_least``, a JPEG may be decoded at a half, a quarter or an eighth of its size, which is several
    times faster. The result is slightly softer and stretched by less than a pixel: good enough for training,
    where augmentation changes photos far more.

    Args:
        source: Path of a file, bytes of a file, or an open image (which is not changed).
        at_least: Least height and width, each 1 or more, to which the upright photo may be reduced. `None`
            decodes in full size, as always for other formats than JPEG and for open images.
        max_pixels: Refuse a photo with more pixels before decoding it. Pillow's own limit applies too.
        name: The photo's name in errors; by default its path.

    Raises:
        ImageError: The photo is missing, empty, truncated, too large or not an image.
        DataError: ``at_least`` is not two whole numbers from 1.
    """
    if at_least is not None and not (
        len(at_least) == 2 and all(isinstance(side, int) and side >= 1 for side in at_least)
    ):
        raise DataError(f"at_least must be two whole numbers from 1, got {at_least!r}.")
    return _decode(source, name or _name(source), max_pixels, at_least)


def read_photo(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of a photo's file, with the checks of `decode_image`.

    Raises:
        ImageError: The file cannot be read, or is not a regular file.
    """
    name = _name(path)
    with _typed_errors(name), _open_file(path, name) as file:
        return file.read()


class OpenPhoto:
    """A photo whose format and size are known before it is decoded. Only JPEGs are decoded later.

    Args:
        file: Its open file. The caller closes it, after `decode`.
        name: The photo's name in errors.
        max_pixels: Refuse a photo with more pixels than this.

    Attributes:
        format: Pillow's name of the format: ``"JPEG"``, ``"PNG"`` and so on.

    Raises:
        ImageError: The photo is empty, too large or not an image; or it is damaged and not a JPEG.
    """

    def __init__(self, file: IO[bytes], name: str, *, max_pixels: int = MAX_PIXELS) -> None:
        self._name = name
        with _typed_errors(name):
            self._file, self._image = _identify(_StrictReader(file), name)
            _check_size(self._image, name, max_pixels)
            self.format = self._image.format or ""
            self._is_jpeg = isinstance(self._image, JpegImagePlugin.JpegImageFile)
            self._sideways = self._is_jpeg and _orientation(self._image) in _SIDEWAYS
            if not self._is_jpeg:
                self._upright = self._finished()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the photo, upright."""
        width, height = self._image.size if self._is_jpeg else self._upright.size
        return (height, width) if self._sideways else (width, height)

    def decode(self, *, at_least: tuple[int, int] | None = None) -> Image.Image:
        """Return the photo upright and in mode RGB, as `decode_image` does. Call it once.

        Raises:
            ImageError: The photo is damaged or truncated.
        """
        if not self._is_jpeg:
            return self._upright
        with _typed_errors(self._name):
            if at_least is not None:
                height, width = at_least
                self._image.draft("RGB", (height, width) if self._sideways else (width, height))
            return self._finished()

    def _finished(self) -> Image.Image:
        self._file.decoding = self._image.format != "JPEG2000"  # its decoder reads past the end
        try:
            return _finish(self._image)
        except ValueError:
            if self.format != "PNG":
                raise
            # Metadata after the pixels can be too large for Pillow, too.
            self._file, self._image = _identify(_StrictReader(_without_metadata(self._file)), self._name)
            self._file.decoding = True
            return _finish(self._image)


def open_photo(path: str | os.PathLike[str]) -> OpenPhoto:
    """Read a photo's file, and its size from the header; decode it later.

    Raises:
        ImageError: The file cannot be read, or is not a photo.
    """
    return OpenPhoto(io.BytesIO(read_photo(path)), _name(path))


def _name(source: str | os.PathLike[str] | bytes | Image.Image) -> str:
    if isinstance(source, bytes):
        return "bytes"
    if isinstance(source, Image.Image):
        return os.fsdecode(getattr(source, "filename", "")) or "image"
    return os.fsdecode(source)


def _decode(
    source: str | os.PathLike[str] | bytes | Image.Image,
    name: str,
    max_pixels: int,
    at_least: tuple[int, int] | None,
) -> Image.Image:
    with _typed_errors(name):
        if isinstance(source, Image.Image):
            _check_size(source, name, max_pixels)
            try:
                image = _finish(source)
            except Exception as error:
                file = getattr(source, "fp", None)
                if file is not None and not file.closed:
                    raise
                raise ImageError(
                    f"cannot read photo {name!r}: its file is closed. Call load() before, or give the path."
                ) from error
            return image.copy() if image is source else image
        with _open_file(source, name) as file:
            return OpenPhoto(file, name, max_pixels=max_pixels).decode(at_least=at_least)


@contextlib.contextmanager
def _typed_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # damaged or hostile bytes can raise any error
        raise ImageError(f"cannot read photo {name!r}: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:  # from the system, not from a decoder
        return f"{error.strerror}. Check the path and its permissions."
    if isinstance(error, MemoryError):
        return "it does not fit in memory. Scale it down."
    reason = clipped(error) or type(error).__name__
    return f"it is damaged or truncated ({reason}). Copy or export it again."


def _open_file(source: str | os.PathLike[str] | bytes, name: str) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    path = Path(source)
    if path.is_dir():
        raise ImageError(f"cannot read photo {name!r}: it is a folder. Give a file in it.")
    if path.exists() and not path.is_file():
        raise ImageError(f"cannot read photo {name!r}: it is not a regular file. Copy it to one.")
    try:
        return path.open("rb")
    except NotADirectoryError:
        return io.BytesIO(read_member(path))


class _StrictReader:
    """A file that refuses to be read past its end while an image is being decoded.

    Pillow does the same, unless another library has set ``ImageFile.LOAD_TRUNCATED_IMAGES``. Reads are
    limited to the length of the file, whatever length a chunk claims.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._length = file.seek(0, os.SEEK_END)
        file.seek(0)
        self.decoding = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, self._length))
        if self.decoding and not data and size != 0:
            raise OSError("the file ends too early")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _identify(file: Any, name: str) -> tuple[Any, ImageFile.ImageFile]:
    """Read an image's header; return what to decode the image from, and the image.

    This is ``Image.open`` without its warning about large photos, which no filter can silence for one thread
    alone (`_check_size` has its own bound), and for some files that Pillow does not take as they are.
    """
    start = file.read(len(_LFS_POINTER))
    if not start:
        raise ImageError(f"cannot read photo {name!r}: it is empty. Copy or download it again.")
    lacks_heif = is_heif(start) and not can_read_heif()
    for image_format in _FORMATS:
        factory, accepts = Image.OPEN.get(image_format, (None, None))
        if factory is None or (accepts is not None and accepts(start[:16]) is not True):
            continue
        file.seek(0)
        damage = contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error)
        with damage, _without_size_warning(image_format == "GIF"):  # its frames may be larger
            try:
                return file, factory(file, "")
            except (SyntaxError, ValueError):
                # Pillow refuses large metadata of a PNG, and some TIFFs in which white is zero.
                if image_format == "PNG":
                    reader: Any = _StrictReader(_without_metadata(file))
                    return reader, factory(reader, "")
                if image_format == "TIFF" and (inverse := _with_black_as_zero(file)) is not None:
                    reader = _StrictReader(inverse)
                    image = factory(reader, "")
                    image.tag_v2[_PHOTOMETRY] = _WHITE_IS_ZERO  # type: ignore[attr-defined]
                    return reader, image
                raise
    if lacks_heif:
        raise ImageError(f"cannot read photo {name!r}: it is a HEIC photo. {HEIF_REMEDY}")
    if start == _LFS_POINTER:
        raise ImageError(
            f"cannot read photo {name!r}: it is a Git LFS pointer, not the photo. Run `git lfs pull`."
        )
    raise ImageError(
        f"cannot read photo {name!r}: it is not a {_READABLE} image, or its header is damaged. "
        f"Convert it, or remove it."
    )


_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_METADATA = {b"iCCP", b"iTXt", b"tEXt", b"zTXt"}  # chunks of a PNG that do not affect its pixels


def _without_metadata(file: Any) -> IO[bytes]:
    """Return a PNG without its color profile and its texts."""
    file.seek(0)
    content = file.read()
    kept, start = [content[:8]], 8
    while start < len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        if content[start + 4 : start + 8] not in _METADATA:
            kept.append(content[start:end])
        start = end
    return io.BytesIO(b"".join(kept))


_PHOTOMETRY, _BITS, _SAMPLE_FORMAT = 262, 258, 339  # tags of TIFF
_WHITE_IS_ZERO = 0


def _with_black_as_zero(file: Any) -> IO[bytes] | None:
    """Mark a TIFF in which white is 0 as one in which black is 0; return `None` for other TIFFs.

    Pillow reads more kinds of the latter. `_scaled_grey` inverts the values.
    """
    file.seek(0)
    content = bytearray(file.read())
    order: Literal["big", "little"] = "big" if content.startswith(b"MM") else "little"
    directory = int.from_bytes(content[4:8], order)
    for number in range(int.from_bytes(content[directory : directory + 2], order)):
        entry = directory + 2 + 12 * number
        value = slice(entry + 8, entry + 10)
        if int.from_bytes(content[entry : entry + 2], order) == _PHOTOMETRY:
            if int.from_bytes(content[value], order) == _WHITE_IS_ZERO:
                content[value] = (1).to_bytes(2, order)
                return io.BytesIO(content)
            break
    return None


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"cannot read photo {name!r}: it has {width} x {height} pixels; the limit is {max_pixels} in "
            f"total. Scale it down."
        )


def _finish(image: Image.Image) -> Image.Image:
    with _without_size_warning(image.width * image.height > MAX_PIXELS // 2):
        image.load()
    orientation = _orientation(image)
    image = _to_rgb(image)
    if orientation not in _UPRIGHT:
        return image
    upright = image.transpose(_UPRIGHT[orientation])
    upright.info = {}  # it still holds the orientation
    return upright


@contextlib.contextmanager
def _without_size_warning(can_come: bool) -> Iterator[None]:
    """Silence Pillow's warning about large photos, which some decoders repeat."""
    # All threads share the filters, so they are changed only if the warning is possible.
    if not can_come:
        yield
        return
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged EXIF: take the photo as stored
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    image_format = image.format
    if image.mode == "RGB" and not image.has_transparency_data:
        return image  # copying is slow
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _scaled_grey(image).convert("RGB")
    if image.mode in {"La", "RGBa"}:  # premultiplied: Pillow has this conversion only
        image = image.convert(image.mode.upper())
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image_format in {"BMP", "DIB"} and image.getchannel("A").getextrema() == (0, 0):
            return image.convert("RGB")  # many programs leave the fourth byte of a BMP at 0
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """Scale grey of more than 8 bits to 8 bits, where Pillow would clip it."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})  # of a TIFF
    bits, signed = tags.get(_BITS, (0,))[0], tags.get(_SAMPLE_FORMAT, (1,))[0] == 2
    stored = np.asarray(image)
    if image.mode == "I" and bits == 32 and not signed:
        stored = stored.view(np.uint32)
    values = stored.astype(np.float32)
    peak = float(values[np.isfinite(values)].max(initial=0))
    if image.mode == "F":  # its range is not stored: take the smallest usual one
        white = next((limit for limit in (1.0, 255.0, 65535.0) if peak <= limit), peak)
    elif 8 < bits < 32:  # 12 and 16 bits of a TIFF
        white = float(2 ** (bits - signed) - 1)
    else:  # 32 bits usually hold 16
        white = max(65535.0, peak)
    values = np.nan_to_num(values, nan=0, posinf=white, neginf=0).clip(0, white)
    if tags.get(_PHOTOMETRY) == _WHITE_IS_ZERO:
        values = white - values
    grey = Image.fromarray((values * (255.0 / white)).round().astype(np.uint8))
    if isinstance(key := image.info.get("transparency"), int):
        grey.paste(255, mask=Image.fromarray(stored == key))
    return grey
