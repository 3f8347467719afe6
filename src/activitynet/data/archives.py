"""Photos inside tar and Arrow files."""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from activitynet.data.files import is_photo, natural_key
from activitynet.errors import DataError, ImageError, clipped

COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
"""Extensions of tar files that cannot be read in random order."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")  # how such files start
_BLOCK = 512
_MAX_HEADER = 2**20  # bytes of one header with its long names and attributes
_PIECE = 2**20


def index_tar(file: IO[bytes], name: str) -> dict[str, tuple[int, int]]:
    """List the regular files in a tar file by name.

    Only headers are read. Nothing is skipped in silence: `tarfile` by itself takes a damaged header, or the
    point where a file was cut off, for the end.

    Args:
        file: The tar file, opened for reading; left anywhere.
        name: What messages call it.

    Returns:
        The offset in the file and the size in bytes of each member. Names are relative, without dots.

    Raises:
        DataError: The file is no plain tar file, truncated or damaged; or a member has a name that leads out
            of it, is there twice, or is a link.
    """
    if file.read(8).startswith(_COMPRESSED):
        raise DataError(compressed(name))
    members: dict[str, tuple[int, int]] = {}
    length = file.seek(0, 2)
    for info in _headers(file, name):
        if info.isdir():
            continue
        if not info.isreg() or info.issparse():
            raise _fault(
                name,
                f"{info.name!r} is a link or no regular file. Pack it with --dereference --hard-dereference",
            )
        path = PurePosixPath(info.name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in info.name:
            raise _fault(name, f"the name {info.name!r} leads out of it. Pack it with relative names")
        if not 0 <= info.offset_data <= info.offset_data + info.size <= length:
            raise _fault(name, f"it ends in the midst of {info.name!r}. Copy it again")
        if members.setdefault(str(path), (info.offset_data, info.size))[0] != info.offset_data:
            raise _fault(name, f"{str(path)!r} is in it twice. Pack each once")
    return members


def compressed(name: str) -> str:
    """Return the refusal of a compressed tar file, and what to do."""
    return (
        f"cannot use {name!r}: it is compressed, and photos are read from it in random order. Uncompress it "
        f"(gunzip, bunzip2, unxz or unzstd), which for photos takes hardly more room."
    )


def _fault(name: str, reason: str) -> DataError:
    return DataError(f"cannot use tar file {name!r}: {reason}.")


def _headers(file: IO[bytes], name: str) -> Iterator[tarfile.TarInfo]:
    """Yield the header of each member, and then check that the end is one."""
    file.seek(0)
    try:
        with tarfile.open(fileobj=_HeaderReader(file), mode="r:", errorlevel=2) as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # it would keep every header
                yield info
            end = tar.offset
    except Exception as error:  # damaged headers make it raise errors of any kind
        raise _fault(
            name, f"it is truncated, damaged or no tar file ({clipped(error)}). Copy or pack it again"
        ) from error
    _check_end(file, name, end)


def _check_end(file: IO[bytes], name: str, end: int) -> None:
    """Refuse a file that does not end in zeros where its last member ends."""
    file.seek(end)
    start = file.read(_BLOCK)
    if len(start) < _BLOCK:
        raise _fault(name, "it has no end mark: it was cut off, or its writer was. Copy or pack it again")
    if any(start):
        raise _fault(name, f"the header at byte {end} is damaged. Copy or pack it again")
    while piece := file.read(_PIECE):
        if piece.count(0) < len(piece):
            raise _fault(
                name, "something follows its end mark, as where tar files were joined. Give them one by one"
            )


class _HeaderReader:
    """A file that refuses to read much at once, since a header's size is anyone's claim."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise OSError(f"a header claims {size} bytes")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


_END = b"\xff\xff\xff\xff\0\0\0\0"


def index_arrow(file: IO[bytes], name: str) -> dict[str, tuple[int, int]]:
    """List the photos in an Arrow stream file by ``"column/row"``; rows count from 0.

    Args:
        file: The file, opened for reading.
        name: What messages call it.

    Returns:
        The offset in the file and the size in bytes of each photo that the file holds.

    Raises:
        DataError: The file cannot be read, is damaged or compressed.
    """
    places: dict[str, tuple[int, int]] = {}
    row = 0
    with arrow_errors(name):
        for batch, base, length in arrow_batches(file):
            for number, field in enumerate(batch.schema):
                images = image_storage(batch.column(number))
                if images is None:
                    continue
                for index, start, size in _stretches(images, base, length, name):
                    places[f"{field.name}/{row + index}"] = start, size
            row += batch.num_rows
    return places


@contextlib.contextmanager
def arrow_errors(name: str) -> Iterator[None]:
    """Turn whatever a damaged Arrow file makes its reader raise into a `DataError`; name it in messages."""
    try:
        yield
    except DataError:
        raise
    except ImportError as error:
        raise DataError(f"to read {name!r}, install pyarrow: pip install 'activitynet[datasets]'.") from error
    except Exception as error:
        reason = clipped(error) or type(error).__name__
        raise DataError(f"cannot read Arrow file {name!r}: {reason}. Write it again.") from error


def arrow_batches(file: IO[bytes]) -> Iterator[tuple[Any, int, int]]:
    """Yield the record batches of a memory-mapped Arrow stream file; to be used within `arrow_errors`.

    Args:
        file: The file, opened for reading.

    Yields:
        A `pyarrow.RecordBatch`, whose buffers have been checked to be as long as it says; and the address and
        length of the file in memory.
    """
    import pyarrow as arrow  # noqa: PLC0415 - only for those who have such files

    whole = arrow.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    with arrow.ipc.open_stream(whole) as stream:
        for batch in stream:
            batch.validate()
            yield batch, whole.address, whole.size
    if whole[-len(_END) :].to_pybytes() != _END:
        raise ValueError("it has no end mark, since it was cut off")


def image_storage(column: Any) -> Any | None:
    """Return a column of photos as the struct array it is stored in, or `None` where it is none."""
    import pyarrow as arrow  # noqa: PLC0415

    storage = column.storage if isinstance(column, arrow.ExtensionArray) else column
    kind = storage.type
    if not arrow.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return None
    content = kind.field("bytes").type
    return storage if arrow.types.is_binary(content) or arrow.types.is_large_binary(content) else None


def _stretches(images: Any, base: int, length: int, name: str) -> Iterator[tuple[int, int, int]]:
    """Yield index, offset in the file and size of each photo whose bytes are in a struct array."""
    import pyarrow as arrow  # noqa: PLC0415

    content = images.flatten()[images.type.get_field_index("bytes")]
    _, positions, data = content.buffers()
    if data is None or not len(content):
        return
    first = data.address - base if data.size else 0  # a buffer of no bytes lies nowhere
    if not 0 <= first <= first + data.size <= length:
        raise DataError(f"cannot use Arrow file {name!r}: it is compressed. Save it without compression.")
    kind = np.int64 if arrow.types.is_large_binary(content.type) else np.int32
    edges = np.frombuffer(positions, kind, count=content.offset + len(content) + 1)[content.offset :]
    starts, ends = edges[:-1].astype(np.int64), edges[1:].astype(np.int64)
    if (starts < 0).any() or (ends < starts).any() or (ends > data.size).any():
        raise DataError(f"cannot use Arrow file {name!r}: it is damaged. Write it again.")
    present = content.is_valid().to_numpy(zero_copy_only=False)
    for index in np.flatnonzero(present).tolist():
        yield index, first + int(starts[index]), int(ends[index] - starts[index])


_EXTENSIONS = (".tar", ".arrow", *COMPRESSED_TARS)
_MAX_BYTES = 2**30  # of one photo

_Signature = tuple[int, int, int, int]


def is_container(path: Path) -> bool:
    """Tell by its extension whether a file is meant to hold photos."""
    return path.name.lower().endswith(_EXTENSIONS)


def file_of(path: Path) -> Path:
    """Return the file that holds a photo's bytes: itself, or what it lies inside."""
    place = os.fspath(path)
    while not os.path.isfile(place):  # noqa: PTH113 - as text: it is done for each photo of each epoch
        above = os.path.dirname(place)  # noqa: PTH120
        if above == place:
            return path
        place = above
    return Path(place)


def read_member(path: Path) -> bytes:
    """Read what lies inside a tar or Arrow file.

    Raises:
        NotADirectoryError: The path goes on after a file of another kind.
        ImageError: Nothing of that name is in it, or the file is damaged.
    """
    container = file_of(path)
    if container == path or not is_container(container):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    name = os.fspath(path)[len(os.fspath(container)) + 1 :]
    try:
        with container.open("rb") as file:
            place = _index(os.path.abspath(container), _signature(file.fileno())).get(name)  # noqa: PTH100
            if place is None:
                raise ImageError(
                    f"cannot read photo {str(path)!r}: {str(container)!r} holds no {name!r}. Check the name."
                )
            offset, size = place
            if size > _MAX_BYTES:
                raise ImageError(
                    f"cannot read photo {str(path)!r}: it has {size} bytes, and at most "
                    f"{_MAX_BYTES} are read."
                )
            file.seek(offset)
            return file.read(size)
    except (DataError, OSError) as error:
        raise ImageError(f"cannot read photo {str(path)!r}: {error}") from error


def member_names(container: Path) -> list[str]:
    """List what lies inside a tar or Arrow file, in its order.

    Raises:
        DataError: The file cannot be read, or is damaged.
    """
    try:
        with container.open("rb") as file:
            return list(_index(os.path.abspath(container), _signature(file.fileno())))  # noqa: PTH100
    except OSError as error:
        raise DataError(f"cannot read {str(container)!r}: {error.strerror or error}.") from error


def photos_inside(container: Path) -> list[Path]:
    """List the photos inside a tar or Arrow file, in natural order.

    Raises:
        DataError: The file cannot be read, or is damaged.
    """
    named = container.suffix.lower() != ".arrow"  # where photos have no extensions
    inside = (container / name for name in sorted(member_names(container), key=natural_key))
    return [path for path in inside if is_photo(path) or not named]


@functools.cache
def _index(container: str, signature: _Signature) -> dict[str, tuple[int, int]]:
    """Return where everything lies in a container, as it is now: found once by each process."""
    path = Path(container)
    with path.open("rb") as file:
        if _signature(file.fileno()) != signature:
            raise DataError(f"{container!r} is being changed. Try again.")
        return (index_arrow if path.suffix.lower() == ".arrow" else index_tar)(file, container)


def _signature(file: int) -> _Signature:
    status = os.fstat(file)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
