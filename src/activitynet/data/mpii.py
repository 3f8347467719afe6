"""The MPII Human Pose data set as it is published: its ``.mat`` file, and a folder of images.

Andriluka, Pishchulin, Gehler and Schiele, CVPR 2014: http://human-pose.mpi-inf.mpg.de
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from activitynet.data.activities import ACTIVITIES
from activitynet.data.class_names import ClassIndex, checked_classes
from activitynet.data.folders import is_folder
from activitynet.data.matfile import read_mat
from activitynet.data.photos import Photo, PhotoData
from activitynet.data.splits import hold_out
from activitynet.errors import DataError, clipped, shown

_WANTED = {
    "annolist": {"image": {"name": {}}, "vididx": {}},
    "img_train": {},
    "act": {"cat_name": {}, "act_name": {}},
}
_IMAGES = "Unpack mpii_human_pose_v1.tar.gz, and give its folder of images"


@dataclass(frozen=True)
class MpiiImage:
    """What the ``.mat`` file says of an image, its poses apart.

    Attributes:
        name: The file's name.
        category: One of 20, such as ``"sports"``; empty where it is not told.
        activity: One of 410, such as ``"yoga, Power"``; empty where it is not told.
        video: Number of the video that it is a frame of, from 1; `None` where it is not told.
        train: Whether it is one of the training images, whose labels are published.
    """

    name: str
    category: str
    activity: str
    video: int | None
    train: bool


def open_mpii(
    path: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
) -> PhotoData:
    """List the training images of MPII Human Pose that have a category, which becomes their label.

    The frames of one video are one group (``"video-12"``), and a share of the groups is held out. Images
    of the data set's own test split have no published label and are left out.

    Args:
        path: ``mpii_human_pose_v1_u12_1.mat``.
        images: The folder of images. By default ``images`` beside that file or beside its folder.
        classes: Class names in the order of the labels, `ACTIVITIES` by default.
        val_fraction: Share of the photos to hold out, in [0, 1).
        seed: Fixes which photos are held out, in [0, 2**32).

    Raises:
        DataError: The file is damaged or another one, the images' folder is missing, or a category is
            no known class.
    """
    index = ClassIndex(ACTIVITIES if classes is None else checked_classes(classes))
    listed = read_mpii(path)
    folder = _images_folder(Path(path)) if images is None else Path(images)
    if not is_folder(folder):
        raise DataError(f"there is no folder of images {str(folder)!r}. {_IMAGES}.")
    photos = []
    for number, image in enumerate(listed, start=1):
        if not image.train or not image.category:
            continue
        try:
            label = index.find(image.category)
        except DataError as error:
            raise DataError(
                f"{str(path)!r}, image {number} ({shown(image.name)}): {clipped(error)}"
            ) from error
        group = "" if image.video is None else f"video-{image.video}"
        photos.append(Photo(folder / image.name, label, group, "MPII Human Pose"))
    if len({photo.label for photo in photos}) < 2:
        raise DataError(f"{str(path)!r} has no labelled training images of two or more categories.")
    # By class, as folders give them: the order of the file goes video by video.
    photos.sort(key=lambda photo: photo.label)
    train, val = hold_out(tuple(photos), val_fraction, seed)
    return PhotoData(index.classes, train, val)


def read_mpii(path: str | os.PathLike[str]) -> list[MpiiImage]:
    """Read what the ``.mat`` file says of each image, in its order.

    Raises:
        DataError: The file cannot be read, or it is another one.
    """
    name = str(path)
    release = _only(read_mat(path, "RELEASE", _WANTED))
    if not isinstance(release, dict) or not _WANTED.keys() <= release.keys():
        raise DataError(
            f"{name!r} has no fields RELEASE.annolist, img_train and act. Is it mpii_human_pose_v1_u12_1.mat?"
        )
    annotations, acts = (
        value if isinstance(value, list) else [] for value in (release["annolist"], release["act"])
    )
    train = release["img_train"] if isinstance(release["img_train"], np.ndarray) else np.zeros(0)
    if not 0 < len(annotations) == len(acts) == len(train):
        raise DataError(
            f"{name!r} lists {len(annotations)} images, but {len(acts)} activities and {len(train)} marks of "
            f"the training images. Copy or download it again."
        )
    images = []
    names: dict[str, int] = {}
    for number, (annotation, act, mark) in enumerate(zip(annotations, acts, train, strict=True), start=1):
        image = MpiiImage(
            name=_text(_inside(annotation, "image", "name")),
            category=_text(_inside(act, "cat_name")),
            activity=_text(_inside(act, "act_name")),
            video=_number(_inside(annotation, "vididx")),
            train=bool(mark == 1),
        )
        if not image.name or image.name in {".", ".."} or set(image.name) & set("/\\:\0"):
            raise DataError(f"{name!r}, image {number}: {shown(image.name)} is no file's name.")
        if image.name in names:
            raise DataError(
                f"{name!r} lists {shown(image.name)} as image {names[image.name]} and image {number}."
            )
        names[image.name] = number
        images.append(image)
    return images


def _images_folder(path: Path) -> Path:
    places = (path.parent / "images", path.absolute().parent.parent / "images")
    for place in places:
        if is_folder(place):
            return place
    raise DataError(f"there is no folder 'images' beside {str(path)!r} or its folder. {_IMAGES} there.")


def _only(value: Any) -> Any:
    """Return what a list of one entry holds, a list within it too; `None` for an empty one."""
    while isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    return value


def _inside(value: Any, *fields: str) -> Any:
    """Follow fields through structs; `None` where one is missing or empty."""
    for field in fields:
        value = _only(value)
        value = value.get(field) if isinstance(value, dict) else None
    return _only(value)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    """Return the one whole number that a value holds; NaN, none and several are `None`."""
    if not isinstance(value, np.ndarray) or value.size != 1:
        return None
    number = float(value[0])
    return int(number) if number.is_integer() and number > 0 else None
