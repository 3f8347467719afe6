"""Draw a small labelled data set of pictograms, for tests and trials without photos."""

from __future__ import annotations

import functools
import importlib.resources
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from activitynet.data.dataset import ACTIVITIES, slug
from activitynet.errors import DataError, StorageError, did_you_mean
from activitynet.serialization import atomic
from activitynet.serialization.paths import user_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Point = tuple[float, float]
Colour = tuple[int, ...]

_SIZES = (32, 1024)
_MOST = 9999
_JPEG_QUALITY = 85
_NOTE = "README.txt"
_TITLE = "Drawings made by activitynet, never photos"
# All files and folders that this module writes.
_OURS = re.compile(r"README\.txt|(train|val)(/\w+(/\d{4}\.jpg)?)?")
# Shapes are drawn this many times larger, then averaged, for smooth edges.
_SUPERSAMPLE = 2
# Lengths of the body's parts as shares of the standing height; the last two are half widths from the front.
_TRUNK, _NECK, _HEAD, _UPPER_ARM, _FOREARM, _LEG = 0.28, 0.035, 0.088, 0.165, 0.15, 0.235
_SHOULDER, _HIP = 0.075, 0.042
_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)


def draw_sample_data(
    folder: str | os.PathLike[str],
    *,
    train_per_class: int = 40,
    val_per_class: int = 10,
    size: int = 128,
    seed: int = 0,
    classes: Sequence[str] = ACTIVITIES,
) -> Path:
    """Draw a small labelled data set: pictograms of people in 20 kinds of activity.

    Use it to try things out without photos. Scores on it say nothing about photos. Pictures are written to
    ``folder/train/<class>/0000.jpg`` and ``folder/val/<class>/0000.jpg``, with the `slug` of the class. A
    picture depends only on seed, split, class and number: the first 40 of a class are the same whether 40
    or 400 are drawn. With the same version of Pillow their bytes are the same.

    The folder is written whole or not at all. It must be missing, empty, or an earlier result of this
    function, which is replaced.

    Args:
        folder: Where to write the data set. Missing parent folders are made.
        train_per_class: Training pictures of each class, 1 to 9999.
        val_per_class: Validation pictures of each class, 0 to 9999.
        size: Side of the pictures in pixels, 32 to 1024.
        seed: Seed of all pictures.
        classes: Classes to draw, from `activitynet.ACTIVITIES`.

    Returns:
        The folder.

    Raises:
        DataError: A class cannot be drawn, or a number is out of range.
        StorageError: The folder holds other files, or cannot be written.
    """
    names = _checked_classes(classes)
    _check_number("train_per_class", train_per_class, 1, _MOST)
    _check_number("val_per_class", val_per_class, 0, _MOST)
    _check_number("size", size, *_SIZES)
    folder = user_path(folder)
    _check_replaceable(folder)
    counts = {"train": train_per_class, "val": val_per_class}
    with atomic.replaced_folder(folder) as new:
        (new / _NOTE).write_text(_note(names, counts, size=size, seed=seed), encoding="utf-8")
        for split, count in counts.items():
            for name in names if count else ():
                place = new / split / slug(name)
                place.mkdir(parents=True)
                for index in range(count):
                    picture = draw_picture(name, index, split=split, size=size, seed=seed)
                    picture.save(place / f"{index:04d}.jpg", quality=_JPEG_QUALITY)
    return folder


def draw_picture(activity: str, index: int, *, split: str, size: int = 128, seed: int = 0) -> Image.Image:
    """Draw one picture. Equal arguments give equal pictures.

    Args:
        activity: One of `activitynet.ACTIVITIES`.
        index: Number of the picture; an activity's scenes alternate.
        split: The picture's split. Different splits have different pictures.
        size: Side in pixels, 32 to 1024.
        seed: Seed of all pictures.

    Returns:
        A square RGB image.

    Raises:
        DataError: The activity is unknown, or the size is out of range.
    """
    _checked_classes((activity,))
    _check_number("size", size, *_SIZES)
    # A generator seeded with a string starts the same on every machine and Python version.
    rng = Random(f"{seed}/{split}/{activity}/{index}")  # noqa: S311 - pictures, not secrets
    scenes = scene_table()["scenes"][activity]
    places, shapes = scenes[index % len(scenes)].split(":")
    canvas = _Canvas(size, rng)
    canvas.draw_place(rng.choice(places.split()))
    canvas.draw(shapes)
    return canvas.finish()


@functools.cache
def scene_table() -> dict[str, Any]:
    """Return the poses, colours, places, things and scenes of ``drawn.toml``."""
    file = importlib.resources.files("activitynet.data") / "drawn.toml"
    return tomllib.loads(file.read_text("utf-8"))


class _Canvas:
    """A square picture that draws the shapes of ``drawn.toml``, seen through a random camera."""

    def __init__(self, size: int, rng: Random) -> None:
        self._size, self._rng = size, rng
        pixels = size * _SUPERSAMPLE
        self._image = Image.new("RGB", (pixels, pixels))
        self._pen = ImageDraw.Draw(self._image, "RGBA")
        scale, turn = pixels / 100 * rng.uniform(0.82, 1.08), math.radians(rng.gauss(0.0, 2.0))
        self._scale, self._turn = scale, (scale * math.cos(turn), scale * math.sin(turn))
        self._mirror = rng.choice((-1, 1))
        self._centre = pixels * rng.uniform(0.45, 0.55), pixels * rng.uniform(0.46, 0.54)
        self._origin, self._zoom = (0.0, 0.0), 1.0
        self._colours = {name: self._colour(name) for name in scene_table()["colours"]}
        self._body: dict[str, list[Point]] = {}
        self._thick, self._skin, self._top = 0.0, _BLACK, _BLACK

    def draw_place(self, name: str) -> None:
        """Fill the background and put a few things on its horizon."""
        rng, (above, below, *things) = self._rng, scene_table()["places"][name].split()
        horizon, steps = rng.uniform(54, 70), 8
        for colour, top, bottom, other in ((above, -60.0, horizon, _WHITE), (below, horizon, 160.0, _BLACK)):
            most = rng.uniform(0.1, 0.4)
            for step in range(steps):
                self._colours["fade"] = _mix(self._colours[colour], other, most * step / steps)
                edges = [top + (bottom - top) * edge / steps for edge in (step, step + 1)]
                self.draw(f"box fade -60 {edges[0]} 160 {edges[1] + 1}")
        for thing in rng.sample(things, rng.randint(1, 4)):
            x, y = rng.uniform(-5, 105), horizon + rng.uniform(0, 5)
            self.draw(f"thing {thing} {x} {y} {rng.uniform(0.7, 1.4)}")

    def draw(self, shapes: str) -> None:
        """Draw a list of shapes; ``drawn.toml`` explains them."""
        for shape in shapes.split(";"):
            match shape.split():
                case ["thing", name, x, y, zoom]:
                    before = self._origin, self._zoom
                    self._origin, self._zoom = (float(x), float(y)), float(zoom)
                    self.draw(scene_table()["things"][name])
                    self._origin, self._zoom = before
                case ["person", pose, x, y, height, *clothes]:
                    self._draw_person(pose, (float(x), float(y)), float(height), *clothes)
                case ["from", part]:
                    self._origin = (0.0, 0.0) if part == "scene" else self._body[part][-1]
                case ["again", part]:
                    self._draw_arm(part)
                case ["line", colour, width, *numbers]:
                    self._line(_pairs(numbers), float(width), self._colours[colour])
                case ["ring", colour, width, *numbers]:
                    self._line(_ellipse(*_pairs(numbers)), float(width), self._colours[colour])
                case ["poly", colour, *numbers]:
                    self._polygon(_pairs(numbers), self._colours[colour])
                case ["oval", colour, *numbers]:
                    self._polygon(_ellipse(*_pairs(numbers)), self._colours[colour])
                case ["box", colour, *numbers]:
                    (x0, y0), (x1, y1) = _pairs(numbers)
                    self._polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], self._colours[colour])
                case _:
                    raise ValueError(f"drawn.toml has an unknown shape: {shape!r}")

    def finish(self) -> Image.Image:
        """Return the picture averaged down, unevenly lit, blurred and grainy."""
        rng, size = self._rng, (self._size, self._size)
        image = self._image.reduce(_SUPERSAMPLE)
        dim = ImageEnhance.Brightness(image).enhance(rng.uniform(0.65, 1.0))
        light = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize(size)
        image = Image.composite(image, dim, light)
        image = ImageEnhance.Color(image).enhance(rng.uniform(0.75, 1.4))
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.85, 1.15))
        image = image.filter(ImageFilter.GaussianBlur(rng.choice((0.0, 0.0, 0.4, 0.7)) * self._size / 128))
        grain = Image.frombytes("RGB", size, rng.randbytes(3 * self._size * self._size))
        return Image.blend(image, grain, rng.uniform(0.02, 0.08))

    def _draw_person(self, pose: str, foot: Point, height: float, *clothes: str) -> None:
        table, rng = scene_table(), self._rng
        from_front = pose in table["front_poses"]
        angles = [a + rng.uniform(-5, 5) for a in table["front_poses" if from_front else "poses"][pose]]
        body = self._body = _joints(angles, foot, height, from_front=from_front)
        self._thick, radius = abs(height) * rng.uniform(0.9, 1.15), _HEAD * abs(height)
        self._skin, cloths = self._colour("skin"), [self._colour("cloth"), self._colour("cloth")]
        self._top, legs, *_ = [*(self._colours[name] for name in clothes), *cloths[len(clothes) :], _BLACK]
        self._draw_arm("other_arm", 0.2)
        for name, shade in (("other_leg", 0.2), ("leg", 0.0)):
            *leg, toe = body[name]
            self._line([leg[-1], toe], 0.05 * self._thick, self._colours["black"])
            self._line(leg, 0.085 * self._thick, _mix(legs, _BLACK, shade))
        self._line(body["trunk"], 0.13 * self._thick, self._top)
        self._polygon(_ellipse(body["head"][0], (radius, radius)), self._skin)
        self._polygon(body["hair"], self._colour("hair"))
        for eye in body["eyes"]:
            self._polygon(_ellipse(eye, (radius / 6, radius / 6)), self._colours["black"])
        self._draw_arm("arm")

    def _draw_arm(self, name: str, shade: float = 0.0) -> None:
        shoulder, elbow, hand = self._body[name]
        self._line([elbow, hand], 0.05 * self._thick, _mix(self._skin, _BLACK, shade))
        self._line([shoulder, elbow], 0.065 * self._thick, _mix(self._top, _BLACK, 0.1 + shade))

    def _colour(self, name: str) -> Colour:
        """Return one of a colour's choices, slightly changed; its opacity stays."""
        red, green, blue, *opacity = bytes.fromhex(self._rng.choice(scene_table()["colours"][name].split()))
        varied = (part + self._rng.randint(-12, 12) for part in (red, green, blue))
        return (*(min(255, max(0, part)) for part in varied), *opacity)

    def _seen(self, points: Sequence[Point]) -> list[Point]:
        """Return where the camera sees points of the scene, in pixels."""
        (ox, oy), (cx, cy), (cos, sin) = self._origin, self._centre, self._turn
        away = [(self._mirror * (ox + self._zoom * x - 50), oy + self._zoom * y - 50) for x, y in points]
        return [(cx + cos * x - sin * y, cy + sin * x + cos * y) for x, y in away]

    def _polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self._pen.polygon(self._seen(points), fill=colour)

    def _line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a line with round corners and ends."""
        seen, pixels = self._seen(points), max(1.0, width * self._zoom * self._scale)
        self._pen.line(seen, fill=colour, width=round(pixels), joint="curve")
        r = pixels / 2 - 0.5
        for x, y in (seen[0], seen[-1]) if r > 0.5 else ():
            self._pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _joints(
    angles: Sequence[float], foot: Point, height: float, *, from_front: bool
) -> dict[str, list[Point]]:
    """Return the parts of a body, each a chain of points.

    Args:
        angles: As in ``drawn.toml``.
        foot: The hips are above this point, and the lowest foot or knee on it.
        height: Standing height, negative to face left.
        from_front: Whether the person faces the viewer.
    """
    lean, *limbs = angles
    facing, length = math.copysign(1.0, height), abs(height)

    def chain(start: Point, *steps: tuple[float, float], side: int = 1) -> list[Point]:
        points = [start]
        for angle, share in steps:
            (x, y), a = points[-1], math.radians(angle)
            points.append(
                (x + facing * side * share * length * math.sin(a), y + share * length * math.cos(a))
            )
        return points

    hips = (0.0, 0.0)
    trunk = chain(hips, (180 - lean, _TRUNK))
    head = chain(trunk[1], (180 - lean, _NECK + _HEAD))[1]
    parts = {"hips": [hips], "trunk": trunk, "head": [head]}
    shoulder, hip = (_SHOULDER, _HIP) if from_front else (0.0, 0.0)
    for prefix, first in (("", 0), ("other_", 2)):
        side = -1 if from_front and first else 1
        upper, lower, thigh, shin = (limbs[first + at] for at in (0, 1, 4, 5))
        (root,) = chain(trunk[1], (90, shoulder), side=side)[1:]
        parts[f"{prefix}arm"] = chain(root, (upper, _UPPER_ARM), (lower, _FOREARM), side=side)
        (root,) = chain(hips, (90, hip), side=side)[1:]
        toes = shin + 80 if abs(shin) < 60 else shin
        parts[f"{prefix}leg"] = chain(root, (thigh, _LEG), (shin, _LEG), (toes, 0.05), side=side)
    # Angles on the head count from the crown.
    hair, eyes = (range(-75, 76, 15), (60, -60)) if from_front else (range(-130, 41, 17), (60,))
    for name, around, radius in (("hair", hair, 1.1 * _HEAD), ("eyes", eyes, 0.5 * _HEAD)):
        parts[name] = [chain(head, (180 - lean - angle, radius))[1] for angle in around]
    lowest = max(y for name in ("leg", "other_leg") for _, y in parts[name][:3]) + 0.02 * length
    dx, dy = foot[0], foot[1] - lowest
    return {name: [(x + dx, y + dy) for x, y in points] for name, points in parts.items()}


def _pairs(words: Sequence[str]) -> list[Point]:
    numbers = [float(word) for word in words]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _ellipse(centre: Point, half: Point) -> list[Point]:
    angles = [math.radians(15 * step) for step in range(25)]
    return [(centre[0] + half[0] * math.cos(a), centre[1] + half[1] * math.sin(a)) for a in angles]


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour that lies ``share`` of the way from the first to the second."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first, second, strict=False))


def _checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    names = (classes,) if isinstance(classes, str) else tuple(classes)
    if not names:
        raise DataError("there are no classes to draw: name some of activitynet.ACTIVITIES.")
    for name in names:
        if name not in ACTIVITIES:
            hint = did_you_mean(name, ACTIVITIES) or f" Choose from {', '.join(ACTIVITIES)}."
            raise DataError(f"there are no drawings of {name!r}.{hint}")
        if names.count(name) > 1:
            raise DataError(f"class {name!r} is named twice: name each class once.")
    return names


def _check_number(name: str, value: int, least: int, most: int) -> None:
    if not isinstance(value, int) or not least <= value <= most:
        raise DataError(f"{name} must be a whole number from {least} to {most}, got {value!r}.")


def _check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds anything `draw_sample_data` did not write."""
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
        raise StorageError(f"cannot read {str(folder)!r}: {error.strerror}. {remedy}") from error
    strays = [entry for entry in entries if not (made_here and _OURS.fullmatch(entry))]
    if strays:
        raise StorageError(f"{str(folder)!r} holds {strays[0]!r}, which is not sample data. {remedy}")


def _note(names: Sequence[str], counts: dict[str, int], *, size: int, seed: int) -> str:
    return (
        f"{_TITLE}\n\n"
        f"These pictures were drawn by a program (activitynet.draw_sample_data, seed {seed}). They show\n"
        "nobody and no real place. They are for trying things out: a score on them says nothing about\n"
        "photos.\n\n"
        f"Pictures of each class: {counts['train']} in train, {counts['val']} in val; {size} pixels wide.\n"
        f"Classes: {', '.join(names)}.\n"
    )
