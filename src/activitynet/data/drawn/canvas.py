"""A drawing surface in unit coordinates, seen through a camera that zooms, turns and mirrors."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from random import Random

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from activitynet.data.drawn.colours import Colour, mix

Point = tuple[float, float]

# Shapes are drawn this many times larger and then averaged down: their edges come out smooth.
_SUPERSAMPLE = 2
_LIGHTS = ((255, 214, 150), (150, 190, 255), (255, 255, 255), (255, 170, 140), (170, 200, 170), (60, 60, 90))


class Canvas:
    """A square picture; x runs right and y runs down, and the camera sees about 0 to 1 of both.

    Backgrounds should reach from -0.5 to 1.5, since the camera may turn and step back. All lengths
    are shares of the picture's side. Colours with a fourth number are laid on with that opacity.

    Args:
        size: Side of the finished picture in pixels.
        rng: Where the camera's position comes from.
    """

    def __init__(self, size: int, rng: Random) -> None:
        self.size = size
        pixels = size * _SUPERSAMPLE
        self._image = Image.new("RGB", (pixels, pixels))
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self._scale = pixels * rng.uniform(0.94, 1.15)
        turn = math.radians(rng.gauss(0.0, 2.0))
        self._cos, self._sin = self._scale * math.cos(turn), self._scale * math.sin(turn)
        self._mirror = rng.choice((-1.0, 1.0))
        self._origin = pixels * (0.5 + rng.uniform(-0.05, 0.05)), pixels * (0.5 + rng.uniform(-0.04, 0.04))
        self._origin = self._seen((-0.5, -0.5))

    def at(self, x: float, y: float, *, size: float = 1.0) -> Canvas:
        """Return the same picture in other coordinates: from that point, and that many times larger."""
        local = copy.copy(self)
        local._origin = self._seen((x, y))
        local._scale, local._cos, local._sin = self._scale * size, self._cos * size, self._sin * size
        return local

    def _seen(self, point: Point) -> Point:
        x, y = point[0] * self._mirror, point[1]
        return (
            self._origin[0] + self._cos * x - self._sin * y,
            self._origin[1] + self._sin * x + self._cos * y,
        )

    def polygon(self, points: Iterable[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([self._seen(point) for point in points], fill=colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        x, y = self._seen(centre)
        r = radius * self._scale
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def ring(self, centre: Point, radius: float, width: float, colour: Colour) -> None:
        """Draw a circle's outline."""
        x, y = self._seen(centre)
        r = radius * self._scale
        pixels = max(1, round(width * self._scale))
        self._draw.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=pixels)

    def oval(self, centre: Point, across: float, down: float, colour: Colour) -> None:
        """Fill an ellipse, given its two half axes."""
        self.polygon(arc(centre, across, down, 0, 345), colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a line through the points, with rounded corners."""
        pixels = max(1, round(width * self._scale))
        self._draw.line([self._seen(point) for point in points], fill=colour, width=pixels, joint="curve")

    def limb(self, start: Point, end: Point, start_radius: float, end_radius: float, colour: Colour) -> None:
        """Fill the hull of two discs: an arm, a torso, a trunk."""
        (x0, y0), (x1, y1) = self._seen(start), self._seen(end)
        r0, r1 = start_radius * self._scale, end_radius * self._scale
        length = math.hypot(x1 - x0, y1 - y0)
        self._draw.ellipse((x0 - r0, y0 - r0, x0 + r0, y0 + r0), fill=colour)
        self._draw.ellipse((x1 - r1, y1 - r1, x1 + r1, y1 + r1), fill=colour)
        if length > 0:
            ax, ay = (y0 - y1) / length, (x1 - x0) / length
            corners = [
                (x0 + ax * r0, y0 + ay * r0),
                (x1 + ax * r1, y1 + ay * r1),
                (x1 - ax * r1, y1 - ay * r1),
                (x0 - ax * r0, y0 - ay * r0),
            ]
            self._draw.polygon(corners, fill=colour)

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        colour: Colour,
        *,
        round_by: float = 0.0,
        taper: float = 0.0,
    ) -> None:
        """Fill a rectangle, its corners rounded by that radius or its lower corners drawn in by that much."""
        r = min(round_by, (right - left) / 2, (bottom - top) / 2)
        if r <= 0:
            self.polygon(((left, top), (right, top), (right - taper, bottom), (left + taper, bottom)), colour)
            return
        corners = ((right - r, bottom - r), (left + r, bottom - r), (left + r, top + r), (right - r, top + r))
        rounded = (arc(corner, r, r, 90 * i, 90 * i + 90, steps=4) for i, corner in enumerate(corners))
        self.polygon([point for quarter in rounded for point in quarter], colour)

    def fade(self, top: float, bottom: float, above: Colour, below: Colour) -> None:
        """Fill a band across the whole picture whose colour runs from ``above`` to ``below``."""
        steps = 32
        for step in range(steps):
            y, next_y = (top + (bottom - top) * edge / steps for edge in (step, step + 1))
            self.box(-0.5, y, 1.5, next_y + 0.01, mix(above, below, step / (steps - 1)))

    def shadow(self, x: float, y: float, half_width: float) -> None:
        """Darken the ground under a thing that stands there."""
        self.oval((x, y), half_width, half_width * 0.16, (0, 0, 0, 60))

    def photograph(self, rng: Random) -> Image.Image:
        """Return the finished picture: averaged down, unevenly lit, tinted, blurred and grainy."""
        size = (self.size, self.size)
        image = self._image.reduce(_SUPERSAMPLE)
        dim = ImageEnhance.Brightness(image).enhance(rng.uniform(0.65, 1.0))
        light = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize(size)
        image = Image.composite(image, dim, light)
        image = Image.blend(image, Image.new("RGB", size, rng.choice(_LIGHTS)), rng.uniform(0.0, 0.12))
        image = ImageEnhance.Color(image).enhance(rng.uniform(0.75, 1.4))
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.9, 1.2))
        image = image.filter(ImageFilter.GaussianBlur(rng.choice((0.0, 0.0, 0.4, 0.7)) * self.size / 128))
        grain = Image.frombytes("RGB", size, rng.randbytes(3 * self.size * self.size))
        return Image.blend(image, grain, rng.uniform(0.02, 0.08))


def arc(
    centre: Point, across: float, down: float, start: float, end: float, *, steps: int = 23
) -> list[Point]:
    """Return points along an ellipse, from one angle to another.

    Args:
        centre: Its centre.
        across: Half its width.
        down: Half its height.
        start: First angle in degrees: 0 points right, 90 down.
        end: Last angle.
        steps: How many straight pieces it is made of.
    """
    angles = (math.radians(start + (end - start) * step / steps) for step in range(steps + 1))
    return [(centre[0] + across * math.cos(a), centre[1] + down * math.sin(a)) for a in angles]


def around(centre: Point, radius: float, angle: float) -> Point:
    """Return a point of a circle; the angle is in degrees as for `arc`."""
    a = math.radians(angle)
    return centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)
