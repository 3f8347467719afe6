"""A small labelled data set of drawings, on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from activitynet.data.dataset import ACTIVITIES, slug
from activitynet.data.drawn.pictures import SIZES, check_classes, check_number, draw_picture
from activitynet.errors import StorageError
from activitynet.serialization import atomic

_JPEG_QUALITY = 85
_MOST = 9999
_NOTE = "README.txt"
_TITLE = "Drawings made by activitynet, never photos"
# Everything that this module writes below a sample-data folder.
_OURS = re.compile(r"README\.txt|(train|val)(/\w+(/\d{4}\.jpg)?)?")


def draw_sample_data(
    folder: str | os.PathLike[str],
    *,
    train_per_class: int = 40,
    val_per_class: int = 10,
    size: int = 128,
    seed: int = 0,
    classes: Sequence[str] = ACTIVITIES,
) -> Path:
    """Draw a small labelled data set: people at 20 kinds of activity, as pictogram-like scenes.

    It is for trying things out without any photos, and says nothing of how well a model does on
    photos. Pictures lie at ``folder/train/<class>/0000.jpg`` and ``folder/val/<class>/0000.jpg``, the
    class's name as `slug` gives it. Each one depends on the seed, its split, its class and its number
    only: the first 40 of a class are the same whether 40 or 400 are drawn, and on one version of
    Pillow they are the same bytes.

    The folder appears whole or not at all. It may be missing or empty, or an earlier one of this
    function, which is then replaced; a folder that holds anything else is left alone.

    Args:
        folder: Where to put the data set. Missing parent folders are made.
        train_per_class: Training pictures of each class, 1 to 9999.
        val_per_class: Validation pictures of each class, 0 to 9999.
        size: Side of the pictures in pixels, 32 to 1024.
        seed: Changes every picture.
        classes: What to draw, each one of `activitynet.ACTIVITIES`.

    Returns:
        The folder.

    Raises:
        DataError: A class cannot be drawn, or a number is out of range.
        StorageError: Something else is in the folder's place, or it cannot be written.
    """
    names = check_classes(classes)
    check_number("train_per_class", train_per_class, 1, _MOST)
    check_number("val_per_class", val_per_class, 0, _MOST)
    check_number("size", size, *SIZES)
    folder = Path(folder)
    _check_replaceable(folder)
    counts = {"train": train_per_class, "val": val_per_class}
    with atomic.replaced_folder(folder) as new:
        note = _note(names, counts, size=size, seed=seed)
        (new / _NOTE).write_text(note, encoding="utf-8")
        for split, count in counts.items():
            for name in names if count else ():
                place = new / split / slug(name)
                place.mkdir(parents=True)
                for index in range(count):
                    picture = draw_picture(name, index, split=split, size=size, seed=seed)
                    picture.save(place / f"{index:04d}.jpg", quality=_JPEG_QUALITY)
    return folder


def _check_replaceable(folder: Path) -> None:
    """Refuse a place where something is that `draw_sample_data` did not put there."""
    remedy = "Name a folder that does not exist yet, or an earlier one of sample data."
    try:
        if not os.path.lexists(folder):
            return
        if not folder.is_dir():
            raise StorageError(f"{str(folder)!r} is in the way: it is a file. {remedy}")
        entries = sorted(entry.relative_to(folder).as_posix() for entry in folder.rglob("*"))
        note = folder / _NOTE
        made_here = note.is_file() and note.read_bytes().startswith(_TITLE.encode())
    except OSError as error:
        raise StorageError(f"cannot look into {str(folder)!r}: {error.strerror}. {remedy}") from error
    strays = [entry for entry in entries if not (made_here and _OURS.fullmatch(entry))]
    if strays:
        raise StorageError(f"{str(folder)!r} holds {strays[0]!r}, which is not sample data. {remedy}")


def _note(names: Sequence[str], counts: dict[str, int], *, size: int, seed: int) -> str:
    return (
        f"{_TITLE}\n\n"
        f"These pictures were drawn by a program (activitynet.draw_sample_data, seed {seed}). They show\n"
        "nobody and no real place. They are for trying things out: a score on them says nothing of a\n"
        "score on photos.\n\n"
        f"Pictures of each class: {counts['train']} in train, {counts['val']} in val; {size} pixels wide.\n"
        f"Classes: {', '.join(names)}.\n"
    )
