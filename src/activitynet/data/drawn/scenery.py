"""What stands about in a place: sky, water, hills, houses, plants, people in the distance."""

from __future__ import annotations

from random import Random

from activitynet.data.drawn.canvas import Canvas
from activitynet.data.drawn.colours import BLACK, WHITE, Colour, darker, lighter, mix
from activitynet.data.drawn.figures import stand
from activitynet.data.drawn.people import FACING, STANDING, somebody

SKIES = (
    ((88, 156, 224), (200, 226, 240)),
    ((120, 180, 230), (226, 236, 238)),
    ((150, 160, 172), (206, 208, 210)),
    ((236, 132, 88), (250, 214, 150)),
    ((72, 64, 120), (226, 140, 140)),
    ((30, 40, 84), (92, 104, 150)),
    ((206, 186, 214), (250, 226, 206)),
)
LEAVES = ((56, 120, 60), (84, 144, 64), (120, 150, 56), (196, 120, 48), (176, 72, 48), (60, 96, 84))
WALLS = (
    (236, 226, 206),
    (206, 220, 226),
    (220, 206, 196),
    (196, 212, 188),
    (232, 204, 160),
    (200, 176, 190),
    (148, 164, 180),
    (120, 104, 96),
    (92, 112, 120),
    (246, 244, 240),
    (186, 88, 72),
)
_BARKS = ((104, 76, 56), (84, 68, 60), (140, 124, 108))
_ROOFS = ((140, 72, 56), (92, 84, 88), (110, 90, 70))
_PANES = ((120, 150, 176), (250, 220, 140), (70, 84, 104))
_ROCKS = ((96, 104, 124), (124, 112, 108), (140, 136, 150))
_WATERS = ((56, 120, 168), (72, 152, 176), (92, 116, 132), (48, 88, 120), (110, 150, 150))


def sky(canvas: Canvas, rng: Random, horizon: float) -> None:
    """Draw a sky down to the horizon, with a sun or clouds in some."""
    above, below = rng.choice(SKIES)
    canvas.fade(-0.2, horizon + 0.02, above, below)
    if rng.random() < 0.35:
        canvas.disc(
            (rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.3)), rng.uniform(0.04, 0.07), (255, 246, 208)
        )
    for _ in range(rng.choice((0, 1, 2, 3))):
        x, y = rng.uniform(0.0, 1.0), rng.uniform(0.02, 0.28)
        for step in range(4):
            canvas.oval((x + 0.05 * step, y - 0.012 * (step % 2)), 0.06, 0.026, mix(below, WHITE, 0.6))


def water(canvas: Canvas, rng: Random, top: float) -> Colour:
    """Draw water from ``top`` to the lower edge, and return its colour."""
    colour = rng.choice(_WATERS)
    canvas.fade(top, 1.5, lighter(colour, 0.3), darker(colour, 0.2))
    for _ in range(14):
        x, y, length = rng.uniform(-0.2, 1.1), rng.uniform(top + 0.02, 1.1), rng.uniform(0.03, 0.12)
        canvas.line(((x, y), (x + length, y)), 0.008, lighter(colour, 0.45))
    return colour


def far_side(canvas: Canvas, rng: Random, horizon: float) -> None:
    """Draw what lies on the horizon: hills, mountains, a row of trees, houses, or nothing."""
    kind = rng.choice(("hills", "hills", "houses", "trees", "mountains", ""))
    if kind == "hills":
        colour = mix(rng.choice(LEAVES), (170, 190, 210), rng.uniform(0.3, 0.7))
        for _ in range(3):
            canvas.oval((rng.uniform(-0.1, 1.1), horizon + 0.02), 0.42, rng.uniform(0.06, 0.16), colour)
    elif kind == "mountains":
        for _ in range(3):
            mountain(canvas, rng, horizon)
    elif kind == "trees":
        leaf = mix(rng.choice(LEAVES), (150, 170, 180), 0.25)
        for step in range(16):
            canvas.disc((-0.2 + 0.1 * step, horizon), rng.uniform(0.05, 0.1), leaf)
    elif kind == "houses":
        x = -0.3
        while x < 1.3:
            width = rng.uniform(0.1, 0.2)
            house(canvas.at(x, horizon + 0.01), rng, width, rng.uniform(0.12, 0.26))
            x += width + rng.uniform(-0.01, 0.06)


def mountain(canvas: Canvas, rng: Random, horizon: float) -> None:
    """Draw a mountain with snow on its top."""
    here = canvas.at(rng.uniform(0.0, 1.0), horizon + 0.01, size=rng.uniform(0.16, 0.34))
    rock = mix(rng.choice(_ROCKS), (200, 210, 226), rng.uniform(0.0, 0.4))
    here.polygon(((-1.1, 0), (0, -1), (1.1, 0)), rock)
    here.polygon(((0, -1), (0.33, -0.7), (0.07, -0.65), (-0.1, -0.76), (-0.33, -0.7)), (240, 244, 250))


def house(canvas: Canvas, rng: Random, width: float, height: float) -> None:
    """Draw a house's front with its windows, its lower left corner at the origin."""
    canvas.box(0, -height, width, 0, rng.choice(WALLS))
    if rng.random() < 0.6:
        eaves, ridge = -height, -height - width * 0.32
        roof = ((-0.015, eaves), (width / 2, ridge), (width + 0.015, eaves))
        canvas.polygon(roof, rng.choice(_ROOFS))
    rows, pane = max(1, round(height / 0.1)), rng.choice(_PANES)
    storey = height / rows
    for row in range(rows):
        top = -height + (row + 0.3) * storey
        for left in (0.18 * width, 0.58 * width):
            canvas.box(left, top, left + 0.24 * width, top + 0.42 * storey, pane)


def tree(canvas: Canvas, rng: Random, height: float) -> None:
    """Draw a broad-leaved tree or a fir that stands at the origin."""
    here, leaf = canvas.at(0, 0, size=height), rng.choice(LEAVES)
    here.limb((0, 0), (0, -0.5), 0.05, 0.03, rng.choice(_BARKS))
    if rng.random() < 0.4:
        for step in range(3):
            top, half = -0.62 - 0.19 * step, 0.26 - 0.06 * step
            boughs = ((-half, top + 0.34), (0, top - 0.05), (half, top + 0.34))
            here.polygon(boughs, darker(leaf, 0.1 * (2 - step)))
        return
    for _ in range(6):
        shade = mix(leaf, rng.choice((BLACK, WHITE)), rng.uniform(0.0, 0.15))
        centre = rng.uniform(-0.16, 0.16), -0.72 + rng.uniform(-0.14, 0.16)
        here.disc(centre, rng.uniform(0.13, 0.2), shade)


def bush(canvas: Canvas, rng: Random, size: float) -> None:
    """Draw a low bush that stands at the origin."""
    here, leaf = canvas.at(0, 0, size=size), rng.choice(LEAVES)
    for step in range(4):
        centre = 0.4 * (step - 1.5), -rng.uniform(0.2, 0.5)
        here.disc(centre, 0.4, darker(leaf, rng.uniform(0.0, 0.2)))


def bystander(canvas: Canvas, rng: Random, horizon: float) -> None:
    """Draw somebody small who merely stands in the distance."""
    far = rng.uniform(0.03, 0.1)
    pose = rng.choice((FACING, STANDING, FACING.but(view="back"))).loosened(rng)
    stand(
        canvas, somebody(rng), pose, x=rng.uniform(0.05, 0.95), ground=horizon + far, height=0.1 + far
    ).draw()
