"""One drawing, and many on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from PIL import Image

from activitynet.data.dataset import ACTIVITIES
from activitynet.data.drawn.canvas import Canvas
from activitynet.data.drawn.scenes import SCENES
from activitynet.errors import DataError, did_you_mean

SIZES = (32, 1024)
"""Least and largest side of a picture, in pixels."""


def draw_picture(activity: str, index: int, *, split: str, size: int = 128, seed: int = 0) -> Image.Image:
    """Draw one picture: the same whenever the arguments are the same.

    Args:
        activity: One of `activitynet.ACTIVITIES`.
        index: Which of the activity's pictures; its scenes take turns.
        split: What the picture is for; no two splits share one.
        size: Side in pixels, 32 to 1024.
        seed: Changes every picture.

    Returns:
        A square RGB image.

    Raises:
        DataError: The activity is unknown, or the size out of range.
    """
    check_classes((activity,))
    check_number("size", size, *SIZES)
    # Seeded with a string, the generator starts alike on every machine and Python version.
    rng = Random(f"{seed}/{split}/{activity}/{index}")  # noqa: S311 - pictures, not secrets
    canvas = Canvas(size, rng)
    scenes = SCENES[activity]
    scenes[index % len(scenes)](canvas, rng)
    return canvas.photograph(rng)


def contact_sheet(
    classes: Sequence[str] = ACTIVITIES,
    *,
    columns: int = 5,
    per_class: int = 1,
    size: int = 128,
    seed: int = 0,
) -> Image.Image:
    """Draw samples of each class on one sheet, class after class, row after row.

    Args:
        classes: What to draw, each one of `activitynet.ACTIVITIES`.
        columns: Pictures a row.
        per_class: Pictures of each class.
        size: Side of each picture in pixels, 32 to 1024.
        seed: Changes every picture.

    Returns:
        An RGB image, ``columns * size`` pixels wide.

    Raises:
        DataError: A class cannot be drawn, or a number is out of range.
    """
    names = check_classes(classes)
    check_number("columns", columns, 1, 100)
    check_number("per_class", per_class, 1, 100)
    check_number("size", size, *SIZES)
    rows = -(-len(names) * per_class // columns)
    sheet = Image.new("RGB", (columns * size, rows * size), "white")
    for cell, (name, index) in enumerate((name, index) for name in names for index in range(per_class)):
        picture = draw_picture(name, index, split="sheet", size=size, seed=seed)
        sheet.paste(picture, (cell % columns * size, cell // columns * size))
    return sheet


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes as a tuple.

    Raises:
        DataError: There are none, one is named twice, or one has no scenes.
    """
    names = (classes,) if isinstance(classes, str) else tuple(classes)
    if not names:
        raise DataError("there are no classes to draw: name some of activitynet.ACTIVITIES.")
    for name in names:
        if name not in SCENES:
            hint = did_you_mean(name, SCENES) or f" Choose from {', '.join(SCENES)}."
            raise DataError(f"there are no drawings of {name!r}.{hint}")
        if names.count(name) > 1:
            raise DataError(f"class {name!r} is named twice: name each class once.")
    return names


def check_number(name: str, value: int, least: int, most: int) -> None:
    """Refuse a number that is out of range.

    Raises:
        DataError: It is.
    """
    if not isinstance(value, int) or not least <= value <= most:
        raise DataError(f"{name} must be a whole number from {least} to {most}, got {value!r}.")
