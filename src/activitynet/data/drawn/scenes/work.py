"""Scenes of occupation and volunteer activities."""

from __future__ import annotations

from random import Random

from activitynet.data.drawn.canvas import Canvas
from activitynet.data.drawn.colours import BLACK, STEEL, WHITE, WOOD, Colour, darker, lighter, some_cloth
from activitynet.data.drawn.figures import Figure, stand
from activitynet.data.drawn.people import FACING, KNEELING, SITTING, STANDING, STRIDING, somebody
from activitynet.data.drawn.places import anywhere, hall, outdoors, room, street, waterside
from activitynet.data.drawn.scenes.props import table, wheel

_BRICK = (188, 84, 56)
_CARDBOARD = (206, 162, 106)
_CRANE = (240, 184, 44)
_FRUITS = ((216, 60, 52), (240, 176, 60), (90, 170, 80))
_LITTER = (WHITE, (216, 60, 52), (80, 150, 220), (240, 200, 80))
_VESTS = ((190, 236, 40), (206, 240, 64), (255, 128, 32))


def office(canvas: Canvas, rng: Random) -> None:
    """Somebody works at a desk with a computer."""
    here = anywhere(canvas, rng, room, room, hall, x=(0.26, 0.34))
    height = rng.uniform(0.66, 0.76)
    seat, top, cushion = -height * 0.26, -height * 0.4, some_cloth(rng)
    here.line(((0, seat), (0, -0.03)), 0.026, BLACK)
    here.line(((-0.1, 0), (0, -0.04), (0.1, 0)), 0.018, BLACK)
    here.box(-0.12, seat, 0.1, seat + 0.04, cushion, round_by=0.02)
    here.box(-0.16, seat - 0.28, -0.11, seat - 0.02, cushion, round_by=0.02)
    table(here, rng, 0.14, 0.64, top)
    screen = here.at(0.42, top)
    screen.line(((0, 0), (0, -0.1)), 0.024, (90, 92, 96))
    screen.box(-0.06, -0.02, 0.06, -0.008, (90, 92, 96))
    screen.polygon(((-0.1, -0.32), (0.12, -0.34), (0.12, -0.07), (-0.1, -0.08)), BLACK)
    lit = rng.choice(((120, 196, 244), (150, 210, 244)))
    screen.polygon(((-0.08, -0.3), (0.1, -0.316), (0.1, -0.09), (-0.08, -0.1)), lit)
    for step in range(4):
        y = -0.26 + step * 0.04
        screen.line(((-0.05, y), (rng.uniform(0.0, 0.07), y)), 0.012, (40, 60, 110))
    here.box(0.2, top - 0.024, 0.32, top - 0.008, (226, 226, 228))
    here.box(0.57, top - 0.07, 0.61, top - 0.01, some_cloth(rng))
    pose = SITTING.but(lean=3, head=2).holding((0.25, top - 0.05), (0.29, top - 0.05)).loosened(rng, 3)
    Figure(here, somebody(rng, hat=""), pose, hips=(0, seat - 0.045), height=height).draw()


def construction(canvas: Canvas, rng: Random) -> None:
    """A worker in a hard hat lays bricks or wheels a barrow, a crane behind."""
    here = anywhere(canvas, rng, street, outdoors, outdoors, x=(0.24, 0.32))
    height = rng.uniform(0.58, 0.68)
    if rng.random() < 0.7:
        crane = here.at(rng.uniform(0.46, 0.6), -0.8)
        crane.line(((0, 0.6), (0, -0.2)), 0.03, _CRANE)
        crane.line(((-0.5, 0), (0.4, 0)), 0.03, _CRANE)
        crane.line(((-0.4, 0), (-0.4, 0.14)), 0.008, BLACK)
        crane.box(-0.44, 0.14, -0.36, 0.19, _BRICK)
    person = somebody(rng, hat="helmet", hat_colour=(252, 204, 32), legs=1.0, skirt=False, sleeves=1.0)
    if rng.random() < 0.5:
        rows = rng.choice((3, 4, 5))
        for row in range(rows):
            for column in range(6 - row):
                brick = here.at(0.2 + column * 0.12 + 0.06 * (row % 2), -0.075 * (row + 1))
                brick.box(0, 0, 0.11, 0.066, darker(_BRICK, rng.uniform(0.0, 0.15)))
        top = here.at(0.26, -0.075 * rows)
        pose = STRIDING.but(lean=22, head=4).holding((0.26, -0.075 * rows - 0.05)).but(far_arm=(50, 80))
        mason = stand(here, person, pose.loosened(rng, 3), height=height)
        mason.draw()
        top.polygon(((0, -0.05), (0.1, -0.04), (0.05, 0)), STEEL)
    else:
        grip, tray = (0.14, -height * 0.38), here.at(0.4, 0)
        here.line((grip, (0.52, -0.08)), 0.02, darker(WOOD, 0.3))
        tray.line(((-0.1, 0), (-0.06, -0.14)), 0.016, BLACK)
        for step in range(4):
            left, top_edge = step * 0.06 - 0.1, -0.27 - 0.03 * (step % 2)
            tray.box(left, top_edge, left + 0.055, -0.2, darker(_BRICK, 0.08 * step))
        tray.polygon(((-0.16, -0.24), (0.2, -0.24), (0.1, -0.1), (-0.08, -0.1)), (84, 132, 76))
        wheel(tray, (0.14, -0.06), 0.062)
        stand(here, person, STRIDING.but(lean=10).holding(grip).loosened(rng, 3), height=height).draw()
    cone = here.at(-rng.uniform(0.2, 0.26), 0)
    cone.polygon(((-0.055, 0), (0, -0.16), (0.055, 0)), (244, 108, 28))
    cone.line(((-0.027, -0.065), (0.027, -0.065)), 0.028, WHITE)


def teaching(canvas: Canvas, rng: Random) -> None:
    """A teacher explains at a blackboard before pupils."""
    here = anywhere(canvas, rng, room, room, hall, x=(0.2, 0.28))
    height = rng.uniform(0.6, 0.68)
    board = here.at(0.1, -height * 1.02)
    board.box(-0.025, -0.025, 0.625, 0.385, WOOD)
    board.box(0, 0, 0.6, 0.36, rng.choice(((36, 92, 68), (40, 84, 64), (30, 76, 60))))
    for row in range(4):
        start, y = 0.22, 0.06 + row * 0.075
        while start < 0.52:
            end = start + rng.uniform(0.02, 0.07)
            board.line(((start, y), (end, y + rng.uniform(-0.012, 0.012))), 0.01, WHITE)
            start = end + 0.02
    tip = 0.1 + rng.uniform(0.2, 0.28), -height * 1.02 + rng.uniform(0.1, 0.2)
    pose = STANDING.holding((tip[0] - 0.06, tip[1] + 0.04)).but(far_arm=(30, 60)).loosened(rng, 3)
    teacher = stand(here, somebody(rng, hat="", legs=1.0), pose, ground=-0.02, height=height)
    teacher.draw()
    here.line((teacher.near_hand, tip), 0.012, (232, 200, 140))
    for step in range(rng.choice((2, 3))):
        place, raised = here.at(0.32 + step * 0.22, 0), rng.random() < 0.4
        pose = FACING.but(view="back", near_arm=(20, 60), far_arm=(150, 175) if raised else (20, 60))
        pupil = somebody(rng, child=True, hat="")
        Figure(place, pupil, pose.loosened(rng), hips=(0, 0.1), height=0.5).draw()
        place.box(-0.1, 0.02, 0.1, 0.05, (196, 150, 96))


def litter_picking(canvas: Canvas, rng: Random) -> None:
    """People in vests pick litter into bags."""
    here = anywhere(canvas, rng, outdoors, street, waterside, x=(0.46, 0.54))
    vest = rng.choice(_VESTS)
    for _ in range(12):
        left, top = rng.uniform(-0.5, 0.5), rng.uniform(-0.05, 0.06)
        here.box(left, top, left + rng.uniform(0.02, 0.045), top + 0.024, rng.choice(_LITTER))
    for x in rng.choice(((-0.24, 0.24), (-0.36, 0.0, 0.36))):
        spot, facing = here.at(x, rng.uniform(-0.04, 0.02)), rng.choice((-1, 1))
        pose = STRIDING.but(lean=rng.uniform(8, 36), head=10, near_arm=(34, 24), far_arm=(14, 6))
        height = rng.uniform(0.48, 0.58)
        picker = stand(spot, somebody(rng, vest=vest), pose.loosened(rng), height=height, facing=facing)
        picker.draw_far()
        bag = spot.at(*picker.far_hand)
        bag.limb((0, 0.01), (-facing * 0.03, 0.13), 0.024, 0.075, (36, 38, 44))
        picker.draw_body()
        picker.draw_near()
        hx, hy = picker.near_hand
        claw = hx + facing * 0.07
        spot.line(((hx, hy), (claw, -0.02)), 0.014, STEEL)
        spot.box(claw - 0.02, -0.04, claw + 0.02, 0, rng.choice(_LITTER))


def food_bank(canvas: Canvas, rng: Random) -> None:
    """Helpers in vests hand out boxes of food at a table under a heart."""
    here = anywhere(canvas, rng, room, hall, outdoors, street, x=(0.34, 0.42))
    height = rng.uniform(0.58, 0.66)
    vest, cloth, counter = rng.choice(_VESTS), some_cloth(rng), here.at(0, -height * 0.42)
    banner = here.at(0, -rng.uniform(0.72, 0.76))
    banner.box(-0.26, -0.07, 0.26, 0.07, WHITE, round_by=0.02)
    _heart(banner.at(0, -0.005, size=0.05), (224, 44, 60))
    for left in (-0.22, 0.08):
        banner.line(((left, 0), (left + 0.14, 0)), 0.022, (60, 110, 180))
    for x in (-0.15, 0.13):
        pose = FACING.but(near_arm=(30, 50), far_arm=(26, 40)).loosened(rng)
        stand(here, somebody(rng, vest=vest), pose, x=x, ground=-0.03, height=height).draw()
    counter.box(-0.32, 0, 0.3, height * 0.42, cloth)
    counter.box(-0.33, -0.015, 0.31, 0.02, lighter(cloth))
    _heart(counter.at(0, 0.12, size=0.055), (224, 44, 60))
    for left in (-0.28, -0.08, 0.12):
        box = counter.at(left, -0.012)
        box.box(0, -0.09, 0.14, 0, _CARDBOARD)
        box.box(0.055, -0.09, 0.085, 0, lighter(_CARDBOARD))
        for x in (0.04, 0.1):
            box.disc((x, -0.103), 0.028, rng.choice(_FRUITS))
    pose = STANDING.but(near_arm=(60, 80), far_arm=(50, 90)).loosened(rng)
    guest = stand(here, somebody(rng), pose, x=0.48, ground=0.02, height=height, facing=-1)
    guest.draw()
    here.at(*guest.near_hand).box(-0.09, -0.07, 0.03, 0.03, _CARDBOARD)
    guest.draw_near()


def _heart(canvas: Canvas, colour: Colour) -> None:
    for x in (-0.48, 0.48):
        canvas.disc((x, -0.3), 0.52, colour)
    canvas.polygon(((-0.94, -0.06), (0, 1), (0.94, -0.06), (0, -0.4)), colour)


def tree_planting(canvas: Canvas, rng: Random) -> None:
    """Helpers in vests plant a young tree with a spade."""
    here = anywhere(canvas, rng, outdoors, outdoors, street, x=(0.46, 0.54))
    vest = rng.choice(_VESTS)
    here.oval((0, 0), 0.15, 0.04, (96, 68, 48))
    here.line(((0, 0), (0, -0.28)), 0.016, (110, 80, 56))
    for _ in range(9):
        leaf = rng.uniform(-0.07, 0.07), -rng.uniform(0.18, 0.36)
        here.oval(leaf, 0.036, 0.024, rng.choice(((84, 168, 64), (116, 190, 76))))
    height = rng.uniform(0.52, 0.6)
    pose = STRIDING.but(lean=16, head=8).holding((-0.16, -0.24), (-0.19, -0.32)).loosened(rng, 3)
    digger = stand(here, somebody(rng, vest=vest), pose, x=-0.28, height=height)
    digger.draw()
    here.line(((-0.2, -0.36), (-0.1, -0.03)), 0.016, WOOD)
    here.limb((-0.11, -0.06), (-0.09, -0.01), 0.034, 0.016, STEEL)
    digger.draw_near()
    pose = KNEELING.but(lean=24, head=4).holding((0.03, -0.2), (0.02, -0.1)).loosened(rng, 2)
    stand(here, somebody(rng, vest=vest), pose, x=0.24, height=height, facing=-1).draw()
