"""Cache decoded, shrunk photos on disk for later epochs."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import mmap
import os
import re
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from activitynet.data.archives import file_of
from activitynet.data.decode import decode_image, read_photo
from activitynet.errors import DataError, StorageError
from activitynet.serialization.paths import user_path

_log = logging.getLogger(__name__)

# Part of every key, with the size. Another version of Pillow may decode to other pixels.
_FORMAT = f"activitynet photo 2, Pillow {PIL.__version__}"
# Magic; width and height of the whole photo, then of the entry; checksum. Pixels follow, three bytes each.
_HEADER = struct.Struct("<8sIIIII")
_MAGIC = b"anphoto2"
_ENTRY = re.compile(r"[0-9a-f]{32}\.rgb")
_TOTAL = struct.Struct("<Q")
_ROOM_MADE = 0.1  # share of the bound that is freed at a time, since listing the folder is slow
_SETTLED = 2 * 10**9  # nanoseconds after which another change to a file surely changes its time
_POLL_SECONDS = 0.005  # between two tries to get the lock

_Signature = tuple[int, int, int, int, int]


class CachedPhoto:
    """A decoded photo, smaller than its file's.

    Attributes:
        size: Width and height of the photo in its file, upright.
        pixels: uint8 (height, width, 3); read-only, for they may be memory-mapped.
    """

    def __init__(self, size: tuple[int, int], pixels: NDArray[np.uint8]) -> None:
        self.size = size
        self.pixels = pixels

    def decode(self, *, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Return the pixels; ``at_least`` is ignored."""
        return self.pixels


class PhotoCache:
    """Decoded and shrunk photos in memory-mapped files.

    The key of an entry is a hash of the photo's file: an edited photo is a new one, a moved or copied photo
    is not. `get` returns the same bits on a hit and on a miss.

    Any number of processes may share a folder, and each may be killed at any time: an entry appears whole, by
    a rename. A process verifies the checksum of an entry when it first reads it; a damaged entry is replaced.
    If an entry cannot be written, a warning is logged once, and photos are decoded as without a cache.

    When the bound is reached, the oldest entries are removed. Training reads all photos in turn, so a cache
    that holds only most of them helps little. An entry takes three bytes a pixel.

    Args:
        folder: Folder of the entries; made if it is missing. Other files in it are left alone.
        size: Shorter side of the photos it returns, at least 1; a smaller photo keeps its size. Crops of a
            share ``s`` of a photo's area are not enlarged if it is the side of the model's input divided by
            the square root of ``s``.
        max_bytes: Most bytes that all entries of the folder take together, at least 1.

    Raises:
        DataError: ``size`` or ``max_bytes`` is out of range.
        StorageError: The folder cannot be written.

    Example:
        >>> cache = PhotoCache("cache", size=256, max_bytes=10 * 2**30)  # doctest: +SKIP
        >>> cache.get("photos/dancing/1.jpg").size  # doctest: +SKIP
        (455, 256)
    """

    def __init__(self, folder: str | os.PathLike[str], *, size: int, max_bytes: int) -> None:
        for name, value in (("size", size), ("max_bytes", max_bytes)):
            if type(value) is not int or value < 1:
                raise DataError(f"{name} must be a whole number from 1, got {value!r}.")
        self.folder = user_path(folder)
        self.size = size
        self.max_bytes = max_bytes
        self._keys: dict[str, tuple[_Signature, str]] = {}  # by path, of photos that this process has read
        self._checked: dict[str, _Signature] = {}  # entries that this process has verified
        self._warned: set[str] = set()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked() as total:
                self._make_room(total, 0)
        except OSError as error:
            raise StorageError(
                f"cannot use {str(self.folder)!r} as a cache: {error.strerror}. Choose another folder."
            ) from error

    def get(self, path: str | os.PathLike[str]) -> Image.Image:
        """Return a photo as an upright image of mode RGB, shrunk to the cache's size.

        The photo is decoded in full and shrunk with Pillow's bicubic filter.

        Raises:
            ImageError: The photo cannot be read, as for `decode_image`.
        """
        return Image.fromarray(self.open(path).pixels)

    def open(self, path: str | os.PathLike[str]) -> CachedPhoto:
        """Return what `get` returns, without a copy, and with the size that the photo had before.

        Raises:
            ImageError: The photo cannot be read, as for `decode_image`.
        """
        name = os.fsdecode(path)
        key = self._known_key(name)
        if key is not None and (photo := self._load(key)) is not None:
            return photo
        signature = _signature(name)
        content = read_photo(path)
        digest = hashlib.blake2b(f"{_FORMAT}, {self.size}\n".encode(), digest_size=16)
        digest.update(content)
        key = digest.hexdigest()
        if signature is not None and _signature(name) == signature and _is_settled(signature):
            self._keys[name] = (signature, key)
        photo = self._load(key)
        if photo is None:
            image = decode_image(content, name=name)
            photo = CachedPhoto(image.size, np.asarray(self._shrunk(image)))
            self._store(key, photo)
        return photo

    def _known_key(self, name: str) -> str | None:
        """Return the key of a photo that this process has read, if its file has not changed since."""
        signature, key = self._keys.get(name, (None, None))
        return key if signature is not None and _signature(name) == signature else None

    def _shrunk(self, image: Image.Image) -> Image.Image:
        scale = self.size / min(image.size)
        if scale >= 1:
            return image
        width, height = (max(self.size, round(side * scale)) for side in image.size)
        return image.resize((width, height), Image.Resampling.BICUBIC)

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.rgb"

    def _load(self, key: str) -> CachedPhoto | None:
        """Return an entry's photo; `None` if there is no entry, or a damaged one."""
        path = self._place(key)
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size <= _HEADER.size:
                    raise ValueError("it is too short")
                entry = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # lives as long as the pixels
                return self._read(key, entry, _signature_of(status))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            self._warn("damaged", f"a photo in the cache is damaged and is replaced: {str(path)!r} ({error})")
            with contextlib.suppress(OSError):  # another process may have removed it
                path.unlink()
            return None

    def _read(self, key: str, entry: mmap.mmap, signature: _Signature) -> CachedPhoto:
        magic, *sides, checksum = _HEADER.unpack_from(entry)
        full_width, full_height, width, height = sides
        if magic != _MAGIC or len(entry) != _HEADER.size + width * height * 3:
            raise ValueError("its header and its length differ")
        pixels = np.frombuffer(entry, np.uint8, offset=_HEADER.size)
        if self._checked.get(key) != signature:
            if _checksum(key, sides, pixels) != checksum:
                raise ValueError("its checksum differs")
            self._checked[key] = signature
        return CachedPhoto((full_width, full_height), pixels.reshape(height, width, 3))

    def _store(self, key: str, photo: CachedPhoto) -> None:
        pixels = photo.pixels
        sides = [*photo.size, pixels.shape[1], pixels.shape[0]]
        header = _HEADER.pack(_MAGIC, *sides, _checksum(key, sides, pixels))
        size = len(header) + pixels.nbytes
        if size > self.max_bytes:
            self._warn("too large", f"a photo of {sides[2]} x {sides[3]} is larger than the cache")
            return
        path = self._place(key)
        try:
            with self._locked() as total:
                if path.exists():  # another process was faster
                    return
                self._make_room(total, size)
                # Counted first: a process that is killed here leaves a total that is too large, if anything.
                total.add(size)
                # All processes write to one file, under the lock, so that at most one is ever left behind.
                # It is not synced: what a crash of the machine damages, the checksum finds.
                temporary = self.folder / "new.tmp"
                with temporary.open("wb") as file:
                    file.write(header)
                    file.write(pixels.data)
                path.parent.mkdir(exist_ok=True)
                temporary.replace(path)
        except OSError as error:
            self._warn("unwritable", f"cannot write to cache {str(self.folder)!r}: {error.strerror}")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[_Total]:
        """Hold the lock under which the folder changes. The system releases it when a process dies."""
        from filelock import FileLock  # noqa: PLC0415 - slow to import, seldom needed

        # A new lock each time: a cache is pickled for worker processes, and a lock is not.
        lock = FileLock(self.folder / "lock", mode=0o666)
        with lock.acquire(poll_interval=_POLL_SECONDS):
            yield _Total(self.folder / "total")

    def _make_room(self, total: _Total, size: int) -> None:
        """Remove the oldest entries until ``size`` more bytes fit under the bound."""
        known, bound = total.read(), self.max_bytes
        if size and known is not None and known + size <= bound:
            return
        entries = sorted(self._entries())
        kept = sum(entry[2] for entry in entries)
        if kept + size > bound:
            if size:
                self._warn(
                    "full",
                    f"cache {str(self.folder)!r} is full, so photos are removed before they are used again; "
                    "give it more room (--cache-gb, in Python cache_gb)",
                )
            room = min(bound, size + int(_ROOM_MADE * bound))
            for _, path, length in entries:
                if kept + room <= bound:
                    break
                with contextlib.suppress(PermissionError):  # on Windows: another process has it open
                    Path(path).unlink(missing_ok=True)
                    kept -= length
        total.write(kept)

    def _entries(self) -> Iterator[tuple[int, str, int]]:
        """Yield time, path and size in bytes of each entry."""
        with os.scandir(self.folder) as folders:
            places = [place.path for place in folders if len(place.name) == 2 and place.is_dir()]
        for place in places:
            with os.scandir(place) as files:
                for file in files:
                    if _ENTRY.fullmatch(file.name):
                        with contextlib.suppress(FileNotFoundError):  # another process has removed it
                            status = file.stat(follow_symlinks=False)
                            yield status.st_mtime_ns, file.path, status.st_size

    def _warn(self, topic: str, message: str) -> None:
        if topic not in self._warned:
            self._warned.add(topic)
            _log.warning("%s; further ones are not reported", message)


class _Total:
    """The number of bytes that all entries take, in a file that is used under the lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int | None:
        """Return the total, or `None` if it is not known."""
        try:
            return int(_TOTAL.unpack(self._path.read_bytes())[0])
        except (FileNotFoundError, struct.error):  # a writer was killed
            return None

    def write(self, value: int) -> None:
        self._path.write_bytes(_TOTAL.pack(value))

    def add(self, size: int) -> None:
        self.write((self.read() or 0) + size)


def _signature(path: str) -> _Signature | None:
    try:
        try:
            return _signature_of(os.stat(path))  # noqa: PTH116 - twice as fast as Path.stat
        except NotADirectoryError:  # inside another file, which changes with it
            return _signature_of(file_of(Path(path)).stat())
    except (OSError, ValueError):  # read_photo reports it
        return None


def _signature_of(status: os.stat_result) -> _Signature:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_settled(signature: _Signature) -> bool:
    """Tell whether a later change to the file is sure to change its time."""
    return max(signature[3:]) < time.time_ns() - _SETTLED


def _checksum(key: str, sides: list[int], pixels: NDArray[np.uint8]) -> int:
    return zlib.crc32(pixels.data, zlib.crc32(f"{key} {sides}".encode()))
