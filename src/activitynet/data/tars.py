"""Where the members of a tar file lie in it, so that each can be read without unpacking any."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Any

from activitynet.errors import DataError, clipped

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
