"""Write files and folders whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from activitynet.errors import StorageError
from activitynet.serialization.paths import user_path


def cannot_write(path: Path, error: OSError) -> StorageError:
    """Return the error to raise where a file or folder could not be written."""
    reason = error.strerror or str(error)
    return StorageError(f"cannot write {str(path)!r}: {reason}. Free the disk or choose another place.")


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replaced_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it replaces ``path`` in one step.

    Args:
        path: The file to write. Missing parent folders are made.

    Raises:
        StorageError: The disk is full, or the place is not writable. An existing file is kept.
    """
    path = user_path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # if nothing could be written, there is nothing to remove
            temporary.unlink()


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` in one step (see `replaced_file`)."""
    with replaced_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` in one step (see `replaced_file`)."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` in one step; NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def replaced_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``path``; on success it replaces ``path``.

    Not every system can swap folders in one step. The old folder is renamed first and deleted last, so that
    a complete folder, old or new, is on disk at any time.

    Args:
        path: The folder to write. Missing parent folders are made.

    Raises:
        StorageError: The disk is full, the place is not writable, or it is the current folder. An existing
            folder is kept.
    """
    path = user_path(path)
    if _holds_this_process(path):
        raise StorageError(
            f"cannot write to {str(path)!r}: it is the current folder or holds it, and would be replaced. "
            "Name a folder in it."
        )
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        temporary.mkdir()  # with permissions by the umask, unlike tempfile
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
        old = temporary.with_suffix(".old")
        if path.exists():
            path.rename(old)
        try:
            temporary.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
        try:
            _sync_folder(path.parent)
        finally:
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    except StorageError as error:  # of a file inside: name the path that the caller knows
        raise StorageError(str(error).replace(str(temporary), str(path))) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _holds_this_process(folder: Path) -> bool:
    try:
        return folder.is_dir() and Path.cwd().is_relative_to(folder.resolve())
    except OSError:  # the folder was removed, or cannot be read
        return False
