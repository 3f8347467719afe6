"""Photos inside other files: a path that goes on after a tar or Arrow file leads to what lies in it.

``shard-0001.tar/000123.jpg`` is the member ``000123.jpg`` of a tar file, and ``rows.arrow/image/17`` what an
Arrow file, as `datasets` writes them, has in column ``image`` of row 17, counted from 0. Nothing is unpacked:
where each photo lies is found once, and its bytes are read from there. As these are paths, whatever handles
paths (tables, splits, reports, the hash of a data set) handles these photos.
"""

from __future__ import annotations

import errno
import functools
import os
from pathlib import Path

from activitynet.data.arrow import index_arrow
from activitynet.data.folders import is_photo, natural_key
from activitynet.data.tars import COMPRESSED_TARS, index_tar
from activitynet.errors import DataError, ImageError

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
