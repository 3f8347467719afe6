"""Labelled photos in folders, one a class, and the torch dataset that reads them."""

from __future__ import annotations

import hashlib
import itertools
import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import Dataset

from activitynet.data.activities import ACTIVITIES, slug
from activitynet.data.decode import decode_image, verify_image
from activitynet.data.folders import is_folder, is_photo, natural_key, visible_entries, walk_files
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError, ImageError, did_you_mean

_SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LAYOUT = (
    "Put the photos of each class in a folder with its name: data/dancing/1.jpg, "
    "or data/train/dancing/1.jpg and data/val/dancing/2.jpg."
)
_LISTED = 10  # bad photos that one message names


@dataclass(frozen=True)
class Photo:
    """A photo's file and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class PhotoData:
    """A data set: its classes, and its photos by split.

    Attributes:
        classes: Class names; in every split a photo's label is an index into them.
        train: Photos to learn from.
        val: Photos to choose and stop by.
        test: Photos kept apart; there are some only where there is a ``test`` folder.
        ignored: Files that are no photos by their extension, for the caller to mention.
    """

    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    val: tuple[Photo, ...]
    test: tuple[Photo, ...] = ()
    ignored: tuple[Path, ...] = ()


def open_folder(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the photos of a folder that holds one folder a class, perhaps below ``train``, ``val``, ``test``.

    Photos may lie at any depth below their class's folder; hidden files are passed over. ``valid`` and
    ``validation`` also mean ``val``. Where there is ``train`` (or no split at all) but no ``val``, a
    share of each class's photos is held out; a class with a single photo keeps it for training.

    Args:
        path: The folder.
        classes: Class names in the order of the labels. Folders are matched to them by name or else by
            `slug`; a class without photos keeps its place. By default they are the names of the
            folders in natural order, or `ACTIVITIES` where every folder is one of those and at least
            half of them are there.
        val_fraction: Share of each class's photos to hold out, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: The folder is missing, empty or laid out in another way, a folder is no known class,
            or there are photos to train on of one class only.
    """
    root = Path(path)
    if not is_folder(root):
        fault = "is not a folder" if os.path.lexists(root) else "cannot be found"
        raise DataError(f"data folder {str(root)!r} {fault}. {_LAYOUT}")
    if not 0 <= val_fraction < 1:
        raise DataError(f"val_fraction must lie in [0, 1), got {val_fraction!r}.")
    if not 0 <= seed < 2**32:
        raise DataError(f"seed must lie in [0, 2**32), got {seed!r}.")

    ignored: list[Path] = []
    folders = _folders_by_split(root, ignored)
    names = _inferred_classes(folders) if classes is None else _checked_classes(classes)
    photos = {split: _labelled(group, names, ignored) for split, group in folders.items()}
    for split, found in photos.items():
        if not found:
            where = f"{str(root)!r}" if len(photos) == 1 else f"the {split!r} folder of {str(root)!r}"
            others = f" ({len(ignored)} files of other kinds, such as {ignored[0].name!r})" if ignored else ""
            raise DataError(f"{where} holds no photos{others}. {_LAYOUT}")
    train, val = photos.get("train", ()), photos.get("val", ())
    labels = {photo.label for photo in train}
    if len(labels) == 1:
        only = names[labels.pop()]
        raise DataError(f"{str(root)!r} holds photos of one class only, {only!r}: add a second. {_LAYOUT}")
    if train and "val" not in photos:
        train, val = _held_out(train, val_fraction, seed)
    return PhotoData(names, train, val, photos.get("test", ()), tuple(ignored))


def _checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    names = tuple(classes)
    if isinstance(classes, str) or len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"classes must be two or more names, each listed once, got {classes!r}.")
    return names


def _folders_by_split(root: Path, ignored: list[Path]) -> dict[str, list[Path]]:
    """Find the class folders of each split; without splits, all are for training."""
    folders = _subfolders(root, ignored)
    splits: dict[str, Path] = {}
    classes = []
    for folder in folders:
        split = _SPLIT_NAMES.get(folder.name.lower())
        if split is None:
            classes.append(folder)
        elif split in splits:
            raise DataError(
                f"{str(root)!r} holds {splits[split].name!r} and {folder.name!r}, which both mean {split!r}. "
                f"Merge them."
            )
        else:
            splits[split] = folder
    if not splits:
        return {"train": classes}
    if classes:
        raise DataError(
            f"{str(root)!r} mixes the split {next(iter(splits.values())).name!r} with other folders such as "
            f"{classes[0].name!r}. {_LAYOUT}"
        )
    return {split: _subfolders(folder, ignored) for split, folder in splits.items()}


def _subfolders(folder: Path, ignored: list[Path]) -> list[Path]:
    folders = []
    for entry in visible_entries(folder):
        if is_folder(entry):
            folders.append(entry)
        elif is_photo(entry):
            raise DataError(f"photo {str(entry)!r} is in no class's folder. {_LAYOUT}")
        else:
            ignored.append(entry)
    return folders


def _class_name(folder: Path) -> str:
    """Return a folder's name as text that is the same on every system and fits into JSON."""
    readable = os.fsencode(folder.name).decode("utf-8", errors="replace")
    return unicodedata.normalize("NFC", readable)


def _inferred_classes(folders: dict[str, list[Path]]) -> tuple[str, ...]:
    every = [_class_name(folder) for group in folders.values() for folder in group]
    slugs = {slug(name) for name in every}
    if slugs <= {slug(name) for name in ACTIVITIES} and 2 * len(slugs) >= len(ACTIVITIES):
        return ACTIVITIES
    # A folder that only val or test has is no class: nothing would be learned of it.
    names = [_class_name(folder) for folder in folders.get("train", ())] or every
    return tuple(sorted(set(names), key=natural_key))


def _labelled(folders: list[Path], classes: tuple[str, ...], ignored: list[Path]) -> tuple[Photo, ...]:
    """List the photos below class folders, by label and then in natural order."""
    folder_of: dict[int, Path] = {}
    for folder in folders:
        label = _label(folder, classes)
        if label in folder_of:
            both = f"{str(folder_of[label])!r} and {str(folder)!r}"
            raise DataError(f"{both} are one class, {classes[label]!r}. Merge them.")
        folder_of[label] = folder
    photos = []
    for label, folder in sorted(folder_of.items()):
        for file in walk_files(folder):
            if is_photo(file):
                photos.append(Photo(file, label))
            else:
                ignored.append(file)
    return tuple(photos)


def _label(folder: Path, classes: tuple[str, ...]) -> int:
    name = _class_name(folder)
    matches = [label for label, known in enumerate(classes) if known == name] or [
        label for label, known in enumerate(classes) if slug(known) == slug(name)
    ]
    if len(matches) > 1:
        found = " and ".join(repr(classes[label]) for label in matches[:2])
        raise DataError(f"folder {str(folder)!r} could be class {found}. Give it the exact name of one.")
    if not matches:
        raise DataError(
            f"folder {str(folder)!r} is not one of the {len(classes)} classes.{did_you_mean(name, classes)} "
            f"Rename or remove it, or list its class."
        )
    return matches[0]


def _held_out(
    photos: tuple[Photo, ...], fraction: float, seed: int
) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Split class by class, so that no class lends its share to another or loses all of its photos."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - slow to import, seldom needed

    train: list[Photo] = []
    val: list[Photo] = []
    for _, same_class in itertools.groupby(photos, key=lambda photo: photo.label):
        group = list(same_class)
        count = min(max(round(fraction * len(group)), 1), len(group) - 1) if fraction else 0
        held = set()
        if count:
            held = set(train_test_split(range(len(group)), test_size=count, random_state=seed)[1])
        for index, photo in enumerate(group):
            (val if index in held else train).append(photo)
    return tuple(train), tuple(val)


class PhotoDataset(Dataset[tuple[torch.Tensor, int, int]]):
    """Labelled photos as tensors.

    An item is ``(image, label, index)``. What is random in it depends on the seed, the epoch and the
    index alone: not on the number of workers, nor on what was drawn before.

    Args:
        photos: The photos, in the order of their indices.
        transform: Turns a PIL image of mode RGB into a tensor.
        seed: Any whole number.
    """

    def __init__(
        self, photos: Sequence[Photo], transform: Callable[[Image.Image], torch.Tensor], *, seed: int = 0
    ) -> None:
        self.photos = tuple(photos)
        self.transform = transform
        self.seed = seed
        # In shared memory, so that workers that outlive an epoch learn of the next.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Draw anew: call before each epoch."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        """Return the image, its label and its index.

        Raises:
            ImageError: The photo cannot be read.
        """
        photo = self.photos[index]
        image = decode_image(photo.path)
        if isinstance(self.transform, Preprocess):
            return self.transform(image), photo.label, index
        key = f"{self.seed} {self._epoch.item()} {index}".encode()
        # The CPU's generator alone is seeded and restored: torch.manual_seed would reach the GPU's, too.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(
                int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big", signed=True)
            )
            return self.transform(image), photo.label, index


def check_photos(photos: Iterable[Photo], *, workers: int = 4) -> None:
    """Decode every photo once, so that a bad one is known before training rather than hours into it.

    Args:
        photos: What to check.
        workers: Threads to decode with, at least 1.

    Raises:
        DataError: Some photos cannot be read; the message says how many, and lists the first ten.
    """

    def fault(photo: Photo) -> str | None:
        try:
            verify_image(photo.path)
        except ImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        results = list(pool.map(fault, photos))
    bad = [result for result in results if result is not None]
    if bad:
        listed = "\n".join(f"  {message}" for message in bad[:_LISTED])
        more = f"\n  and {len(bad) - _LISTED} more" if len(bad) > _LISTED else ""
        raise DataError(
            f"{len(bad)} of {len(results)} photos cannot be read; repair or remove them:\n{listed}{more}"
        )
