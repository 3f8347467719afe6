"""Tar shards in the layout of WebDataset: a sample is what has one key, the name up to its first dot.

``000123.jpg`` with ``000123.cls`` (a class's number, or its name), ``000123.json`` (``label``, and as you
like ``group`` and ``source``) or ``000123.txt`` (a class's name). What numbers mean, a file ``classes.txt``
beside the shards tells: a class's name a line, that of 0 first.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from activitynet import strict_json
from activitynet.data.class_names import read_class_names
from activitynet.data.containers import member_names, read_member
from activitynet.data.folders import (
    IMAGE_EXTENSIONS,
    is_folder,
    is_hidden,
    is_photo,
    natural_key,
    visible_entries,
)
from activitynet.data.listing import Entry, listed_photos, text_of
from activitynet.data.photos import SPLIT_NAMES, PhotoData
from activitynet.data.splits import check_hold_out
from activitynet.data.tars import COMPRESSED_TARS, compressed
from activitynet.errors import DataError, ImageError, clipped, shown

NAMES = "classes.txt"
"""The file that says what numbers mean."""

_RANGE = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")
_NUMBER = re.compile("[0-9]{1,9}")
_MOST_SHARDS = 1_000_000  # that a pattern names
_LABELS = ("cls", "json", "txt")


def is_shards(path: str | os.PathLike[str]) -> bool:
    """Tell whether a place is a tar file, a pattern of such, or a folder of them and of no other folders."""
    place = Path(path)
    if not is_folder(place):
        return _is_tar(place)
    return any(_is_tar(file) for file in _files_of_shards(place))


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path has a range of numbers in it, such as ``{0000..0012}``."""
    return _RANGE.search(os.fspath(path)) is not None


def open_shards(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the photos in tar shards. None is opened or unpacked, but their labels are read.

    Shards are of the split that their name has among its words (``train-0001.tar``, ``imagenet-val-07.tar``)
    or that their folder is called; either all of them name one, or none does. Without ``val`` shards, a share
    of the groups is held out.

    Args:
        path: A tar file; several, as ``shards/train-{0000..0012}.tar``; or a folder that holds them, or has
            folders ``train``, ``val`` and ``test`` that do.
        classes: Class names in the order of the labels. By default those of ``classes.txt``; without it as
            for `listed_photos`.
        val_fraction: Share of the photos to hold out, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: A shard is missing, compressed, truncated or damaged; a photo has no label, or a label no
            class; or a sample has two photos.
    """
    check_hold_out(val_fraction, seed)
    place = Path(path)
    name = f"shards {str(place)!r}"
    files = _files_of_shards(place) if is_folder(place) else _expanded(place)
    shards = [file for file in files if _is_tar(file)]
    if not shards:
        raise DataError(f"{name} are no tar files.")
    loose = next(filter(is_photo, files), None)
    if loose is not None:
        raise DataError(f"photo {str(loose)!r} lies beside tar files, without a label. Move it elsewhere.")
    names = _names_of_numbers(place if is_folder(place) else shards[0].parent)
    ignored = [file for file in files if not _is_tar(file) and file.name != NAMES]
    entries: list[Entry] = []
    for shard, split in zip(shards, _splits(place, shards), strict=True):
        if shard.name.lower().endswith(COMPRESSED_TARS):
            raise DataError(compressed(str(shard)))
        for key, members in _samples(shard):
            photo = _photo(shard, key, members)
            if photo is None:
                ignored += [shard / member for member in members.values()]
            else:
                entries.append(_entry(shard, photo, members, split, names))
    return listed_photos(
        entries,
        name,
        classes=names if classes is None else classes,
        val_fraction=val_fraction,
        seed=seed,
        ignored=tuple(ignored),
    )


def _names_of_numbers(folder: Path) -> list[str] | None:
    file = folder / NAMES
    return read_class_names(file) if os.path.lexists(file) else None


def _is_tar(path: Path) -> bool:
    return path.name.lower().endswith((".tar", *COMPRESSED_TARS))


def _files_of_shards(folder: Path) -> list[Path]:
    """List the files of a folder that holds no folders, or only those of splits that hold none; else none.

    A tar file beside folders of photos is what they were unpacked from.
    """
    entries = visible_entries(folder)
    folders = [entry for entry in entries if is_folder(entry)]
    files = [entry for entry in entries if not is_folder(entry)]
    if folders and (
        any(map(_is_tar, files)) or any(entry.name.lower() not in SPLIT_NAMES for entry in folders)
    ):
        return []
    below = [file for entry in folders for file in visible_entries(entry)]
    return [] if any(map(is_folder, below)) else below + files


def _expanded(pattern: Path) -> list[Path]:
    """List the files that a name with ranges such as ``{0000..0012}`` means."""
    pieces = _RANGE.split(str(pattern))
    if len(pieces) == 1 or os.path.lexists(pattern):
        return [pattern]
    texts, firsts, lasts = pieces[::3], pieces[1::3], pieces[2::3]
    ranges = [range(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]
    if not 0 < math.prod(map(len, ranges)) <= _MOST_SHARDS:
        raise DataError(f"{str(pattern)!r} names no shards, or too many. Correct its range.")
    files = []
    for numbers in itertools.product(*ranges):
        written = (f"{number:0{len(first)}}" for number, first in zip(numbers, firsts, strict=True))
        files.append(Path("".join(text + digits for text, digits in zip(texts, (*written, ""), strict=True))))
    return files


def _splits(place: Path, shards: Sequence[Path]) -> list[str]:
    """Return the split of each shard; without one in any name, all are for training."""
    splits: dict[Path, str] = {}
    for shard in shards:
        in_folder = shard.parent != place and is_folder(place)
        words = re.split("[^a-z]+", (shard.parent if in_folder else shard).name.lower())
        found = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
        if len(found) > 1:
            raise DataError(f"{str(shard)!r} names two splits, {' and '.join(sorted(found))}. Rename it.")
        if found:
            splits[shard] = found.pop()
    if splits and len(splits) < len(shards):
        without = next(shard for shard in shards if shard not in splits)
        raise DataError(f"{str(without)!r} names no split, and {str(next(iter(splits)))!r} does. Rename it.")
    return [splits.get(shard, "train") for shard in shards]


def _samples(shard: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each key in a shard, in natural order, with its members' names by extension."""
    samples: dict[str, dict[str, str]] = defaultdict(dict)
    for name in member_names(shard):
        path = PurePosixPath(name)
        if any(map(is_hidden, path.parts)):
            continue
        stem, _, extension = path.name.partition(".")
        members = samples[str(path.parent / stem)]
        if members.setdefault(extension.lower(), name) != name:
            raise DataError(
                f"{str(shard)!r}: {members[extension.lower()]!r} and {name!r} are one name. Rename one."
            )
    yield from sorted(samples.items(), key=lambda sample: natural_key(sample[0]))


def _photo(shard: Path, key: str, members: Mapping[str, str]) -> str | None:
    """Return the name of a sample's photo, or `None` where it neither has one nor should."""
    photos = [name for extension, name in members.items() if f".{extension}" in IMAGE_EXTENSIONS]
    if len(photos) > 1:
        raise DataError(
            f"{str(shard)!r}: sample {key!r} has {len(photos)} photos, {photos[0]!r} and {photos[1]!r}. "
            f"Pack each with a key of its own."
        )
    meant = [name for name in members.values() if PurePosixPath(name).suffix.lower() in IMAGE_EXTENSIONS]
    if not photos and (meant or "cls" in members):
        what = ", ".join(repr(name) for name in [*members.values()][:3])
        raise DataError(
            f"{str(shard)!r}: sample {key!r} has no photo ({what}). A key ends at a name's first dot: rename "
            f"names with more dots, and pack a photo ({key}.jpg, say) with each label."
        )
    return photos[0] if photos else None


def _entry(
    shard: Path, photo: str, members: Mapping[str, str], split: str, names: Sequence[str] | None
) -> Entry:
    path = shard / photo
    try:
        values = _described(shard, members)
        label = values.get("label")
        if type(label) is not int:
            label = text_of(values, "label")
        elif names is not None:
            if not 0 <= label < len(names):
                raise DataError(f"label {label} is not one of the {len(names)} classes of {NAMES!r}.")
            label = names[label]
        group, source = (text_of(values, column, whole=True) for column in ("group", "source"))
    except (DataError, ImageError) as error:
        raise DataError(f"photo {str(path)!r}: {error}") from error
    if label == "":
        stem = photo.rpartition(".")[0]
        raise DataError(
            f'photo {str(path)!r} has no label. Pack {stem}.cls, {stem}.txt or {stem}.json with a "label".'
        )
    return Entry(path, label, split, group, source)


def _described(shard: Path, members: Mapping[str, str]) -> dict[str, Any]:
    """Return what a sample's other members say of its photo."""
    texts = {kind: _text(shard / members[kind]) for kind in _LABELS if kind in members}
    values: dict[str, Any] = {}
    if "json" in texts:
        try:
            values = strict_json.parse(texts["json"])
        except ValueError as error:
            raise DataError(f"{members['json']!r} is not JSON ({clipped(error)}).") from error
        if not isinstance(values, dict):
            raise DataError(f"{members['json']!r} must be a JSON object, got {shown(values)}.")
    if "cls" in texts:
        number = texts["cls"].strip()
        values["label"] = int(number) if _NUMBER.fullmatch(number) else number
    elif values.get("label") is None and "txt" in texts:
        values["label"] = texts["txt"]
    return values


def _text(path: Path) -> str:
    content = read_member(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name!r} is not UTF-8 ({error.reason}).") from error
