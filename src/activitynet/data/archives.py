"""Read photos inside tar and Arrow files. A photo's path is the file's path, then the name inside it."""

from __future__ import annotations

import errno
import functools
import mmap
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any

from activitynet.data.files import has_photo_extension, is_hidden, natural_key
from activitynet.errors import DataError, ImageError, clipped

COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
"""Extensions of compressed tar files. They are refused, since they allow no random access."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")  # first bytes of compressed files
_LABELS = (".cls", ".json", ".txt")  # of members that describe photos
_BLOCK = 512
_MAX_HEADER = 2**20  # bytes of one tar header with its long names and attributes
_MAX_BYTES = 2**30  # of one photo
_ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"

_Signature = tuple[int, int, int, int]


def is_container(path: Path) -> bool:
    """Return whether a file's extension is that of a tar or Arrow file."""
    return path.name.lower().endswith((".tar", ".arrow", *COMPRESSED_TARS))


def file_of(path: Path) -> Path:
    """Return the file that holds a photo's bytes: the photo itself, or its container."""
    place = os.fspath(path)
    while not os.path.isfile(place):  # noqa: PTH113 - faster, for each photo of each epoch
        above = os.path.dirname(place)  # noqa: PTH120
        if above == place:
            return path
        place = above
    return Path(place)


def read_member(path: Path) -> bytes:
    """Read a photo, or another member, of a tar or Arrow file.

    Raises:
        NotADirectoryError: The path continues after a file that is no container.
        ImageError: The file has no such member, or is damaged.
    """
    container = file_of(path)
    if container == path or not is_container(container):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    name = os.fspath(path)[len(os.fspath(container)) + 1 :]
    try:
        content = _arrow_photo(container, name) if _is_arrow(container) else _tar_member(container, name)
    except (DataError, OSError) as error:
        raise ImageError(f"cannot read photo {str(path)!r}: {error}") from error
    if content is None:
        raise ImageError(
            f"cannot read photo {str(path)!r}: {str(container)!r} holds no {name!r}. Check the name."
        )
    return content


def member_names(container: Path) -> list[str]:
    """List the members of a tar file, or the photos of an Arrow file as ``"column/row"``, in stored order.

    Raises:
        DataError: The file cannot be read, or is damaged.
    """
    try:
        if not _is_arrow(container):
            return list(_tar_index(*_identity(container)))
    except OSError as error:
        raise DataError(f"cannot read {str(container)!r}: {error.strerror or error}.") from error
    table = arrow_table(container)
    return [
        f"{column}/{row}"
        for column in image_columns(table)
        for row, valid in enumerate(image_parts(table, column)[0].is_valid().to_pylist())
        if valid
    ]


def photos_inside(container: Path, left_out: list[Path] | None = None) -> list[Path]:
    """List the photos in a tar or Arrow file, in natural order, without hidden ones.

    Args:
        container: The file.
        left_out: Receives the members that are neither photos nor labels.

    Raises:
        DataError: The file cannot be read, or is damaged.
    """
    names = sorted(member_names(container), key=natural_key)
    if _is_arrow(container):
        return [container / name for name in names]
    inside = [container / name for name in names if not any(map(is_hidden, PurePosixPath(name).parts))]
    if left_out is not None:
        others = (path for path in inside if path.suffix.lower() not in _LABELS)
        left_out += [path for path in others if not has_photo_extension(path)]
    return [path for path in inside if has_photo_extension(path)]


def _is_arrow(container: Path) -> bool:
    return container.suffix.lower() == ".arrow"


def _identity(container: Path) -> tuple[str, _Signature]:
    """Return the key of a container in this process's caches. It changes when the file does."""
    status = os.stat(container)  # noqa: PTH116 - only the fields matter
    signature = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    return os.path.abspath(container), signature  # noqa: PTH100 - Path.resolve would follow links


def _tar_member(container: Path, name: str) -> bytes | None:
    offset, size = _tar_index(*_identity(container)).get(name, (0, -1))
    if size > _MAX_BYTES:
        raise DataError(f"it has {size} bytes, and at most {_MAX_BYTES} are read.")
    if size < 0:
        return None
    with container.open("rb") as file:
        file.seek(offset)
        return file.read(size)


@functools.cache
def _tar_index(container: str, _: _Signature) -> dict[str, tuple[int, int]]:
    with open(container, "rb") as file:  # noqa: PTH123
        return index_tar(file, container)


def index_tar(file: IO[bytes], name: str) -> dict[str, tuple[int, int]]:
    """List the regular files in a tar file. Only headers are read.

    `tarfile` alone takes a damaged header or a truncation for the end of the file; here both are errors.

    Args:
        file: The tar file, opened for reading.
        name: Its name in messages.

    Returns:
        Offset and size in bytes of each member, by name.

    Raises:
        DataError: The file is not an uncompressed tar file, is truncated or damaged; or a member is a link,
            occurs twice, or has a name that leads out of the file.
    """
    if file.read(8).startswith(_COMPRESSED):
        raise DataError(compressed(name))
    members: dict[str, tuple[int, int]] = {}
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        with tarfile.open(fileobj=_HeaderReader(file), mode="r:", errorlevel=2) as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # else it keeps every header
                _add_member(members, info, length, name)
            end = tar.offset
    except DataError:
        raise
    except Exception as error:  # damaged headers can raise any error
        reason = f"it is truncated, damaged or no tar file ({clipped(error)}). Copy it again"
        raise _fault(name, reason) from error
    file.seek(end)
    if len(start := file.read(_BLOCK)) < _BLOCK:
        raise _fault(name, "it has no end mark: it was cut off. Copy it again")
    if any(start):
        raise _fault(name, f"the header at byte {end} is damaged. Copy it again")
    while piece := file.read(_MAX_HEADER):
        if piece.count(0) < len(piece):
            raise _fault(name, "another tar file follows its end mark. Give them one by one")
    return members


def _add_member(members: dict[str, tuple[int, int]], info: tarfile.TarInfo, length: int, name: str) -> None:
    if info.isdir():
        return
    path = PurePosixPath(info.name)
    if not info.isreg() or info.issparse():
        raise _fault(
            name, f"{info.name!r} is a link or no regular file. Pack it with --dereference --hard-dereference"
        )
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in info.name:
        raise _fault(name, f"the name {info.name!r} leads out of it. Pack it with relative names")
    if not 0 <= info.offset_data <= info.offset_data + info.size <= length:
        raise _fault(name, f"it was cut off inside {info.name!r}. Copy it again")
    if str(path) in members:
        raise _fault(name, f"{str(path)!r} is in it twice. Pack each once")
    members[str(path)] = info.offset_data, info.size


def compressed(name: str) -> str:
    """Return the message that refuses a compressed tar file."""
    return (
        f"cannot use {name!r}: it is compressed, which prevents random access. Uncompress it (gunzip, "
        f"bunzip2, unxz or unzstd); photos take hardly more space then."
    )


def _fault(name: str, reason: str) -> DataError:
    return DataError(f"cannot use tar file {name!r}: {reason}.")


class _HeaderReader:
    """A file that refuses large reads, since a damaged header can claim any size."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise OSError(f"a header claims {size} bytes")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def arrow_table(path: Path) -> Any:
    """Return an Arrow stream file, such as `datasets` saves, as a memory-mapped `pyarrow.Table`.

    Its buffers are checked to lie within the file.

    Raises:
        DataError: ``pyarrow`` is not installed; or the file cannot be read, is damaged or compressed.
    """
    try:
        return _arrow_table(*_identity(path))
    except DataError:
        raise
    except ImportError as error:
        raise DataError(
            f"to read {str(path)!r}, install pyarrow: pip install 'activitynet[datasets]'."
        ) from error
    except Exception as error:  # damaged files can raise any error
        reason = clipped(error) or type(error).__name__
        raise DataError(f"cannot read Arrow file {str(path)!r}: {reason}. Write it again.") from error


@functools.cache
def _arrow_table(container: str, _: _Signature) -> Any:
    import pyarrow as arrow  # noqa: PLC0415 - optional

    with open(container, "rb") as file:  # noqa: PTH123
        whole = arrow.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if whole[-len(_ARROW_END) :].to_pybytes() != _ARROW_END:
        raise ValueError("it has no end mark: it was cut off")
    batches = []
    with arrow.ipc.open_stream(whole) as stream:
        for batch in stream:
            batch.validate(full=True)
            buffers = [buffer for column in batch.columns for buffer in column.buffers() if buffer]
            if not all(0 <= buffer.address - whole.address < whole.size for buffer in buffers if buffer.size):
                raise ValueError("it is compressed")
            batches.append(batch)
        table = arrow.Table.from_batches(batches, stream.schema)
    image_columns(table)  # fails if names are not text
    return table


def image_columns(table: Any) -> list[str]:
    """Return the names of the columns that hold photos, as `datasets` stores them."""
    import pyarrow as arrow  # noqa: PLC0415

    structs = [field for field in table.schema if arrow.types.is_struct(field.type)]
    kinds = {field.name: {part.name: part.type for part in field.type}.get("bytes") for field in structs}
    return [
        name
        for name, kind in kinds.items()
        if kind in (arrow.binary(), arrow.large_binary()) and table.column_names.count(name) == 1
    ]


def image_parts(table: Any, column: str) -> tuple[Any, Any]:
    """Return the bytes and the paths of a column of photos; the paths are `None` where it has none."""
    kind, parts = table.schema.field(column).type, table[column].flatten()
    path = kind.get_field_index("path")
    return parts[kind.get_field_index("bytes")], parts[path] if path >= 0 else None


def _arrow_photo(container: Path, name: str) -> bytes | None:
    table = arrow_table(container)
    column, _, row = name.rpartition("/")
    if column not in image_columns(table) or not row.isdecimal() or int(row) >= table.num_rows:
        return None
    content = table[column][int(row)].get("bytes")
    if content is not None and content.is_valid and content.as_buffer().size > _MAX_BYTES:
        raise DataError(f"it has more than the {_MAX_BYTES} bytes that are read.")
    return content.as_py() if content is not None else None
