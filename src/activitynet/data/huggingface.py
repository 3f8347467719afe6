"""Data sets of the Hugging Face `datasets` library: saved to disk, or on the Hub.

They lie in Arrow files, which are read in place. Nothing of a data set is ever run.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from activitynet.data.arrow import arrow_batches, arrow_errors, image_storage
from activitynet.data.folders import absolute
from activitynet.data.listing import Entry, listed_photos, text_of
from activitynet.data.photos import SPLIT_NAMES, PhotoData
from activitynet.data.splits import check_hold_out
from activitynet.errors import DataError, clipped, did_you_mean, shown

_log = logging.getLogger(__name__)

_SAFE = (5, 2)  # of datasets: builders before it unpickle what a repository may hold
_LABELS = ("label", "labels", "cls")
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
    check_hold_out(val_fraction, seed)
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
    check_hold_out(val_fraction, seed)
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
    named = [column for column in _LABELS if column in features]
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
                entries.append(_entry(place, {**values, "label": values[label]}, names, split))
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


def _entry(path: Path, values: Mapping[str, Any], names: Sequence[str] | None, split: str) -> Entry:
    label = values["label"]
    if not path.is_absolute():
        raise DataError("the row holds neither a photo nor the absolute path of one.")
    if type(label) is not int:
        label = text_of(values, "label")
    elif names is not None:
        label = names[label] if 0 <= label < len(names) else ""
    group, source = (text_of(values, column, whole=True) for column in ("group", "source"))
    return Entry(path, label, split, group, source)
