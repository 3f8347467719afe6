"""Scenes of conditioning exercise and sports."""

from __future__ import annotations

from random import Random

from activitynet.data.drawn.canvas import Canvas, arc, around
from activitynet.data.drawn.colours import BLACK, STEEL, WHITE, some_cloth
from activitynet.data.drawn.figures import Figure, stand
from activitynet.data.drawn.people import FACING, STRIDING, Person, Pose, somebody
from activitynet.data.drawn.places import anywhere, hall, outdoors, room, street

_NET = (226, 226, 226)


def _athlete(rng: Random, *, hat: str = "") -> Person:
    sleeves, legs = rng.choice((0.0, 0.3)), rng.choice((0.4, 0.4, 1.0))
    return somebody(rng, sleeves=sleeves, legs=legs, skirt=False, hat=hat)


def barbell(canvas: Canvas, rng: Random) -> None:
    """Somebody lifts a barbell overhead or to the chest."""
    here = anywhere(canvas, rng, hall, hall, room, outdoors, x=(0.44, 0.56))
    squat, arms = rng.choice((4, 24, 44)), (150, 176) if rng.random() < 0.6 else (20, 168)
    legs = squat, -squat / 2
    pose = FACING.but(near_arm=arms, far_arm=arms, near_leg=legs, far_leg=legs).loosened(rng, 3)
    lifter = stand(here, _athlete(rng), pose, height=rng.uniform(0.58, 0.66))
    here.shadow(0, 0, 0.2)
    lifter.draw()
    bar = here.at(0, (lifter.near_hand[1] + lifter.far_hand[1]) / 2)
    bar.line(((-0.38, 0), (0.38, 0)), 0.018, STEEL)
    for side in (-1, 1):
        for offset, half, colour in ((0.27, 0.1, BLACK), (0.305, 0.08, (208, 48, 48)), (0.335, 0.055, BLACK)):
            x = side * offset
            bar.box(x - 0.018, -half, x + 0.018, half, colour, round_by=0.01)
    lifter.draw_arms()


def dumbbells(canvas: Canvas, rng: Random) -> None:
    """Somebody curls dumb-bells, a rack of them behind."""
    here = anywhere(canvas, rng, hall, hall, room, outdoors, x=(0.44, 0.56))
    if rng.random() < 0.7:
        rack = here.at(rng.choice((-0.34, 0.34)), 0)
        for y in (-0.08, -0.2):
            rack.line(((-0.17, y + 0.03), (0.17, y + 0.03)), 0.02, (90, 94, 100))
            for x in (-0.1, 0.0, 0.1):
                _dumbbell(rack.at(x, y, size=0.7))
    bent, hanging = (16, rng.uniform(110, 150)), (12, 14)
    pose = FACING.but(near_arm=bent, far_arm=bent if rng.random() < 0.6 else hanging).loosened(rng)
    athlete = stand(here, _athlete(rng), pose, height=rng.uniform(0.62, 0.72))
    here.shadow(0, 0, 0.18)
    athlete.draw()
    for hand in (athlete.near_hand, athlete.far_hand):
        _dumbbell(here.at(*hand, size=1.2))


def _dumbbell(canvas: Canvas) -> None:
    canvas.line(((-0.06, 0), (0.06, 0)), 0.02, STEEL)
    for side in (-1, 1):
        canvas.box(side * 0.06 - 0.022, -0.045, side * 0.06 + 0.022, 0.045, BLACK, round_by=0.01)


def push_ups(canvas: Canvas, rng: Random) -> None:
    """Somebody does push-ups on a mat."""
    here = anywhere(canvas, rng, hall, room, outdoors, x=(0.44, 0.54))
    low = rng.uniform(0.0, 1.0)
    if rng.random() < 0.5:
        here.disc((-0.3, -0.13), 0.12, some_cloth(rng))
    mat = ((-0.42, -0.015), (0.4, -0.015), (0.44, 0.04), (-0.46, 0.04))
    here.polygon(mat, rng.choice(((64, 112, 200), (128, 72, 168), (48, 144, 136))))
    shoulder = -0.18 - 0.1 * low
    legs = {"near_leg": (-74 + 6 * low, -76), "far_leg": (-72, -78), "toes": 10}
    pose = Pose(lean=80 - 8 * low, head=-24).but(**legs).holding((0.19, -0.02))
    hips, height = (-0.02, shoulder + 0.05), rng.uniform(0.66, 0.74)
    Figure(here, _athlete(rng), pose, hips=hips, height=height).draw()
    if rng.random() < 0.6:
        _dumbbell(here.at(0.4, -0.03, size=1.2))


def football(canvas: Canvas, rng: Random) -> None:
    """Somebody kicks a ball towards a goal."""
    here = anywhere(canvas, rng, outdoors, outdoors, street, hall, x=(0.26, 0.34))
    goal = here.at(rng.uniform(0.28, 0.34), -0.06)
    for step in range(1, 8):
        goal.line(((step * 0.05, -0.34), (step * 0.05, -0.03)), 0.005, _NET)
        goal.line(((0, -0.34 + step * 0.042), (0.4, -0.34 + step * 0.042)), 0.005, _NET)
    goal.line(((0, 0), (0, -0.34), (0.4, -0.34), (0.4, 0)), 0.022, WHITE)
    arms = {"near_arm": (-50, -20), "far_arm": (60, 80)}
    pose = Pose(lean=-10, near_leg=(64, 40), far_leg=(-8, -14), toes=100).but(**arms).loosened(rng)
    here.shadow(0, 0, 0.14)
    kicker = stand(here, _athlete(rng), pose, height=rng.uniform(0.58, 0.68))
    kicker.draw()
    x, y = kicker.near_foot
    ball = here.at(x + rng.uniform(0.1, 0.2), y + rng.uniform(-0.1, 0.08))
    ball.disc((0, 0), 0.06, WHITE)
    for spot in ((0.0, 0.0), *arc((0, 0), 0.046, 0.046, 20, 308, steps=4)):
        ball.disc(spot, 0.016, BLACK)


def basketball(canvas: Canvas, rng: Random) -> None:
    """Somebody jumps to throw a ball into a basket."""
    here = anywhere(canvas, rng, hall, hall, street, outdoors, x=(0.24, 0.34))
    hoop = here.at(rng.uniform(0.36, 0.42), -rng.uniform(0.58, 0.64))
    hoop.line(((0.19, 0.65), (0.19, 0), (0.14, -0.04)), 0.026, (90, 96, 104))
    hoop.polygon(((0.06, -0.21), (0.18, -0.19), (0.18, 0.05), (0.06, 0.03)), WHITE)
    hoop.line(((0.09, -0.02), (0.09, -0.11), (0.15, -0.1), (0.15, 0)), 0.012, (220, 60, 48))
    for step in range(5):
        hoop.line(((step * 0.04 - 0.07, 0), (step * 0.025 - 0.04, 0.12)), 0.007, WHITE)
    hoop.line(((-0.08, 0), (0.11, 0)), 0.02, (236, 88, 36))
    arms = {"near_arm": (140, 165), "far_arm": (125, 170)}
    pose = Pose(lean=6, head=-16, near_leg=(30, -30), far_leg=(4, -40), toes=40).but(**arms).loosened(rng)
    here.shadow(0, 0, 0.14)
    player = stand(here, _athlete(rng), pose, ground=-rng.uniform(0.02, 0.1), height=rng.uniform(0.56, 0.64))
    player.draw()
    x, y = player.near_hand
    ball = here.at(x + 0.03, y - 0.06) if rng.random() < 0.6 else hoop.at(-0.14, -rng.uniform(0.06, 0.14))
    ball.disc((0, 0), 0.062, (230, 120, 40))
    ball.line(((-0.06, 0), (0.06, 0)), 0.008, (96, 52, 28))
    ball.line(((0, -0.06), (0, 0.06)), 0.008, (96, 52, 28))


def tennis(canvas: Canvas, rng: Random) -> None:
    """Somebody swings a racket at a ball, a net ahead."""
    here = anywhere(canvas, rng, outdoors, outdoors, hall, x=(0.28, 0.36))
    swing = rng.uniform(80, 150)
    net = here.at(rng.uniform(0.34, 0.42), 0)
    for step in range(14):
        net.line(((step * 0.04, -0.27), (step * 0.04, 0)), 0.005, (90, 94, 96))
    for step in range(8):
        net.line(((0, -0.27 + step * 0.034), (1, -0.27 + step * 0.034)), 0.005, (90, 94, 96))
    net.line(((0, 0), (0, -0.28), (1, -0.28)), 0.024, WHITE)
    here.line(((-1, 0.03), (1, 0.03)), 0.014, WHITE)
    pose = STRIDING.but(lean=8, near_arm=(swing - 20, swing + 10), far_arm=(-40, 20)).loosened(rng)
    here.shadow(0, 0, 0.18)
    player = stand(here, _athlete(rng, hat=rng.choice(("", "cap"))), pose, height=rng.uniform(0.6, 0.7))
    player.draw()
    here.line((player.near_hand, around(player.near_hand, 0.08, 90 - swing)), 0.02, BLACK)
    racket = here.at(*around(player.near_hand, 0.16, 90 - swing))
    racket.disc((0, 0), 0.08, (250, 250, 250, 130))
    racket.ring((0, 0), 0.088, 0.018, (216, 52, 48))
    for string in (-0.03, 0.0, 0.03):
        racket.line(((string, -0.06), (string, 0.06)), 0.004, WHITE)
        racket.line(((-0.06, string), (0.06, string)), 0.004, WHITE)
    racket.disc((rng.uniform(0.12, 0.2), rng.uniform(-0.06, 0.08)), 0.03, (212, 240, 64))
