"""Read the MPII Human Pose data set in its published form: a ``.mat`` file and a folder of images.

Andriluka, Pishchulin, Gehler and Schiele, CVPR 2014: http://human-pose.mpi-inf.mpg.de
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activitynet.data import mat_reader
from activitynet.data.dataset import ACTIVITIES, PhotoData
from activitynet.data.files import is_folder
from activitynet.data.listing import Entry, listed_photos
from activitynet.errors import DataError, clipped, shown
from activitynet.serialization.paths import user_path

_log = logging.getLogger(__name__)

_IMAGES = "Unpack mpii_human_pose_v1.tar.gz, and give its folder of images"
_MAX_FILE = 2**30  # bytes; the published file has 12.5 MB


@dataclass(frozen=True)
class MpiiImage:
    """An image in the ``.mat`` file, without its poses.

    Attributes:
        name: The file's name.
        category: One of 20, such as ``"sports"``; empty if missing.
        activity: One of 410, such as ``"yoga, Power"``; empty if missing.
        video: Number of the video that it is a frame of, from 1; `None` if missing.
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
        DataError: The file is damaged or another one, the folder of images is missing, or a category is
            not a known class.
    """
    listed = read_mpii(path)
    folder = _images_folder(user_path(path)) if images is None else user_path(images)
    if not is_folder(folder):
        raise DataError(f"there is no folder of images {str(folder)!r}. {_IMAGES}.")
    entries = [
        Entry(
            folder / image.name,
            image.category,
            group="" if image.video is None else f"video-{image.video}",
            source="MPII Human Pose",
            where=f"image {number} ({shown(image.name)})",
        )
        for number, image in enumerate(listed, start=1)
        if image.train and image.category
    ]
    if len(entries) < len(listed):
        _log.info("%s: %d images without a published label are left out", path, len(listed) - len(entries))
    return listed_photos(
        entries,
        repr(str(path)),
        classes=ACTIVITIES if classes is None else classes,
        val_fraction=val_fraction,
        seed=seed,
    )


def read_mpii(path: str | os.PathLike[str]) -> list[MpiiImage]:
    """Read the images of the ``.mat`` file, in its order.

    Raises:
        DataError: The file cannot be read, or it is another one.
    """
    name = str(path)
    images: list[MpiiImage] = []
    numbers: dict[str, int] = {}
    for number, values in enumerate(_read_mat(user_path(path)), start=1):
        image = MpiiImage(**values)
        if not image.name or image.name in {".", ".."} or set(image.name) & set("/\\:\0"):
            raise DataError(f"{name!r}, image {number}: {shown(image.name)} is not a file name.")
        first = numbers.setdefault(image.name, number)
        if first != number:
            raise DataError(f"{name!r} lists {shown(image.name)} as image {first} and image {number}.")
        images.append(image)
    return images


def _read_mat(path: Path) -> list[dict[str, Any]]:
    """Read the file in a child process, which a hostile file may crash or stop."""
    advice = "Is it mpii_human_pose_v1_u12_1.mat? Copy or download it again."
    try:
        if not path.is_file() and path.exists():
            raise DataError(f"cannot read {str(path)!r}: it is not a regular file. {advice}")
        with path.open("rb") as file:
            header = file.read(128)
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}. Check the path.") from error
    if b"MATLAB 7.3" in header or header.startswith(b"\x89HDF"):
        raise DataError(f"cannot read {str(path)!r}: its version is 7.3, and only 5 to 7 (-v7) are read.")
    if header[126:128] not in (b"IM", b"MI") or size > _MAX_FILE:
        raise DataError(f"cannot read {str(path)!r}: it is not a MATLAB file of version 5 to 7. {advice}")
    command = [sys.executable, "-I", mat_reader.__file__, json.dumps(sys.path), str(path.absolute())]
    # Threads take address space, which is limited.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as output:
        try:
            code = subprocess.run(  # noqa: S603 - our own program
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=2 * mat_reader.MAX_SECONDS,
                check=False,
            ).returncode
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise DataError(f"cannot read {str(path)!r}: {clipped(error)}. {advice}") from error
        output.seek(0)
        text = output.read(mat_reader.MAX_OUTPUT + 1)
    try:
        answer = json.loads(text)
        reason = answer.get("error")
    except ValueError:  # the process was stopped before it finished
        reason = f"the process that reads it ended with code {code}"
    if reason is not None:
        raise DataError(f"cannot read {str(path)!r}: {clipped(reason)}. {advice}")
    return answer["images"]


def _images_folder(path: Path) -> Path:
    for place in (path.parent / "images", path.absolute().parent.parent / "images"):
        if is_folder(place):
            return place
    raise DataError(f"there is no folder 'images' beside {str(path)!r} or its folder. {_IMAGES} there.")
