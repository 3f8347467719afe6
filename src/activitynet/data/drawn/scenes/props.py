"""Things that belong to more than one scene."""

from __future__ import annotations

from random import Random

from activitynet.data.drawn.canvas import Canvas, Point
from activitynet.data.drawn.colours import BLACK, STEEL, WOOD, darker, some_cloth

_WOODS = (WOOD, (110, 72, 48), (206, 160, 104), (150, 152, 156), (240, 238, 232))


def table(canvas: Canvas, rng: Random, left: float, right: float, top: float) -> None:
    """Draw a table that stands on the line ``y = 0``."""
    colour = rng.choice(_WOODS)
    for leg in (left + 0.03, right - 0.03):
        canvas.line(((leg, top), (leg, 0)), 0.024, darker(colour, 0.2))
    canvas.box(left, top - 0.012, right, top + 0.02, colour)


def stool(canvas: Canvas, rng: Random, seat: float) -> None:
    """Draw a padded stool that stands on the origin."""
    for foot in (-0.08, 0.08):
        canvas.line(((foot * 0.8, seat), (foot, 0)), 0.02, BLACK)
    canvas.box(-0.1, seat, 0.1, seat + 0.045, some_cloth(rng), round_by=0.02)


def wheel(canvas: Canvas, hub: Point, radius: float) -> None:
    """Draw a tyre with its hub cap."""
    canvas.disc(hub, radius, (32, 32, 36))
    canvas.disc(hub, radius * 0.55, STEEL)
    canvas.disc(hub, radius * 0.2, (90, 94, 100))


def steam(canvas: Canvas, rng: Random) -> None:
    """Draw steam or smoke that rises from the origin."""
    for step in range(5):
        centre = rng.uniform(-0.04, 0.04), -0.045 * step
        canvas.disc(centre, 0.03 + 0.006 * step, (255, 255, 255, 150 - 24 * step))
