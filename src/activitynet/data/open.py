"""One entry to every kind of data set: folders, tables, tar shards, MPII, contests, the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from activitynet.data import duplicates
from activitynet.data.class_folders import open_folder
from activitynet.data.contest import is_contest, open_contest
from activitynet.data.dataset import PhotoData
from activitynet.data.files import is_folder, left_out_note
from activitynet.data.mpii import open_mpii
from activitynet.data.sources import (
    is_hub_id,
    is_pattern,
    is_saved_dataset,
    is_shards,
    open_hf_dataset,
    open_shards,
)
from activitynet.data.splits import check_val_fraction, train_val_split
from activitynet.data.tables import TABLE_EXTENSIONS, open_table
from activitynet.errors import DataError
from activitynet.serialization.paths import expand_user

_log = logging.getLogger(__name__)

_KINDS = f"Give a folder, a table ({', '.join(TABLE_EXTENSIONS)}), .tar shards or MPII's .mat file"


def open_data(
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
    group_duplicates: bool = False,
) -> PhotoData:
    """List the photos of a data set in any supported layout. Photos are opened only to group near-duplicates.

    Args:
        path: A folder with one folder per class (`open_folder`) or with the contest's layout
            (`open_contest`); a ``.csv``, ``.jsonl`` or ``.parquet`` table (`open_table`);
            ``mpii_human_pose_v1_u12_1.mat`` (`open_mpii`); tar shards, as a folder or
            ``train-{0000..0012}.tar`` (`open_shards`); a folder that `datasets` saved, or
            ``hf://org/name``, a data set on the Hugging Face Hub (`open_hf_dataset`). Only this last form
            uses the network.
        classes: Class names in the order of the labels; by default those of the data set.
        val_fraction: Share of the photos to hold out if the data set has no ``val`` split, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).
        group_duplicates: Open every photo, and keep near-duplicates in one split when a share is held out
            (`activitynet.data.duplicates.group_duplicates`). A contest's photos are always grouped.

    Raises:
        DataError: There is no such file or folder, it is of an unknown kind, or it cannot be used; or
            ``group_duplicates`` is on although the data has groups or nothing is held out.
    """
    check_val_fraction(val_fraction, seed)
    path = expand_user(path)
    if group_duplicates and not is_contest(path):
        data = _opener(path)(path, classes=classes, val_fraction=0)
        data = _held_out(data, path, val_fraction, seed)
    else:
        data = _opener(path)(path, classes=classes, val_fraction=val_fraction, seed=seed)
    if data.ignored:
        _log.warning("%s: %s", path, left_out_note(data.ignored))
    return data


def _opener(path: str | os.PathLike[str]) -> Callable[..., PhotoData]:
    """Return what opens data of this kind."""
    place = Path(path)
    suffix = place.suffix.lower()
    missing = not os.path.lexists(place)
    opener: Callable[..., PhotoData]
    if (missing and is_hub_id(path)) or is_saved_dataset(place):
        opener = open_hf_dataset
    elif is_shards(place) and (not missing or is_pattern(place)):
        opener = open_shards
    elif missing and suffix:
        raise DataError(f"data {str(place)!r} cannot be found. {_KINDS}.")
    elif is_folder(place) or missing:  # without an extension, a folder was meant
        opener = open_contest if is_contest(place) else open_folder
    elif suffix == ".mat":
        opener = open_mpii
    elif suffix in TABLE_EXTENSIONS:
        opener = open_table
    else:
        raise DataError(f"data {str(place)!r} is of an unknown kind. {_KINDS}.")
    return opener


def _held_out(data: PhotoData, name: str, val_fraction: float, seed: int) -> PhotoData:
    """Group the near-duplicates of a data set that is not split, and hold out a share."""
    if data.val or not (data.train and val_fraction):
        why = "has photos for 'val' already" if data.val else "has nothing to hold out"
        raise DataError(
            f"--group-duplicates needs data of which a share is held out for validation, and "
            f"{name!r} {why}. Use `activitynet audit` to find duplicates across its splits."
        )
    if any(photo.group for photo in data.train):
        raise DataError(f"{name!r} names groups of its own: leave --group-duplicates (group_duplicates) out.")
    train, val = train_val_split(duplicates.group_duplicates(data.train), val_fraction, seed)
    return dataclasses.replace(data, train=train, val=val)
