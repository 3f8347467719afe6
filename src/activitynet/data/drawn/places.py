"""Places, shared by many activities: parks, streets, rooms, halls, shores, open water and snow."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from activitynet.data.drawn.canvas import Canvas, around
from activitynet.data.drawn.colours import WHITE, darker, lighter, some_cloth
from activitynet.data.drawn.scenery import (
    LEAVES,
    SKIES,
    WALLS,
    bush,
    bystander,
    far_side,
    house,
    mountain,
    sky,
    tree,
    water,
)

Place = Callable[[Canvas, Random], float]
"""Draws a place and returns the height of the ground that people stand on."""

_GROUNDS = (
    (96, 156, 72),
    (124, 168, 80),
    (150, 150, 88),
    (178, 158, 112),
    (214, 192, 146),
    (132, 132, 134),
    (168, 166, 164),
    (72, 104, 64),
    (226, 230, 236),
)
_PATHS = ((196, 178, 140), (150, 148, 148), (110, 108, 112))
_PAVEMENTS = ((176, 172, 166), (150, 150, 152), (196, 186, 170), (220, 224, 230))
_ROADS = ((84, 84, 90), (110, 108, 108), (64, 66, 74))
_FLOORS = (
    (172, 124, 80),
    (140, 96, 64),
    (200, 168, 124),
    (150, 150, 150),
    (96, 92, 96),
    (206, 202, 196),
    (120, 72, 64),
    (112, 128, 104),
)
_SNOWS = ((244, 248, 252), (224, 232, 246), (246, 228, 226), (196, 206, 228), (176, 182, 196))


def anywhere(canvas: Canvas, rng: Random, *places: Place, x: tuple[float, float]) -> Canvas:
    """Draw one of the places, and return the picture in coordinates from a point on its ground.

    Args:
        canvas: Where to draw.
        rng: Where the choice comes from.
        places: What to choose from; one named twice is twice as likely.
        x: Between which positions, left to right, the point lies.
    """
    ground = rng.choice(places)(canvas, rng)
    return canvas.at(rng.uniform(*x), ground)


def outdoors(canvas: Canvas, rng: Random) -> float:
    """Draw a park, field, beach or yard."""
    horizon = rng.uniform(0.48, 0.64)
    sky(canvas, rng, horizon)
    far_side(canvas, rng, horizon)
    ground = rng.choice(_GROUNDS)
    canvas.fade(horizon, 1.5, lighter(ground, 0.15), darker(ground, 0.15))
    if rng.random() < 0.4:
        canvas.polygon(((-0.5, 0.8), (1.5, 0.76), (1.5, 0.98), (-0.5, 1.04)), rng.choice(_PATHS))
    _trees_aside(canvas, rng, horizon, rng.choice((0, 1, 2, 3)))
    for _ in range(rng.choice((0, 0, 1, 2))):
        spot = canvas.at(rng.uniform(0.0, 1.0), horizon + rng.uniform(0.01, 0.06))
        bush(spot, rng, rng.uniform(0.06, 0.12))
    if rng.random() < 0.25:
        bystander(canvas, rng, horizon)
    for _ in range(rng.choice((0, 8, 16))):
        x, y = rng.uniform(-0.1, 1.1), rng.uniform(horizon + 0.05, 1.05)
        canvas.line(((x, y), (x + 0.012, y - 0.02)), 0.006, darker(ground, 0.25))
    return rng.uniform(0.86, 0.92)


def _trees_aside(canvas: Canvas, rng: Random, horizon: float, count: int) -> None:
    """Draw trees to the left and right, where they do not stand behind the people."""
    for _ in range(count):
        x, near = rng.choice((rng.uniform(-0.05, 0.22), rng.uniform(0.78, 1.05))), rng.uniform(0.0, 0.12)
        tree(canvas.at(x, horizon + near), rng, 0.28 + near * 2)


def street(canvas: Canvas, rng: Random) -> float:
    """Draw a street with houses behind it."""
    kerb, road = rng.uniform(0.58, 0.68), rng.uniform(0.74, 0.8)
    sky(canvas, rng, kerb)
    x = -0.35
    while x < 1.35:
        width = rng.uniform(0.2, 0.36)
        house(canvas.at(x, kerb), rng, width, rng.uniform(0.26, 0.58))
        x += width + rng.choice((0.0, 0.0, 0.08))
    canvas.box(-0.5, kerb, 1.5, 1.5, rng.choice(_PAVEMENTS))
    canvas.box(-0.5, road, 1.5, 1.5, rng.choice(_ROADS))
    for step in range(-2, 8):
        canvas.box(step * 0.2, 0.955, step * 0.2 + 0.1, 0.97, (226, 226, 216))
    _trees_aside(canvas, rng, kerb, rng.choice((0, 1, 2)))
    if rng.random() < 0.4:
        post = rng.uniform(0.05, 0.95)
        canvas.line(((post, road), (post, 0.2), (post + 0.08, 0.18)), 0.012, (70, 74, 80))
    if rng.random() < 0.25:
        bystander(canvas, rng, kerb)
    return rng.uniform(0.86, 0.92)


def room(canvas: Canvas, rng: Random) -> float:
    """Draw a room with a window, pictures, a lamp, a plant or shelves."""
    edge = rng.uniform(0.66, 0.78)
    wall, floor = rng.choice(WALLS), rng.choice(_FLOORS)
    canvas.fade(-0.2, edge, lighter(wall, 0.08), darker(wall, rng.uniform(0.0, 0.15)))
    pattern, tone = rng.choice(("", "", "stripes", "panels", "tiles")), darker(wall, 0.09)
    if pattern == "stripes":
        for step in range(-3, 14):
            canvas.box(step * 0.1, -0.5, step * 0.1 + 0.045, edge, tone)
    elif pattern == "panels":
        canvas.box(-0.5, edge - 0.22, 1.5, edge, darker(wall, 0.18))
    elif pattern == "tiles":
        for step in range(-3, 14):
            canvas.line(((step * 0.1, -0.5), (step * 0.1, edge)), 0.006, tone)
            canvas.line(((-0.5, edge - step * 0.1), (1.5, edge - step * 0.1)), 0.006, tone)
    canvas.fade(edge, 1.5, floor, darker(floor, 0.2))
    canvas.box(-0.5, edge - 0.018, 1.5, edge + 0.004, lighter(wall, 0.4))
    if rng.random() < 0.35:
        for step in range(-4, 15):
            canvas.line(((step * 0.12, edge), (step * 0.17 - 0.2, 1.5)), 0.005, darker(floor, 0.2))
    if rng.random() < 0.3:
        x, rug = rng.uniform(0.4, 0.6), some_cloth(rng)
        canvas.oval((x, 0.93), 0.42, 0.07, rug)
        canvas.oval((x, 0.93), 0.32, 0.048, lighter(rug))
    for _ in range(rng.choice((1, 2, 2, 3))):
        rng.choice((_window, _picture, _shelf, _plant, _lamp))(canvas, rng, edge)
    return rng.uniform(0.87, 0.93)


def _window(canvas: Canvas, rng: Random, edge: float) -> None:
    here = canvas.at(rng.uniform(-0.05, 0.75), rng.uniform(0.06, 0.16))
    width, height = rng.uniform(0.2, 0.34), rng.uniform(0.22, min(0.34, edge - 0.3))
    here.box(-0.015, -0.015, width + 0.015, height + 0.015, WHITE)
    here.box(0, 0, width, height, rng.choice(SKIES)[1])
    here.box(0, height * 0.7, width, height, rng.choice(LEAVES))
    here.line(((width / 2, 0), (width / 2, height)), 0.014, WHITE)
    if rng.random() < 0.5:
        cloth = some_cloth(rng)
        for left in (-0.04, width - 0.03):
            here.box(left, -0.03, left + 0.07, height + 0.06, cloth)


def _picture(canvas: Canvas, rng: Random, edge: float) -> None:
    here = canvas.at(rng.uniform(0.0, 0.85), rng.uniform(0.08, edge - 0.4))
    width, height = rng.uniform(0.1, 0.2), rng.uniform(0.1, 0.18)
    here.box(0, 0, width, height, rng.choice(((90, 64, 44), (30, 30, 34), (226, 196, 120))))
    here.box(0.015, 0.015, width - 0.015, height - 0.015, lighter(some_cloth(rng), 0.5))
    here.disc((width / 2, height / 2), 0.03, some_cloth(rng))


def _shelf(canvas: Canvas, rng: Random, edge: float) -> None:
    here, x = canvas.at(rng.uniform(-0.1, 0.8), rng.uniform(0.2, edge - 0.3)), 0.01
    here.box(0, 0, 0.3, 0.02, (120, 84, 56))
    while x < 0.27:
        width = rng.uniform(0.014, 0.03)
        here.box(x, -rng.uniform(0.05, 0.1), x + width, 0, some_cloth(rng))
        x += width + rng.choice((0.0, 0.002, 0.02))


def _plant(canvas: Canvas, rng: Random, edge: float) -> None:
    here = canvas.at(rng.choice((rng.uniform(-0.02, 0.12), rng.uniform(0.88, 1.02))), edge + 0.06)
    leaf = rng.choice(LEAVES)
    for angle in range(200, 341, 20):
        tip = around((0, -0.1), rng.uniform(0.1, 0.18), angle)
        here.limb((0, -0.08), tip, 0.012, 0.006, darker(leaf, rng.uniform(0.0, 0.25)))
    here.polygon(((-0.05, -0.09), (0.05, -0.09), (0.035, 0), (-0.035, 0)), (176, 92, 60))


def _lamp(canvas: Canvas, rng: Random, edge: float) -> None:
    x, shade = rng.choice((rng.uniform(0.0, 0.15), rng.uniform(0.85, 1.0))), lighter(some_cloth(rng), 0.5)
    hanging = rng.random() < 0.5
    here = canvas.at(x, 0.1 if hanging else 0.26)
    here.line(((0, -0.6), (0, 0.02)) if hanging else ((0, 0.1), (0, edge - 0.21)), 0.01, (70, 64, 60))
    here.polygon(((-0.03, 0), (0.03, 0), (0.08, 0.1), (-0.08, 0.1)), shade)


def hall(canvas: Canvas, rng: Random) -> float:
    """Draw a large indoor place: a gym, a stage or a ballroom."""
    edge = rng.uniform(0.62, 0.74)
    wall = darker(rng.choice(WALLS), rng.uniform(0.1, 0.7))
    floor = darker(rng.choice(_FLOORS), rng.uniform(0.0, 0.4))
    canvas.fade(-0.2, edge, darker(wall, 0.3), wall)
    kind = rng.choice(("curtain", "pillars", "windows", "bare"))
    if kind == "curtain":
        cloth = darker(some_cloth(rng), 0.2)
        for step in range(-6, 26):
            canvas.box(step * 0.05, -0.5, step * 0.05 + 0.05, edge, darker(cloth, 0.18 * (step % 2)))
    elif kind == "pillars":
        for x in (-0.2, 0.12, 0.44, 0.76, 1.08):
            canvas.box(x, -0.5, x + 0.07, edge, lighter(wall, 0.2))
            canvas.box(x - 0.012, edge - 0.03, x + 0.082, edge, lighter(wall, 0.3))
    elif kind == "windows":
        pane = lighter(rng.choice(SKIES)[1], 0.2)
        for x in (-0.25, 0.05, 0.35, 0.65, 0.95):
            canvas.box(x, 0.05, x + 0.2, 0.24, pane)
    canvas.fade(edge, 1.5, lighter(floor, 0.1), darker(floor, 0.2))
    if rng.random() < 0.5:
        for step in range(-4, 15):
            canvas.line(((step * 0.12, edge), (step * 0.2 - 0.35, 1.5)), 0.005, darker(floor, 0.25))
    if rng.random() < 0.25:
        bystander(canvas, rng, edge)
    return rng.uniform(0.87, 0.92)


def waterside(canvas: Canvas, rng: Random) -> float:
    """Draw a lake or the sea behind a bank that people stand on."""
    horizon = rng.uniform(0.4, 0.52)
    sky(canvas, rng, horizon)
    far_side(canvas, rng, horizon)
    water(canvas, rng, horizon)
    bank, ground = rng.uniform(0.8, 0.86), rng.choice(_GROUNDS)
    edge = ((-0.5, bank), (0.4, bank + 0.02), (1.5, bank - 0.04))
    canvas.polygon((*edge, (1.5, 1.5), (-0.5, 1.5)), ground)
    canvas.line(edge, 0.012, lighter(ground))
    return rng.uniform(0.88, 0.92)


def open_water(canvas: Canvas, rng: Random) -> float:
    """Draw a lake, river or sea that fills the foreground; its "ground" is a line on the water."""
    horizon = rng.uniform(0.3, 0.46)
    sky(canvas, rng, horizon)
    far_side(canvas, rng, horizon)
    water(canvas, rng, horizon)
    return rng.uniform(0.68, 0.78)


def snow(canvas: Canvas, rng: Random) -> float:
    """Draw a winter landscape, in the colours of its time of day."""
    horizon, colour = rng.uniform(0.44, 0.6), rng.choice(_SNOWS)
    sky(canvas, rng, horizon)
    for _ in range(rng.choice((0, 2, 3))):
        mountain(canvas, rng, horizon)
    canvas.fade(horizon, 1.5, colour, darker(colour, 0.15))
    _trees_aside(canvas, rng, horizon + 0.02, rng.choice((0, 2, 4)))
    if rng.random() < 0.25:
        bystander(canvas, rng, horizon)
    return rng.uniform(0.83, 0.9)
