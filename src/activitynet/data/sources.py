"""List photos in tar shards and in Hugging Face data sets, saved to disk or on the Hub."""

from __future__ import annotations

import itertools
import logging
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from activitynet.data.archives import (
    COMPRESSED_TARS,
    arrow_table,
    compressed,
    image_columns,
    image_parts,
    member_names,
    read_member,
)
from activitynet.data.dataset import SPLIT_NAMES, PhotoData, read_class_names, split_named
from activitynet.data.files import (
    IMAGE_EXTENSIONS,
    absolute,
    has_photo_extension,
    is_folder,
    is_hidden,
    is_photo,
    natural_key,
    visible_entries,
)
from activitynet.data.listing import Entry, listed_photos, text_of
from activitynet.errors import DataError, ImageError, clipped, did_you_mean, shown
from activitynet.serialization import records
from activitynet.serialization.paths import user_path

_log = logging.getLogger(__name__)

_NAMES = "classes.txt"  # names of numbered labels
_RANGE = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")
_MAX_SHARDS = 1_000_000  # that a pattern names
_LABEL_MEMBERS = ("cls", "json", "txt")

_SAFE = (5, 2)  # version of datasets: older ones unpickle files of a repository
_LABEL_COLUMNS = ("label", "labels", "cls")
# pathlib removes one slash.
_HUB = re.compile(r"hf://?(?P<id>\w[\w.-]*/\w[\w.-]*)(/(?P<config>\w[\w.-]*))?(@(?P<revision>\w[\w./-]*))?")


def is_shards(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a tar file, a pattern of such, or a folder of them without other folders."""
    place = user_path(path)
    return any(map(_is_tar, _files_of_shards(place))) if is_folder(place) else _is_tar(place)


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Return whether a path contains a range of numbers, such as ``{0000..0012}``."""
    return _RANGE.search(os.fspath(path)) is not None


def open_shards(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the photos in tar shards. None is opened or unpacked, but their labels are read.

    The split of a shard is a word of its name (``train-0001.tar``, ``imagenet-val-07.tar``) or the name of
    its folder. Either all shards name a split, or none.

    Args:
        path: A tar file; several, as ``shards/train-{0000..0012}.tar``; or a folder that holds them, directly
            or in folders ``train``, ``val`` and ``test``.
        classes: Class names in the order of the labels; by default those of ``classes.txt``, or else as for
            `listed_photos`.
        val_fraction: Share of the photos to hold out where there are no ``val`` shards, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: A shard is missing, compressed, truncated or damaged; a photo has no label; a label is not
            a class; or a sample has two photos.
    """
    place = user_path(path)
    files = _files_of_shards(place) if is_folder(place) else _expanded(place)
    shards = [file for file in files if _is_tar(file)]
    if not shards:
        raise DataError(f"shards {str(place)!r} are no tar files.")
    for file in files:
        if is_photo(file):
            raise DataError(f"photo {str(file)!r} lies beside tar files, without a label. Move it elsewhere.")
        if file.name.lower().endswith(COMPRESSED_TARS):
            raise DataError(compressed(str(file)))
    listed = (place if is_folder(place) else shards[0].parent) / _NAMES
    names = read_class_names(listed) if os.path.lexists(listed) else None
    ignored = [file for file in files if file not in shards and file != listed]
    entries: list[Entry] = []
    for shard, split in zip(shards, _splits(place, shards), strict=True):
        for key, members in _samples(shard):
            entry = _entry(shard, key, members, split, names)
            if entry is None:
                ignored += [shard / member for member in members.values()]
            else:
                entries.append(entry)
    return listed_photos(
        entries,
        f"shards {str(place)!r}",
        classes=names if classes is None else classes,
        val_fraction=val_fraction,
        seed=seed,
        ignored=ignored,
    )


def _is_tar(path: Path) -> bool:
    return path.name.lower().endswith((".tar", *COMPRESSED_TARS))


def _files_of_shards(folder: Path) -> list[Path]:
    """List the files of a folder without folders, or with folders of splits only; otherwise return none.

    A tar file beside folders of photos is usually their archive.
    """
    entries = visible_entries(folder)
    folders = [entry for entry in entries if is_folder(entry)]
    files = [entry for entry in entries if not is_folder(entry)]
    if folders and (any(map(_is_tar, files)) or not all(split_named(f.name) for f in folders)):
        return []
    below = [file for entry in folders for file in visible_entries(entry)]
    return [] if any(map(is_folder, below)) else below + files


def _expanded(pattern: Path) -> list[Path]:
    """Expand ranges such as ``{0000..0012}`` in a name."""
    pieces = _RANGE.split(str(pattern))
    if len(pieces) == 1 or os.path.lexists(pattern):
        return [pattern]
    texts, firsts, lasts = pieces[::3], pieces[1::3], pieces[2::3]
    ranges = [range(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]
    if not 0 < math.prod(map(len, ranges)) <= _MAX_SHARDS:
        raise DataError(f"{str(pattern)!r} names no shards, or too many. Correct its range.")
    form = "".join(
        text.replace("{", "{{").replace("}", "}}") + f"{{:0{len(first)}}}"
        for text, first in zip(texts, firsts, strict=False)
    )
    return [Path(form.format(*numbers) + texts[-1]) for numbers in itertools.product(*ranges)]


def _splits(place: Path, shards: Sequence[Path]) -> list[str]:
    """Return the split of each shard. If no name has one, all are for training."""
    splits: dict[Path, str] = {}
    for shard in shards:
        in_folder = shard.parent != place and is_folder(place)
        name = shard.parent.name if in_folder else shard.stem
        words = map(split_named, [name, *re.split("[^a-z]+", name.lower())])
        found = {split for split in words if split is not None}
        if len(found) > 1:
            raise DataError(f"{str(shard)!r} names two splits, {' and '.join(sorted(found))}. Rename it.")
        if found:
            splits[shard] = found.pop()
    if splits and len(splits) < len(shards):
        without = next(shard for shard in shards if shard not in splits)
        raise DataError(f"{str(without)!r} names no split, and {str(next(iter(splits)))!r} does. Rename it.")
    return [splits.get(shard, "train") for shard in shards]


def _samples(shard: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the keys of a shard in natural order, each with the names of its members by extension."""
    samples: dict[str, dict[str, str]] = defaultdict(dict)
    for name in member_names(shard):
        path = PurePosixPath(name)
        if any(map(is_hidden, path.parts)):
            continue
        stem, _, extension = path.name.partition(".")
        other = samples[str(path.parent / stem)].setdefault(extension.lower(), name)
        if other != name:
            raise DataError(f"{str(shard)!r}: {other!r} and {name!r} are one name. Rename one.")
    yield from sorted(samples.items(), key=lambda sample: natural_key(sample[0]))


def _entry(
    shard: Path, key: str, members: Mapping[str, str], split: str, names: Sequence[str] | None
) -> Entry | None:
    """Return the entry of a sample, or `None` if it is not about a photo."""
    photos = [name for extension, name in members.items() if f".{extension}" in IMAGE_EXTENSIONS]
    if not photos:
        if "cls" in members or any(map(has_photo_extension, map(Path, members.values()))):
            what = ", ".join(map(repr, list(members.values())[:3]))
            raise DataError(
                f"{str(shard)!r}: sample {key!r} has no photo ({what}). A key ends at a name's first dot: "
                f"rename names with more dots, and pack a photo ({key}.jpg, say) with each label."
            )
        return None
    if len(photos) > 1:
        raise DataError(
            f"{str(shard)!r}: sample {key!r} has {len(photos)} photos, {photos[0]!r} and {photos[1]!r}. "
            f"Pack each with a key of its own."
        )
    path = shard / photos[0]
    try:
        return _labelled(path, _described(shard, members), split, names)
    except (DataError, ImageError) as error:
        raise DataError(f"photo {str(path)!r}: {error}") from error


def _described(shard: Path, members: Mapping[str, str]) -> dict[str, Any]:
    """Return the label, group and source that a sample's other members hold."""
    texts: dict[str, str] = {}
    for kind in _LABEL_MEMBERS:
        if kind in members:
            try:
                texts[kind] = read_member(shard / members[kind]).decode("utf-8-sig").strip()
            except UnicodeDecodeError as error:
                raise DataError(f"{members[kind]!r} is not UTF-8 ({error.reason}).") from error
    values: dict[str, Any] = {}
    if "json" in texts:
        try:
            values = records.parse(texts["json"])
        except ValueError as error:
            raise DataError(f"{members['json']!r} is not JSON ({clipped(error)}).") from error
        if not isinstance(values, dict):
            raise DataError(f"{members['json']!r} must be a JSON object, got {shown(values)}.")
    if "cls" in texts:
        values["label"] = int(texts["cls"]) if re.fullmatch("[0-9]{1,9}", texts["cls"]) else texts["cls"]
    elif values.get("label") is None:
        values["label"] = texts.get("txt")
    return values


def _labelled(path: Path, values: Mapping[str, Any], split: str, names: Sequence[str] | None) -> Entry:
    """Make an entry of a photo's values. With names, numbers are indices into them."""
    label = values.get("label")
    if type(label) is not int:
        label = text_of(values, "label")
    elif names is not None:
        if not 0 <= label < len(names):
            raise DataError(f"label {label} is not one of the {len(names)} classes of {_NAMES!r}.")
        label = names[label]
    if label == "":
        raise DataError(f'it has no label. Pack {path.stem}.cls, .txt or .json with a "label".')
    group, source = (text_of(values, column, whole=True) for column in ("group", "source"))
    return Entry(path, label, split, group, source)


def is_saved_dataset(path: str | os.PathLike[str]) -> bool:
    """Return whether a folder was written by ``save_to_disk`` of `datasets`."""
    folder = user_path(path)
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def is_hub_id(path: str | os.PathLike[str]) -> bool:
    """Return whether a text names a data set on the Hub, such as ``hf://org/name``."""
    return os.fspath(path).startswith("hf:/")


def open_hf_dataset(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the photos of a Hugging Face data set. No photo is opened.

    It needs one column of type ``Image`` (if several, one called ``image``), and labels in the column
    ``label``, ``labels`` or ``cls``, or in the only one of type ``ClassLabel``. Columns ``group`` and
    ``source`` are used if present. The splits are ``train``, ``validation`` (or ``val``) and ``test``; a
    data set without splits is for training.

    Args:
        path: A folder that ``save_to_disk`` wrote; or ``hf://org/name``, ``hf://org/name/config`` or with
            ``@revision`` after it (a branch, a tag or a commit), which is downloaded if necessary.
        classes: Class names in the order of the labels; by default those of the ``ClassLabel``, or else as
            for `listed_photos`.
        val_fraction: Share of the photos to hold out if there are none for validation, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: ``datasets`` is not installed; the data set cannot be loaded or is damaged; a column is
            missing; or a photo has no label.
    """
    written = os.fspath(path)
    on_hub = is_hub_id(path) and not os.path.lexists(path)
    if on_hub:
        written = f"hf://{written[3:].lstrip('/')}"
    name = f"data set {written!r}"
    loaded = _loaded(written, name, on_hub=on_hub)
    entries: list[Entry] = []
    for split_name, part in (loaded if isinstance(loaded, dict) else {"train": loaded}).items():
        split = split_named(split_name)
        if split is None:
            raise DataError(
                f"{name}: split {split_name!r} is none of train, validation and test."
                f"{did_you_mean(split_name, SPLIT_NAMES)} Rename or remove it."
            )
        label = _label_column(part.features, name)
        known = getattr(part.features[label], "names", None)
        classes = known if classes is None else classes
        entries += _hf_entries(part, label, known, split, name)
    return listed_photos(entries, name, classes=classes, val_fraction=val_fraction, seed=seed)


def _loaded(path: str, name: str, *, on_hub: bool) -> Any:
    """Return the `datasets.Dataset`, or several by split."""
    match = _HUB.fullmatch(path)
    if on_hub and match is None:
        raise DataError(f"{path!r} is no data set on the Hub. Write hf://org/name, as on its page.")
    place = str(absolute(user_path(path)))
    if not on_hub and "::" in place:  # fsspec treats it as a chain of file systems
        raise DataError(f"cannot read {name}: its path has '::' in it. Rename the folder.")
    try:
        import datasets  # noqa: PLC0415 - heavy, optional
    except ImportError as error:
        raise DataError(f"to open {name}, install datasets: pip install 'activitynet[datasets]'.") from error
    if on_hub and tuple(map(int, datasets.__version__.split(".")[:2])) < _SAFE:
        raise DataError(f"{name} needs a newer datasets: pip install -U 'activitynet[datasets]'.")
    try:
        if match is None or not on_hub:
            return datasets.load_from_disk(place, keep_in_memory=False)
        # This form never means a local folder of the same name.
        hub_path, revision = f"hf://datasets/{match['id']}", match["revision"]
        return datasets.load_dataset(hub_path, match["config"], revision=revision, keep_in_memory=False)
    except Exception as error:  # damaged files can raise any error
        raise DataError(f"cannot open {name}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if type(error).__name__ == "DatasetNotFoundError":
        return "there is none on the Hub that you may read. Check the id, or log in with `hf auth login`."
    if isinstance(error, ConnectionError) or "Connect" in type(error).__name__:
        return "the Hub cannot be reached. Check the network, or download the data set and give its folder."
    reason = clipped(error) or type(error).__name__
    return f"{reason.rstrip('.')}. Check it, and copy or download it again if it is damaged."


def _columns_of_type(features: Mapping[str, Any], kind: str) -> list[str]:
    return [column for column, feature in features.items() if type(feature).__name__ == kind]


def _columns(features: Mapping[str, Any]) -> str:
    return shown(", ".join(f"{column} ({type(kind).__name__})" for column, kind in features.items()))


def _image_column(features: Mapping[str, Any], name: str) -> str:
    found = _columns_of_type(features, "Image")
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
    typed = _columns_of_type(features, "ClassLabel")
    if named or len(typed) == 1:
        return (named or typed)[0]
    raise DataError(f"{name} has no column 'label' among {_columns(features)}. Rename the one that is.")


def _hf_entries(part: Any, label: str, names: Sequence[str] | None, split: str, name: str) -> list[Entry]:
    """List the rows of one split of a `datasets.Dataset`, from its Arrow files.

    Photos are decoded by this library, never by `datasets`.
    """
    image = _image_column(part.features, name)
    columns = [column for column in (label, "group", "source") if column in part.features]
    entries: list[Entry] = []
    without: list[Path] = []
    for file in [Path(entry["filename"]) for entry in part.cache_files]:
        table = arrow_table(file)
        if image not in image_columns(table) or not set(columns) <= set(table.column_names):
            raise DataError(f"cannot use Arrow file {str(file)!r}: it lacks columns of the data set.")
        content, paths = image_parts(table, image)
        places = paths.to_pylist() if paths is not None else [None] * table.num_rows
        rows = zip(content.is_valid().to_pylist(), places, table.select(columns).to_pylist(), strict=True)
        for row, (inside, elsewhere, values) in enumerate(rows):
            path = file / image / str(row) if inside else Path(elsewhere or "")
            number = values["label"] = values[label]
            if number in (None, "") or (names and type(number) is int and not 0 <= number < len(names)):
                without.append(path)
                continue
            try:
                if not path.is_absolute():
                    raise DataError("the row holds neither a photo nor the absolute path of one.")
                entries.append(_labelled(path, values, split, names))
            except DataError as error:
                raise DataError(f"{name}, photo {str(path)!r}: {error}") from error
    if without and not entries and split == "test":  # as in contests
        _log.warning("%s: its test photos have no labels and are left out", name)
        return []
    if without:
        raise DataError(f"{name}, photo {str(without[0])!r} has no label. Give it one, or remove its row.")
    if len(entries) != part.num_rows:
        raise DataError(f"{name} is a selection of its files' rows. Write it with save_to_disk again.")
    return entries
