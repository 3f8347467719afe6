"""The MPII Human Pose data set as it is published: its ``.mat`` file, and a folder of images.

Andriluka, Pishchulin, Gehler and Schiele, CVPR 2014: http://human-pose.mpi-inf.mpg.de
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from activitynet.data.dataset import ACTIVITIES, ClassIndex, Photo, PhotoData, checked_classes
from activitynet.data.files import is_folder
from activitynet.data.splits import train_val_split
from activitynet.errors import DataError, clipped, shown

_WANTED = {
    "annolist": {"image": {"name": {}}, "vididx": {}},
    "img_train": {},
    "act": {"cat_name": {}, "act_name": {}},
}
_IMAGES = "Unpack mpii_human_pose_v1.tar.gz, and give its folder of images"


@dataclass(frozen=True)
class MpiiImage:
    """What the ``.mat`` file says of an image, its poses apart.

    Attributes:
        name: The file's name.
        category: One of 20, such as ``"sports"``; empty where it is not told.
        activity: One of 410, such as ``"yoga, Power"``; empty where it is not told.
        video: Number of the video that it is a frame of, from 1; `None` where it is not told.
        train: Whether it is one of the training images, whose labels are published.
    """

    name: str
    category: str
    activity: str
    video: int | None
    train: bool


def open_mpii(
    path: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the training images of MPII Human Pose that have a category, which becomes their label.

    The frames of one video are one group (``"video-12"``), and a share of the groups is held out. Images
    of the data set's own test split have no published label and are left out.

    Args:
        path: ``mpii_human_pose_v1_u12_1.mat``.
        images: The folder of images. By default ``images`` beside that file or beside its folder.
        classes: Class names in the order of the labels, `ACTIVITIES` by default.
        val_fraction: Share of the photos to hold out, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: The file is damaged or another one, the images' folder is missing, or a category is
            no known class.
    """
    index = ClassIndex(ACTIVITIES if classes is None else checked_classes(classes))
    listed = read_mpii(path)
    folder = _images_folder(Path(path)) if images is None else Path(images)
    if not is_folder(folder):
        raise DataError(f"there is no folder of images {str(folder)!r}. {_IMAGES}.")
    photos = []
    for number, image in enumerate(listed, start=1):
        if not image.train or not image.category:
            continue
        try:
            label = index.find(image.category)
        except DataError as error:
            raise DataError(
                f"{str(path)!r}, image {number} ({shown(image.name)}): {clipped(error)}"
            ) from error
        group = "" if image.video is None else f"video-{image.video}"
        photos.append(Photo(folder / image.name, label, group, "MPII Human Pose"))
    if len({photo.label for photo in photos}) < 2:
        raise DataError(f"{str(path)!r} has no labelled training images of two or more categories.")
    # By class, as folders give them: the order of the file goes video by video.
    photos.sort(key=lambda photo: photo.label)
    train, val = train_val_split(tuple(photos), val_fraction, seed)
    return PhotoData(index.classes, train, val)


def read_mpii(path: str | os.PathLike[str]) -> list[MpiiImage]:
    """Read what the ``.mat`` file says of each image, in its order.

    Raises:
        DataError: The file cannot be read, or it is another one.
    """
    name = str(path)
    release = _only(read_mat(path, "RELEASE", _WANTED))
    if not isinstance(release, dict) or not _WANTED.keys() <= release.keys():
        raise DataError(
            f"{name!r} has no fields RELEASE.annolist, img_train and act. Is it mpii_human_pose_v1_u12_1.mat?"
        )
    annotations, acts = (
        value if isinstance(value, list) else [] for value in (release["annolist"], release["act"])
    )
    train = release["img_train"] if isinstance(release["img_train"], np.ndarray) else np.zeros(0)
    if not 0 < len(annotations) == len(acts) == len(train):
        raise DataError(
            f"{name!r} lists {len(annotations)} images, but {len(acts)} activities and {len(train)} marks of "
            f"the training images. Copy or download it again."
        )
    images = []
    names: dict[str, int] = {}
    for number, (annotation, act, mark) in enumerate(zip(annotations, acts, train, strict=True), start=1):
        image = MpiiImage(
            name=_text(_inside(annotation, "image", "name")),
            category=_text(_inside(act, "cat_name")),
            activity=_text(_inside(act, "act_name")),
            video=_number(_inside(annotation, "vididx")),
            train=bool(mark == 1),
        )
        if not image.name or image.name in {".", ".."} or set(image.name) & set("/\\:\0"):
            raise DataError(f"{name!r}, image {number}: {shown(image.name)} is no file's name.")
        if image.name in names:
            raise DataError(
                f"{name!r} lists {shown(image.name)} as image {names[image.name]} and image {number}."
            )
        names[image.name] = number
        images.append(image)
    return images


def _images_folder(path: Path) -> Path:
    places = (path.parent / "images", path.absolute().parent.parent / "images")
    for place in places:
        if is_folder(place):
            return place
    raise DataError(f"there is no folder 'images' beside {str(path)!r} or its folder. {_IMAGES} there.")


def _only(value: Any) -> Any:
    """Return what a list of one entry holds, a list within it too; `None` for an empty one."""
    while isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    return value


def _inside(value: Any, *fields: str) -> Any:
    """Follow fields through structs; `None` where one is missing or empty."""
    for field in fields:
        value = _only(value)
        value = value.get(field) if isinstance(value, dict) else None
    return _only(value)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    """Return the one whole number that a value holds; NaN, none and several are `None`."""
    if not isinstance(value, np.ndarray) or value.size != 1:
        return None
    number = float(value[0])
    return int(number) if number.is_integer() and number > 0 else None


MAX_UNPACKED = 2**31
"""Most bytes of a variable when unpacked; MPII's has a fraction of it."""

MAX_READ = 2**26
"""Most bytes of what is read of a variable rather than passed over."""

MAX_ENTRIES = 2**20
"""Most structs and cells of a variable that are read."""

_CHUNK = 2**16
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _NUMBERS = 1, 2, 4, range(6, 16)
_NUMBER_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_DEEPEST = 16


class _Damage(Exception):  # noqa: N818 - never leaves this module
    """What is wrong with a file, as a clause."""


def read_mat(path: str | os.PathLike[str], variable: str, wanted: Mapping[str, Any]) -> Any:
    """Read one variable of a MATLAB file, without what is not wanted of it.

    Structs become lists of dicts and cells become lists, in MATLAB's order, where there is but one as
    well. Text becomes `str`, numbers a flat numpy array. An empty value, and one of another kind (an
    object, a function), becomes `None`.

    Args:
        path: The file, as MATLAB's ``save`` writes it with ``-v6`` or ``-v7``.
        variable: The variable's name.
        wanted: The fields to read, each with those that it holds in turn: ``{"image": {"name": {}}}``.

    Raises:
        DataError: There is no such file or variable, or its bytes are damaged.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            for reader, size in _matrices(file):
                found, value = reader.matrix(size, wanted, only=variable)
                if found == variable:
                    reader.check_rest()
                    return value
    except OSError as error:
        raise DataError(f"cannot read {name!r}: {error.strerror}. Check the path.") from error
    except (_Damage, zlib.error, UnicodeError, ValueError) as error:
        raise DataError(f"cannot read {name!r}: {clipped(error)}. Copy or download it again.") from error
    raise DataError(f"{name!r} holds no variable {variable!r}. Is it the right file?")


def _matrices(file: IO[bytes]) -> Iterator[tuple[_Reader, int]]:
    """Yield a reader for each variable, past its tag, and how many bytes the variable has."""
    header = file.read(128)
    if b"MATLAB 7.3" in header[:116] or header.startswith(b"\x89HDF"):
        raise _Damage("it is a MATLAB file of version 7.3, and only those of 5 to 7 (-v7) are read")
    order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
    if order is None:
        raise _Damage("it does not begin like a MATLAB file of version 5 to 7")
    while tag := file.read(8):
        if len(tag) < 8:
            raise _Damage("it ends too early")
        kind, size = struct.unpack(order + "II", tag)
        begin = file.tell()
        reader = _Reader(file, order, size, packed=kind == _COMPRESSED)
        inner = size
        if kind == _COMPRESSED:
            kind, inner, _ = reader.tag()
        if kind == _MATRIX:
            yield reader, inner
        file.seek(begin + size)


class _Reader:
    """Reads one variable forwards, unpacking it in small pieces as it goes."""

    def __init__(self, file: IO[bytes], order: str, size: int, *, packed: bool) -> None:
        self._file = file
        self._order = order
        self._left = size  # bytes of the file
        self._inflate = zlib.decompressobj() if packed else None
        self._buffer = b""
        self._position = 0
        self._unpacked = self._read = self._entries = 0

    def _fill(self) -> None:
        """Replace the used-up buffer by the next piece."""
        if self._inflate is None:
            piece = self._piece()
        else:
            piece = b""
            while not piece:
                if self._inflate.eof:
                    raise _Damage("it ends too early")
                piece = self._inflate.decompress(self._inflate.unconsumed_tail or self._piece(), _CHUNK)
        self._unpacked += len(piece)
        if self._unpacked > MAX_UNPACKED:
            raise _Damage(f"it unpacks to more than {MAX_UNPACKED >> 20} MiB")
        self._buffer, self._position = piece, 0

    def _piece(self) -> bytes:
        data = self._file.read(min(_CHUNK, self._left))
        if not data:
            raise _Damage("it ends too early")
        self._left -= len(data)
        return data

    def take(self, size: int) -> bytes:
        """Return the next bytes, exactly as many as asked for."""
        self._read += size
        if self._read > MAX_READ:
            raise _Damage(f"what is to be read of it has more than {MAX_READ >> 20} MiB")
        pieces = [self._buffer[self._position : self._position + size]]
        self._position += len(pieces[0])
        size -= len(pieces[0])
        while size:
            self._fill()
            pieces.append(self._buffer[:size])
            self._position = len(pieces[-1])
            size -= self._position
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        if size < 0:
            raise _Damage("a value in it is longer than it says")
        while size > len(self._buffer) - self._position:
            size -= len(self._buffer) - self._position
            self._fill()
        self._position += size

    def check_rest(self) -> None:
        """Unpack what is left, so that its checksum is compared."""
        while self._inflate is not None and not self._inflate.eof:
            self._unpacked += len(
                self._inflate.decompress(self._inflate.unconsumed_tail or self._piece(), _CHUNK)
            )
            if self._unpacked > MAX_UNPACKED:
                raise _Damage(f"it unpacks to more than {MAX_UNPACKED >> 20} MiB")

    def tag(self) -> tuple[int, int, bytes | None]:
        """Return an element's type and size, and its content where that is so short that the tag holds it."""
        tag = self.take(8)
        kind, size = struct.unpack(self._order + "II", tag)
        if not kind >> 16:
            return kind, size, None
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise _Damage("a short value in it has more than four bytes")
        return kind, size, tag[4 : 4 + size]

    def element(self) -> tuple[int, bytes, int]:
        """Return an element's type and content, and how many bytes it took."""
        kind, size, content = self.tag()
        if content is not None:
            return kind, content, 8
        content, padding = self.take(size), -size % 8
        self.skip(padding)
        return kind, content, 8 + size + padding

    def matrix(
        self, size: int, wanted: Mapping[str, Any], *, only: str | None = None, depth: int = 0
    ) -> tuple[str, Any]:
        """Return the name and value of a matrix of so many bytes; of one that is not ``only``, no value."""
        if size == 0:
            return "", None
        if depth > _DEEPEST:
            raise _Damage("its values are nested too deeply")
        head = [self.element() for _ in range(3)]
        flags, sides, name_bytes = (content for _, content, _ in head)
        if len(flags) < 4 or len(sides) % 4 or not 8 <= len(sides) <= 128:
            raise _Damage("a value in it has no size")
        size -= sum(taken for *_, taken in head)
        kind = struct.unpack(self._order + "I", flags[:4])[0] & 0xFF
        count = math.prod(struct.unpack(f"{self._order}{len(sides) // 4}I", sides))
        name = name_bytes.decode("latin-1")
        if only is not None and name != only:
            return name, None
        return name, self._value(kind, count, size, wanted, depth)

    def _value(self, kind: int, count: int, size: int, wanted: Mapping[str, Any], depth: int) -> Any:
        if kind == _STRUCT:
            return self._structs(count, size, wanted, depth)
        if kind == _CELL:
            self._count(count, size)
            return [self._field(wanted, depth) for _ in range(count)] or None
        if kind != _CHAR and kind not in _NUMBERS:
            self.skip(size)
            return None
        code, content, taken = self.element()
        self.skip(size - taken)  # an imaginary part
        if not content:
            return None
        return self._text(code, content) if kind == _CHAR else self._numbers(code, content)

    def _count(self, count: int, size: int) -> None:
        """Refuse more entries than so many bytes can hold, before there is room made for them."""
        self._entries += count
        if 8 * count > size or self._entries > MAX_ENTRIES:
            raise _Damage("it says that it has more entries than it can have")

    def _field(self, wanted: Mapping[str, Any] | None, depth: int) -> Any:
        kind, size, content = self.tag()
        if kind != _MATRIX or content is not None:
            raise _Damage("a field in it holds no value")
        if wanted is None:
            self.skip(size)
            return None
        return self.matrix(size, wanted, depth=depth + 1)[1]

    def _structs(
        self, count: int, size: int, wanted: Mapping[str, Any], depth: int
    ) -> list[dict[str, Any]] | None:
        (_, width_bytes, _), (_, names, _) = self.element(), self.element()
        width = int.from_bytes(width_bytes, "little" if self._order == "<" else "big")
        if not 0 < width <= 256 or len(names) > _CHUNK or len(names) % width:
            raise _Damage("a struct in it has no field names")
        fields = [
            names[start : start + width].split(b"\0")[0].decode("latin-1")
            for start in range(0, len(names), width)
        ]
        if not fields or not count:
            return None
        self._count(count, size // len(fields))
        structs = []
        for _ in range(count):
            values = {field: self._field(wanted.get(field), depth) for field in fields}
            structs.append({field: values[field] for field in wanted if field in values})
        return structs

    def _text(self, code: int, content: bytes) -> str:
        encoding = _ENCODINGS.get(code)
        if encoding is None:
            raise _Damage("a text in it is of an unknown type")
        if encoding in {"utf-16", "utf-32"}:
            encoding += "-le" if self._order == "<" else "-be"
        return content.decode(encoding)

    def _numbers(self, code: int, content: bytes) -> np.ndarray:
        if code not in _NUMBER_TYPES:
            raise _Damage("a number in it is of an unknown type")
        return np.frombuffer(content, self._order + _NUMBER_TYPES[code])
