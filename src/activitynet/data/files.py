"""Find photo files in folders, in a fixed order."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from activitynet.errors import DataError

IMAGE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif"}
    | {".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
    | {".jp2", ".j2k", ".jpx", ".jpf", ".jpc"}
)
_HEIF_EXTENSIONS = frozenset({".heic", ".heif", ".hif", ".heics"})
_HEIF = re.compile(rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)
_PHOTO = re.compile(  # first bytes of the formats that `activitynet.data.decode` reads, except TIFF
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"
    rb"|....ftypavi[fs]|\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51|P[1-6]\s+[#0-9]",
    re.DOTALL,
)
_TIFF = re.compile(rb"II\*\0|MM\0\*")  # raw photos of cameras start the same way
_COPIES = ("~", ".bak", ".orig", "_original", ".old", ".tmp", ".part", ".partial", ".crdownload", ".download")
_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_NO_CLASSES = frozenset(
    {"__pycache__", "$recycle.bin", "system volume information", "lost+found"}
    | {"@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"}  # of NAS systems
)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts ``"2"`` before ``"10"`` and ignores case, the same on every system."""
    # Splitting on a group alternates text and digits, so two keys never compare a text with a number.
    pieces = re.split(r"([0-9]+)", name)
    return [int(piece) if index % 2 else piece.casefold() for index, piece in enumerate(pieces)], name


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is a dot file, or was left by an operating system."""
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def absolute(path: Path) -> Path:
    """Return an absolute path without dots. Links are not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow them


def is_folder(path: str | Path) -> bool:
    """Return whether a path is a folder, or a link to one."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir may raise without permission


def has_photo_extension(path: Path) -> bool:
    """Return whether a file's extension is that of a photo in a supported format."""
    suffix = path.suffix.lower()
    return suffix in IMAGE_EXTENSIONS or (suffix in _HEIF_EXTENSIONS and can_read_heif())


def is_photo(path: Path) -> bool:
    """Return whether a file is a photo, by its extension or its first bytes.

    Backup copies and unfinished downloads (``1.jpg.part``, ``1.jpg_original``) are not photos.
    """
    if has_photo_extension(path):
        return True
    if path.name.lower().endswith(_COPIES) or not os.path.isfile(path):  # noqa: PTH113 - may raise
        return False
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except OSError:
        return False
    if is_heif(start):
        return can_read_heif()
    return bool(_PHOTO.match(start) or (not path.suffix and _TIFF.match(start)))


def is_heif(start: bytes) -> bool:
    """Return whether a file is a HEIC or HEIF photo, by its first 16 bytes."""
    return _HEIF.match(start) is not None


@functools.cache
def can_read_heif() -> bool:
    """Register pillow-heif with Pillow, and return whether it is installed."""
    try:
        import pillow_heif  # noqa: PLC0415 - optional
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


HEIF_REMEDY = "To read HEIC photos: pip install 'activitynet[heif]'."


def left_out_note(left_out: Sequence[Path], count: int | None = None) -> str:
    """Say how many files and folders were left out, with up to three names and a remedy for HEIC photos.

    Args:
        left_out: The files and folders, or the first of them.
        count: Their total number.
    """
    count = len(left_out) if count is None else count
    some = ", ".join(repr(path.name) for path in left_out[:3])
    more = f" and {count - 3} more" if count > 3 else ""
    heif = any(path.suffix.lower() in _HEIF_EXTENSIONS for path in left_out) and not can_read_heif()
    what = (
        "1 file or folder that is not a photo or class"
        if count == 1
        else (f"{count} files or folders that are not photos or classes")
    )
    return f"left out {what}: {some}{more}.{f' {HEIF_REMEDY}' if heif else ''}"


def visible_entries(folder: Path, left_out: list[Path] | None = None) -> list[Path]:
    """List the entries of a folder in natural order, without hidden ones and folders of operating systems.

    Args:
        folder: The folder.
        left_out: Receives the folders that are left out, such as ``lost+found``, except hidden ones.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    except OSError as error:
        raise DataError(f"cannot read folder {str(folder)!r}: {error.strerror}.") from error
    others = [entry for entry in entries if entry.name.lower() in _NO_CLASSES and is_folder(entry)]
    if left_out is not None:
        left_out += others
    return sorted(set(entries).difference(others), key=lambda entry: natural_key(entry.name))


def _is_made_by_training(folder: Path) -> bool:
    """Return whether a folder holds a training run or weights."""
    return (folder / "config.json").is_file() and (
        (folder / "photos.txt").is_file() or (folder / "model.safetensors").is_file()
    )


def walk_files(folder: Path, left_out: list[Path] | None = None) -> Iterator[Path]:
    """Yield every file below a folder, depth first in natural order, without hidden ones.

    Links to folders are followed, but no folder is entered twice, so a loop of links ends. Folders of
    training runs are skipped.

    Args:
        folder: The folder.
        left_out: Receives the folders that are left out: runs, weights, and those of `visible_entries`.

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
        if identity in entered:
            continue
        entered.add(identity)
        if path != folder and _is_made_by_training(path):
            if left_out is not None:
                left_out.append(path)
        else:
            to_visit.extend(reversed(visible_entries(path, left_out)))
