"""Scenes of home activities, home repair, lawn and garden."""

from __future__ import annotations

from random import Random

from activitynet.data.drawn.canvas import Canvas, arc
from activitynet.data.drawn.colours import BLACK, STEEL, WHITE, WOOD, darker, lighter, some_cloth
from activitynet.data.drawn.figures import stand
from activitynet.data.drawn.people import FACING, KNEELING, STANDING, STRIDING, somebody
from activitynet.data.drawn.places import anywhere, hall, outdoors, room, street
from activitynet.data.drawn.scenery import bush, house
from activitynet.data.drawn.scenes.props import steam


def cooking(canvas: Canvas, rng: Random) -> None:
    """Somebody in an apron stirs a steaming pot on a stove."""
    here = anywhere(canvas, rng, room, x=(0.34, 0.42))
    height = rng.uniform(0.62, 0.72)
    top = -height * 0.52
    stove = here.at(0.14, top)
    front = rng.choice((WHITE, (226, 226, 222), (196, 200, 204)))
    stove.box(0, 0, 0.38, -top, front, round_by=0.01)
    stove.box(-0.01, -0.012, 0.39, 0.02, darker(front, 0.7))
    stove.box(0.05, 0.13, 0.33, -top - 0.05, darker(front, 0.75), round_by=0.02)
    stove.line(((0.06, 0.1), (0.32, 0.1)), 0.012, STEEL)
    for step in range(4):
        stove.disc((0.07 + step * 0.08, 0.05), 0.016, (224, 72, 56))
    pot = rng.choice(((216, 64, 48), (232, 120, 48), (64, 112, 184)))
    stove.box(0.06, -0.12, 0.25, -0.012, pot, round_by=0.015)
    stove.box(0.04, -0.13, 0.27, -0.11, darker(pot))
    stove.line(((0.12, -0.2), (0.17, -0.12)), 0.014, WOOD)
    steam(stove.at(0.155, -0.16), rng)
    pose = STANDING.but(head=14, far_arm=(30, 70)).holding((0.26, top - 0.2)).loosened(rng)
    cook = stand(here, somebody(rng), pose, height=height)
    cook.draw()
    x, y = cook.hips
    here.box(x - 0.035, y - 0.12, x + 0.055, y + 0.13, lighter(some_cloth(rng), 0.6), round_by=0.02)
    cook.draw_near()


def vacuuming(canvas: Canvas, rng: Random) -> None:
    """Somebody pushes a vacuum cleaner."""
    here = anywhere(canvas, rng, room, x=(0.3, 0.38))
    height = rng.uniform(0.6, 0.72)
    colour = rng.choice(((208, 48, 48), (56, 104, 192), (72, 152, 88)))
    grip = 0.15, -height * 0.5
    here.line(((-0.2, -0.06), (-0.06, -0.16), (0.06, -0.12), (0.13, -0.3), grip), 0.026, BLACK)
    here.oval((-0.2, -0.07), 0.12, 0.08, colour)
    for wheel in (-0.27, -0.14):
        here.disc((wheel, -0.02), 0.034, BLACK)
    here.line((grip, (0.38, -0.02)), 0.024, STEEL)
    here.box(0.32, -0.045, 0.48, 0.005, darker(colour), round_by=0.015)
    pose = STRIDING.but(lean=14, head=10).holding(grip).but(far_arm=(-20, 30)).loosened(rng)
    stand(here, somebody(rng), pose, height=height).draw()


def ironing(canvas: Canvas, rng: Random) -> None:
    """Somebody irons at an ironing board, beside a basket of laundry."""
    here = anywhere(canvas, rng, room, x=(0.38, 0.5))
    height = rng.uniform(0.6, 0.7)
    board = here.at(0, -height * 0.5)
    pose = FACING.but(head=6).holding((0.17, -height * 0.5 - 0.05), (-0.12, -height * 0.5)).loosened(rng)
    presser = stand(here, somebody(rng), pose, ground=-0.02, height=height)
    presser.draw()
    for side in (-1, 1):
        here.line(((side * 0.18, -height * 0.5), (-side * 0.16, 0)), 0.016, STEEL)
    board.box(-0.3, 0, 0.34, 0.036, rng.choice(((150, 190, 226), (232, 190, 200))), round_by=0.017)
    board.box(-0.22, -0.012, 0.1, 0.08, some_cloth(rng), round_by=0.015)
    board.polygon(((0.08, -0.006), (0.25, -0.006), (0.22, -0.065), (0.13, -0.065)), (224, 64, 72))
    board.line(((0.13, -0.085), (0.22, -0.085)), 0.018, BLACK)
    steam(board.at(0.1, -0.06), rng)
    presser.draw_arms()
    here.box(0.32, -0.1, 0.52, 0, (196, 156, 104), taper=0.025)
    for step in range(3):
        here.disc((0.37 + 0.05 * step, -0.11), 0.04, some_cloth(rng))


def painting(canvas: Canvas, rng: Random) -> None:
    """Somebody on a ladder rolls paint onto a wall, indoors or out."""
    paint = some_cloth(rng)
    inside = rng.random() < 0.5
    here = anywhere(canvas, rng, room if inside else outdoors, x=(0.38, 0.48))
    if not inside:
        house(here.at(-0.5, -0.03), rng, 1.2, 0.75)
    for _ in range(5):
        left, top = rng.uniform(0.0, 0.24), rng.uniform(-0.9, -0.7)
        here.box(left, top, left + 0.14, top + rng.uniform(0.15, 0.34), paint, round_by=0.03)
    rail, rung = (224, 172, 64), (184, 138, 60)
    here.line(((0.06, -0.56), (0.2, 0)), 0.016, rung)
    for side in (0.0, 0.09):
        here.line(((side - 0.07, 0), (side - 0.01, -0.56)), 0.02, rail)
    for step in range(1, 7):
        left = -0.07 + 0.06 * step / 7
        here.line(((left, -0.08 * step), (left + 0.09, -0.08 * step)), 0.016, rung)
    roller = here.at(0.26, rng.uniform(-0.76, -0.68))
    pose = STANDING.but(head=-14, near_arm=(110, 140), near_leg=(44, -14), far_leg=(2, 0)).loosened(rng, 4)
    painter = stand(here, somebody(rng), pose, x=-0.05, ground=-0.2, height=rng.uniform(0.5, 0.58))
    painter.draw()
    here.line((painter.near_hand, (0.26, -0.68)), 0.014, STEEL)
    roller.box(-0.09, -0.035, 0.07, 0.035, lighter(paint, 0.15), round_by=0.02)
    here.box(0.29, -0.11, 0.39, 0, STEEL, taper=0.01)
    here.oval((0.34, -0.11), 0.05, 0.014, paint)


def sawing(canvas: Canvas, rng: Random) -> None:
    """Somebody saws a plank that lies on trestles."""
    here = anywhere(canvas, rng, room, outdoors, hall, x=(0.24, 0.32))
    height = rng.uniform(0.62, 0.72)
    bench = here.at(0, -height * 0.4)
    for foot in (0.22, 0.56):
        here.line(((foot - 0.06, 0), (foot, -height * 0.4), (foot + 0.06, 0)), 0.024, darker(WOOD))
    bench.box(0.06, -0.045, 0.7, 0, (226, 180, 108))
    bench.polygon(((0.2, -0.13), (0.23, -0.05), (0.44, 0.06), (0.46, 0.03)), (214, 220, 226))
    for _ in range(8):
        here.disc((rng.uniform(0.26, 0.38), -rng.uniform(0.0, 0.1)), 0.01, (236, 204, 140))
    pose = STRIDING.but(lean=30, head=4).holding((0.2, -height * 0.4 - 0.1), (0.3, -height * 0.4 - 0.05))
    carpenter = stand(here, somebody(rng), pose.loosened(rng, 3), x=-0.02, height=height)
    carpenter.draw()
    bench.box(0.17, -0.13, 0.22, -0.055, (196, 60, 44), round_by=0.015)


def plumbing(canvas: Canvas, rng: Random) -> None:
    """Somebody kneels before a dripping pipe with a wrench, a toolbox at hand."""
    here = anywhere(canvas, rng, room, room, hall, x=(0.3, 0.38))
    height = rng.uniform(0.66, 0.78)
    pipe, copper, iron = here.at(0.34, 0), (204, 120, 68), (100, 104, 112)
    pipe.box(-0.16, -0.48, 0.2, -0.38, WHITE, round_by=0.04)
    pipe.line(((0, -0.38), (0, -0.12), (0.1, -0.12), (0.1, -0.24), (0.5, -0.24)), 0.05, copper)
    pipe.box(-0.04, -0.26, 0.04, -0.2, darker(copper, 0.3))
    for step in range(3):
        pipe.disc((0.02 * step - 0.02, -0.08 + 0.025 * step), 0.014, (120, 190, 230))
    pipe.oval((0, 0), 0.14, 0.022, (110, 180, 226))
    pose = KNEELING.but(lean=20, head=6).holding((0.22, -0.21), (0.29, -0.3)).loosened(rng, 3)
    plumber = stand(here, somebody(rng), pose, x=-0.06, height=height)
    plumber.draw()
    pipe.line(((-0.12, -0.21), (-0.02, -0.23)), 0.028, iron)
    pipe.ring((-0.01, -0.23), 0.04, 0.02, iron)
    chest, colour = here.at(-0.26, 0), rng.choice(((208, 52, 44), (224, 72, 48)))
    chest.box(-0.1, -0.11, 0.1, 0.01, colour, round_by=0.01)
    chest.box(-0.1, -0.075, 0.1, -0.06, darker(colour, 0.4))
    chest.line(((-0.05, -0.11), (-0.05, -0.16), (0.05, -0.16), (0.05, -0.11)), 0.018, BLACK)


def mowing(canvas: Canvas, rng: Random) -> None:
    """Somebody pushes a lawn mower through long grass."""
    here = anywhere(canvas, rng, outdoors, outdoors, street, x=(0.22, 0.3))
    height = rng.uniform(0.58, 0.7)
    colour = rng.choice(((212, 48, 40), (232, 112, 32), (216, 60, 44)))
    grip, deck = (0.16, -height * 0.52), here.at(0.46, 0)
    deck.box(0.05, -0.01, 1.5, 1.5, (84, 152, 60))
    for step in range(14):
        left = 0.06 + step * 0.04
        deck.line(((left, 0.02), (left + 0.012, -0.06)), 0.016, (60, 128, 48))
    here.line((grip, (0.38, -0.1)), 0.02, BLACK)
    deck.polygon(((-0.12, -0.03), (-0.09, -0.12), (0.1, -0.12), (0.15, -0.03)), colour)
    deck.box(-0.05, -0.185, 0.06, -0.115, (60, 60, 64), round_by=0.02)
    for wheel in (-0.09, 0.12):
        deck.disc((wheel, -0.025), 0.048, BLACK)
        deck.disc((wheel, -0.025), 0.02, STEEL)
    for _ in range(12):
        deck.disc((-rng.uniform(0.14, 0.3), -rng.uniform(0.0, 0.12)), 0.011, (96, 184, 60))
    person = somebody(rng, hat=rng.choice(("", "cap", "brim")))
    stand(here, person, STRIDING.but(lean=12).holding(grip).loosened(rng, 4), height=height).draw()


def watering(canvas: Canvas, rng: Random) -> None:
    """Somebody waters a bed of flowers from a can."""
    here = anywhere(canvas, rng, outdoors, outdoors, street, x=(0.22, 0.3))
    height = rng.uniform(0.6, 0.72)
    here.oval((0.46, 0.01), 0.3, 0.045, (104, 76, 56))
    for step in range(8):
        flower = here.at(0.22 + step * 0.07, -rng.uniform(0.1, 0.17))
        flower.line(((0, 0), (0, 0.12)), 0.012, (56, 128, 56))
        flower.oval((0.02, 0.08), 0.026, 0.012, (72, 144, 64))
        petal = rng.choice(((232, 64, 72), (248, 200, 64), (224, 112, 184), (250, 250, 250), (150, 92, 200)))
        for point in arc((0, 0), 0.021, 0.021, 0, 288, steps=4):
            flower.disc(point, 0.018, petal)
        flower.disc((0, 0), 0.013, (250, 220, 90))
    can, colour = here.at(0.2, -height * 0.42), rng.choice(((64, 152, 84), (80, 160, 96), (150, 160, 168)))
    can.line(((0.04, 0.08), (0.16, -0.02)), 0.024, darker(colour))
    can.disc((0.165, -0.025), 0.024, darker(colour, 0.35))
    for step in range(5):
        spout = 0.175, -0.02 + 0.006 * step
        drops = (spout, (0.21 + 0.022 * step, 0.05), (0.22 + 0.035 * step, height * 0.42 - 0.12))
        can.line(drops, 0.008, (190, 226, 250))
    can.box(-0.07, 0.01, 0.06, 0.12, colour, round_by=0.02)
    can.ring((-0.01, 0), 0.045, 0.014, darker(colour))
    pose = STANDING.but(lean=8, head=14).holding((0.18, -height * 0.42 - 0.03)).but(far_arm=(30, 50))
    person = somebody(rng, hat=rng.choice(("", "brim")))
    stand(here, person, pose.loosened(rng, 4), height=height).draw()


def raking(canvas: Canvas, rng: Random) -> None:
    """Somebody rakes fallen leaves into a heap."""
    here = anywhere(canvas, rng, outdoors, outdoors, street, x=(0.26, 0.34))
    height = rng.uniform(0.6, 0.72)
    leaves = ((216, 120, 36), (196, 72, 36), (232, 176, 56), (168, 96, 40))
    for _ in range(60):
        spread = rng.gauss(0.0, 0.1)
        y = -abs(rng.gauss(0.0, 0.06)) * max(0.0, 1 - abs(spread) * 4) * 1.6
        here.oval((0.5 + spread, y), 0.022, 0.014, rng.choice(leaves))
    for _ in range(10):
        spot = rng.uniform(-0.3, 0.7), rng.uniform(-0.03, 0.07)
        here.oval(spot, 0.018, 0.01, rng.choice(leaves))
    grip, rake = (0.04, -height * 0.66), here.at(0.34, -0.01)
    pose = STRIDING.but(lean=16, head=8).holding((0.16, -height * 0.42), grip).loosened(rng, 3)
    raker = stand(here, somebody(rng), pose, height=height)
    raker.draw()
    here.line((grip, (0.34, -0.01)), 0.018, WOOD)
    for step in range(6):
        tooth = -0.05 + step * 0.026
        rake.line(((-0.02, -0.045), (tooth, 0), (tooth + 0.004, 0.025)), 0.01, (56, 110, 72))
    raker.draw_near()
    bush(here.at(-0.26, 0.02), rng, 0.1)
