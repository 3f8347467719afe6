"""Data sets in shards and on the Hugging Face Hub."""

from __future__ import annotations

import itertools
import logging
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from activitynet.data.archives import (
    COMPRESSED_TARS,
    arrow_batches,
    arrow_errors,
    compressed,
    image_storage,
    member_names,
    read_member,
)
from activitynet.data.dataset import SPLIT_NAMES, PhotoData, read_class_names
from activitynet.data.files import (
    IMAGE_EXTENSIONS,
    absolute,
    is_folder,
    is_hidden,
    is_photo,
    natural_key,
    visible_entries,
)
from activitynet.data.listing import Entry, listed_photos, text_of
from activitynet.data.splits import check_val_fraction
from activitynet.errors import DataError, ImageError, clipped, did_you_mean, shown
from activitynet.serialization import records

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
    check_val_fraction(val_fraction, seed)
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
            values = records.parse(texts["json"])
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


_log = logging.getLogger(__name__)

_SAFE = (5, 2)  # of datasets: builders before it unpickle what a repository may hold
_LABEL_COLUMNS = ("label", "labels", "cls")
# A path that went through pathlib has one slash less.
_HUB = re.compile(r"hf://?(?P<id>\w[\w.-]*/\w[\w.-]*)(/(?P<config>\w[\w.-]*))?(@(?P<revision>\w[\w./-]*))?")


def is_saved_dataset(path: str | os.PathLike[str]) -> bool:
    """Tell whether a folder was written by ``save_to_disk``."""
    folder = Path(path)
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def is_hub_id(path: str | os.PathLike[str]) -> bool:
    """Tell whether a text names a data set on the Hub, as ``hf://org/name`` does."""
    return os.fspath(path).startswith("hf:/")


def open_saved_dataset(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the photos of a data set that ``save_to_disk`` wrote. No photo is opened.

    It needs one column of type ``Image`` (or of several one called ``image``), and labels in the column
    ``label``, ``labels`` or ``cls``, or else in the only one of type ``ClassLabel``. Columns ``group`` and
    ``source`` are used where there are some. The splits are ``train``, ``validation`` (or ``val``) and
    ``test``; a data set without splits is to train on. Without validation photos, a share is held out.

    Args:
        path: The folder.
        classes: Class names in the order of the labels. By default those of the ``ClassLabel``; otherwise as
            for `listed_photos`.
        val_fraction: Share of the photos to hold out, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: ``datasets`` is not installed; the folder is damaged; there is no such column; or a photo
            has no label.
    """
    check_val_fraction(val_fraction, seed)
    place = str(absolute(Path(path)))
    name = f"data set {os.fspath(path)!r}"
    if "::" in place:  # fsspec would take it for a chain of file systems
        raise DataError(f"cannot read {name}: its path has '::' in it. Rename the folder.")
    datasets = _datasets(name)
    loaded = _loaded(name, lambda: datasets.load_from_disk(place, keep_in_memory=False))
    return _photo_data(loaded, name, classes, val_fraction, seed)


def open_hub_dataset(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the photos of a data set on the Hugging Face Hub; what is not there yet is downloaded.

    Args:
        path: ``hf://org/name``, ``hf://org/name/config`` or with ``@revision`` behind it: a branch, a tag or
            the hash of a commit, which alone is sure to stay the same.
        classes: As for `open_saved_dataset`.
        val_fraction: As for `open_saved_dataset`.
        seed: As for `open_saved_dataset`.

    Raises:
        DataError: As for `open_saved_dataset`; or there is no such data set, or no network.
    """
    check_val_fraction(val_fraction, seed)
    written = os.fspath(path)
    match = _HUB.fullmatch(written)
    if match is None:
        raise DataError(f"{written!r} is no data set on the Hub. Write hf://org/name, as on its page.")
    name = f"data set 'hf://{written.partition('/')[2].lstrip('/')}'"
    datasets = _datasets(name)
    if tuple(map(int, datasets.__version__.split(".")[:2])) < _SAFE:
        raise DataError(f"{name} needs a newer datasets: pip install -U 'activitynet[datasets]'.")

    def load() -> Any:
        # So written, a local folder of that name is not taken for it.
        return datasets.load_dataset(
            f"hf://datasets/{match['id']}", match["config"], revision=match["revision"], keep_in_memory=False
        )

    return _photo_data(_loaded(name, load), name, classes, val_fraction, seed)


def _datasets(name: str) -> Any:
    try:
        import datasets  # noqa: PLC0415 - heavy, and only for those who have such data sets
    except ImportError as error:
        raise DataError(f"to open {name}, install datasets: pip install 'activitynet[datasets]'.") from error
    return datasets


def _loaded(name: str, load: Callable[[], Any]) -> dict[str, Any]:
    """Return a data set's parts by split."""
    try:
        loaded = load()
    except Exception as error:  # damaged files make it raise errors of any kind
        raise DataError(f"cannot open {name}: {_why(error)}") from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def _why(error: Exception) -> str:
    if type(error).__name__ == "DatasetNotFoundError":
        return "there is none on the Hub that you may read. Check the id, or log in with `hf auth login`."
    if isinstance(error, ConnectionError) or "Connect" in type(error).__name__:
        return "the Hub cannot be reached. Check the network, or download the data set and give its folder."
    reason = clipped(error) or type(error).__name__
    return f"{reason.rstrip('.')}. Check it, and copy or download it again if it is damaged."


def _photo_data(
    parts: Mapping[str, Any], name: str, classes: Sequence[str] | None, val_fraction: float, seed: int
) -> PhotoData:
    entries: list[Entry] = []
    names: Sequence[str] | None = classes
    for written, part in parts.items():
        split = SPLIT_NAMES.get(written.lower())
        if split is None:
            raise DataError(
                f"{name}: split {written!r} is none of train, validation and test."
                f"{did_you_mean(written, SPLIT_NAMES)} Rename or remove it."
            )
        label = _label_column(part.features, name)
        known = getattr(part.features[label], "names", None)
        if names is None:
            names = known
        entries += _entries(part, label, known, split, name)
    return listed_photos(entries, name, classes=names, val_fraction=val_fraction, seed=seed)


def _image_column(features: Mapping[str, Any], name: str) -> str:
    found = [column for column, feature in features.items() if type(feature).__name__ == "Image"]
    if len(found) > 1 and "image" in found:
        found = ["image"]
    if len(found) != 1 or "/" in found[0]:
        several = f"{len(found)} columns" if found else "no column"
        raise DataError(
            f"{name} has {several} of type Image among {_columns(features)}. Cast or rename one to 'image'."
        )
    return found[0]


def _label_column(features: Mapping[str, Any], name: str) -> str:
    named = [column for column in _LABEL_COLUMNS if column in features]
    typed = [column for column, feature in features.items() if type(feature).__name__ == "ClassLabel"]
    if named or len(typed) == 1:
        return (named or typed)[0]
    raise DataError(f"{name} has no column 'label' among {_columns(features)}. Rename the one that is.")


def _columns(features: Mapping[str, Any]) -> str:
    return shown(", ".join(f"{column} ({type(kind).__name__})" for column, kind in features.items()))


def _entries(part: Any, label: str, names: Sequence[str] | None, split: str, name: str) -> list[Entry]:
    image = _image_column(part.features, name)
    columns = [column for column in (label, "group", "source") if column in part.features]
    entries = []
    for file in [Path(entry["filename"]) for entry in part.cache_files]:
        for row, (path, values) in enumerate(_rows(file, image, columns)):
            place = file / image / str(row) if path is None else path
            try:
                entries.append(_column_entry(place, {**values, "label": values[label]}, names, split))
            except DataError as error:
                raise DataError(f"{name}, photo {str(place)!r}: {error}") from error
    without = [entry for entry in entries if entry.label == ""]
    if len(without) == part.num_rows > 0 and split == "test":  # as where a contest keeps its answers
        _log.warning("%s: its test photos have no labels and are left out", name)
        return []
    if without:
        raise DataError(
            f"{name}, photo {str(without[0].path)!r} has no label. Give it one, or remove its row."
        )
    if len(entries) != part.num_rows:
        raise DataError(f"{name} is a selection of its files' rows. Write it with save_to_disk again.")
    return entries


def _rows(file: Path, image: str, columns: Sequence[str]) -> Iterator[tuple[Path | None, dict[str, Any]]]:
    """Yield the rows of an Arrow file: the photo's path, or `None` where its bytes are there; and values."""
    with arrow_errors(str(file)), file.open("rb") as opened:
        for batch, _, _ in arrow_batches(opened):
            images = image_storage(batch.column(image))
            if images is None or images.type.get_field_index("path") < 0:
                raise DataError(f"cannot use Arrow file {str(file)!r}: column {image!r} holds no images.")
            content, paths = (
                images.flatten()[images.type.get_field_index(part)] for part in ("bytes", "path")
            )
            others = batch.select(columns)
            for checked in (paths, *others.columns):
                checked.validate(full=True)
            elsewhere = [
                None if inside else Path(path or "")
                for inside, path in zip(content.is_valid().to_pylist(), paths.to_pylist(), strict=True)
            ]
            yield from zip(elsewhere, others.to_pylist(), strict=True)


def _column_entry(path: Path, values: Mapping[str, Any], names: Sequence[str] | None, split: str) -> Entry:
    label = values["label"]
    if not path.is_absolute():
        raise DataError("the row holds neither a photo nor the absolute path of one.")
    if type(label) is not int:
        label = text_of(values, "label")
    elif names is not None:
        label = names[label] if 0 <= label < len(names) else ""
    group, source = (text_of(values, column, whole=True) for column in ("group", "source"))
    return Entry(path, label, split, group, source)
