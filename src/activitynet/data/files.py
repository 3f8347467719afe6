"""Finding photo files in folders: what counts as a photo, and in which order they come."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from activitynet.errors import DataError

IMAGE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif"}
    | {".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts ``"2"`` before ``"10"`` and ignores case, alike on every system."""
    # Splitting on a group alternates text and digits, so two keys never compare a text with a number.
    pieces = re.split(r"([0-9]+)", name)
    return [int(piece) if index % 2 else piece.casefold() for index, piece in enumerate(pieces)], name


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is a dot file or one that an operating system leaves behind."""
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def absolute(path: Path) -> Path:
    """Return a path from the root, without dots, links as they are named."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow them


def is_folder(path: str | Path) -> bool:
    """Tell whether a path is a folder, or a link to one."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir may raise where no permission is given


def is_photo(path: Path) -> bool:
    """Tell by its extension whether a file is meant to be a photo."""
    return path.suffix.lower() in IMAGE_EXTENSIONS


def visible_entries(folder: Path) -> list[Path]:
    """List what a folder holds in natural order, without hidden entries.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    except OSError as error:
        raise DataError(f"cannot read folder {str(folder)!r}: {error.strerror}.") from error
    return sorted(entries, key=lambda entry: natural_key(entry.name))


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, depth first in natural order, without hidden ones.

    Links to folders are followed, but no folder is entered twice, so that a loop of links ends.

    Raises:
        DataError: A folder cannot be read.
    """
    entered: set[tuple[int, int]] = set()
    to_visit = [folder]
    while to_visit:
        path = to_visit.pop()
        if not is_folder(path):
            yield path
            continue
        status = path.stat()
        identity = (status.st_dev, status.st_ino)
        if identity not in entered:
            entered.add(identity)
            to_visit.extend(reversed(visible_entries(path)))
