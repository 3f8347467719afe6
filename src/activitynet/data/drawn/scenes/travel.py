"""Scenes of bicycling, transportation, running and walking."""

from __future__ import annotations

from random import Random

from activitynet.data.drawn.canvas import Canvas, arc
from activitynet.data.drawn.colours import BLACK, STEEL, WHITE, darker, lighter, some_cloth
from activitynet.data.drawn.figures import Figure, stand
from activitynet.data.drawn.people import SITTING, STANDING, STRIDING, Person, Pose, Reach, somebody
from activitynet.data.drawn.places import anywhere, hall, outdoors, street, waterside
from activitynet.data.drawn.scenes.props import wheel

_PANE = (176, 208, 226)
_LAMP = (255, 244, 190)


def racing_cyclist(canvas: Canvas, rng: Random) -> None:
    """A cyclist in a helmet bends over a racing bicycle."""
    here = anywhere(canvas, rng, outdoors, street, waterside, x=(0.42, 0.56))
    _ride(here, rng, somebody(rng, hat="helmet", legs=0.4, sleeves=0.3, skirt=False), racing=True)


def city_cyclist(canvas: Canvas, rng: Random) -> None:
    """Somebody rides an upright bicycle, perhaps with a basket."""
    here = anywhere(canvas, rng, outdoors, street, waterside, x=(0.42, 0.56))
    _ride(here, rng, somebody(rng, hat=rng.choice(("", "helmet"))), racing=False)
    if rng.random() < 0.5:
        here.box(0.2, -0.38, 0.32, -0.29, (196, 150, 92), round_by=0.015)
        for step in range(3):
            here.disc((0.23 + 0.03 * step, -0.385), 0.022, some_cloth(rng))


def _ride(canvas: Canvas, rng: Random, person: Person, *, racing: bool) -> None:
    """Draw a bicycle whose wheels touch ``y = 0``, and its rider."""
    colour, turn = some_cloth(rng), rng.uniform(0, 360)
    crank, saddle, head = (-0.01, -0.12), (-0.09, -0.32), (0.15, -0.31)
    grip = (0.25, -0.31) if racing else (0.17, -0.41)
    pedals = arc(crank, 0.05, 0.05, turn, turn + 180, steps=1)
    pose = Pose(lean=48, head=-30) if racing else Pose(lean=12, head=-2)
    pose = pose.but(near_leg=Reach(*pedals[0]), far_leg=Reach(*pedals[1])).holding(grip)
    rider = Figure(canvas, person, pose, hips=(-0.085, -0.365), height=rng.uniform(0.62, 0.68))
    canvas.shadow(0, 0, 0.3)
    rider.draw_far()
    for hub in (-0.19, 0.21):
        for spoke in range(4):
            ends = arc((hub, -0.135), 0.125, 0.125, turn + 45 * spoke, turn + 45 * spoke + 180, steps=1)
            canvas.line(ends, 0.004, (206, 206, 206))
        canvas.ring((hub, -0.135), 0.135, 0.022, BLACK)
        canvas.disc((hub, -0.135), 0.016, STEEL)
    canvas.line(((-0.19, -0.135), crank, head, (-0.08, -0.29), (-0.19, -0.135)), 0.02, colour)
    canvas.line((saddle, crank), 0.02, colour)
    canvas.line(((0.21, -0.135), (0.14, -0.35), grip), 0.02, darker(colour))
    if racing:
        canvas.line((grip, (0.28, -0.28), (0.25, -0.25)), 0.014, BLACK)
    canvas.line(((-0.14, -0.32), (-0.04, -0.32)), 0.028, BLACK)
    canvas.ring(crank, 0.03, 0.012, STEEL)
    rider.draw_body()
    rider.draw_near()


def car(canvas: Canvas, rng: Random) -> None:
    """Somebody drives a car past, perhaps with a passenger."""
    here = anywhere(canvas, rng, street, street, outdoors, waterside, x=(0.44, 0.56))
    colour = some_cloth(rng)
    belt, roof = -0.22, -rng.uniform(0.42, 0.46)
    here.shadow(0, 0, 0.44)
    here.polygon(((-0.24, belt), (-0.14, roof), (0.1, roof), (0.22, belt)), darker(colour, 0.08))
    here.polygon(((-0.2, belt), (-0.12, roof + 0.025), (0.085, roof + 0.025), (0.18, belt)), _PANE)
    for seat in (0.01, -0.12) if rng.random() < 0.5 else (0.01,):
        pose = Pose(lean=-6, near_leg=(90, 90), far_leg=(90, 90)).holding((seat + 0.11, belt - 0.01))
        Figure(here, somebody(rng, hat=""), pose, hips=(seat, belt + 0.06), height=0.42).draw()
    here.line(((0.12, belt), (0.095, belt - 0.05)), 0.012, BLACK)
    here.line(((-0.03, roof), (-0.035, belt)), 0.022, darker(colour, 0.08))
    here.box(-0.4, belt, 0.4, -0.06, colour, round_by=0.05)
    here.box(-0.4, belt + 0.05, 0.4, -0.06, colour, round_by=0.02)
    here.line(((-0.03, belt + 0.01), (-0.03, -0.06)), 0.006, darker(colour, 0.4))
    here.line(((-0.1, belt + 0.04), (-0.06, belt + 0.04)), 0.012, darker(colour, 0.5))
    here.disc((0.37, belt + 0.05), 0.028, _LAMP)
    here.disc((-0.38, belt + 0.05), 0.024, (214, 40, 40))
    for hub in (-0.24, 0.24):
        wheel(here, (hub, -0.06), 0.085)


def bus(canvas: Canvas, rng: Random) -> None:
    """A bus with passengers at its windows, and somebody at the stop."""
    here = anywhere(canvas, rng, street, street, outdoors, x=(-0.04, 0.1))
    colour, top = rng.choice(((240, 184, 48), (208, 48, 44), (56, 128, 192))), -rng.uniform(0.5, 0.58)
    here.shadow(0.38, 0, 0.44)
    here.box(0, top, 0.76, -0.07, colour, round_by=0.04)
    here.box(0, -0.23, 0.76, -0.19, lighter(colour, 0.6))
    for step in range(4):
        window = here.at(0.03 + step * 0.145, top + 0.06)
        window.box(0, 0, 0.125, 0.19, _PANE, round_by=0.015)
        if rng.random() < 0.8:
            passenger = somebody(rng)
            window.limb((0.06, 0.19), (0.06, 0.175), 0.045, 0.04, passenger.top)
            window.disc((0.06, 0.105), 0.04, passenger.skin)
            window.polygon(((0.02, 0.1), (0.03, 0.065), (0.09, 0.065), (0.1, 0.1)), passenger.hair)
    here.box(0.61, top + 0.06, 0.73, -0.09, _PANE, round_by=0.015)
    here.line(((0.67, top + 0.06), (0.67, -0.09)), 0.01, darker(colour))
    here.box(0.46, top + 0.012, 0.72, top + 0.05, BLACK)
    here.line(((0.49, top + 0.03), (0.66, top + 0.03)), 0.014, (255, 190, 60))
    here.disc((0.745, -0.12), 0.022, _LAMP)
    for hub in (0.16, 0.52):
        wheel(here, (hub, -0.07), 0.075)
    if rng.random() < 0.7:
        pose = STANDING.but(far_arm=(60, 120)).loosened(rng)
        stand(here, somebody(rng), pose, x=0.86, ground=0.03, height=0.5, facing=-1).draw()


def motor_scooter(canvas: Canvas, rng: Random) -> None:
    """Somebody rides a motor scooter, perhaps with a passenger."""
    here = anywhere(canvas, rng, street, street, outdoors, waterside, x=(0.44, 0.54))
    colour, grip = rng.choice(((216, 56, 48), (64, 168, 176), (240, 196, 72))), (0.15, -0.42)
    pose = SITTING.but(lean=4, near_leg=(78, -6), far_leg=(72, -10)).holding(grip)
    height, person = rng.uniform(0.62, 0.68), somebody(rng, hat="helmet", skirt=False)
    rider = Figure(here, person, pose, hips=(-0.06, -0.31), height=height)
    here.shadow(0, 0, 0.34)
    rider.draw_far()
    if rng.random() < 0.3:
        pose = pose.but(near_arm=(60, 80), far_arm=(60, 80))
        Figure(here, somebody(rng, hat="helmet"), pose, hips=(-0.2, -0.32), height=0.62).draw()
    for hub in (-0.2, 0.25):
        wheel(here, (hub, -0.075), 0.078)
    here.limb((-0.22, -0.16), (-0.08, -0.16), 0.085, 0.07, colour)
    here.box(-0.3, -0.28, 0.02, -0.235, BLACK, round_by=0.02)
    here.box(-0.1, -0.1, 0.16, -0.06, darker(colour))
    here.limb((0.16, -0.09), (0.19, -0.36), 0.038, 0.028, colour)
    here.line(((0.25, -0.075), (0.2, -0.36), grip), 0.022, darker(colour, 0.3))
    here.disc((0.225, -0.36), 0.034, _LAMP)
    here.line(((-0.28, -0.07), (-0.38, -0.08)), 0.026, STEEL)
    for step in range(3):
        here.disc((-0.42 - 0.05 * step, -0.1 - 0.02 * step), 0.03 + 0.008 * step, (230, 230, 230, 150))
    rider.draw_body()
    rider.draw_near()


def track_race(canvas: Canvas, rng: Random) -> None:
    """One or two runners with numbers on a track with lanes."""
    pair = rng.random() < 0.5
    here = anywhere(canvas, rng, outdoors, outdoors, hall, x=(0.16, 0.28) if pair else (0.42, 0.56))
    here.box(-1.0, -0.1, 1.5, 1.5, rng.choice(((192, 84, 56), (176, 68, 56))))
    for step in range(4):
        here.line(((-1.0, -0.1 + step * 0.085), (1.5, -0.1 + step * 0.085)), 0.01, WHITE)
    if pair:
        _run(here.at(0, -0.05), rng, rng.uniform(0.44, 0.5))
        _run(here.at(rng.uniform(0.34, 0.42), 0.03), rng, rng.uniform(0.55, 0.64))
    else:
        _run(here, rng, rng.uniform(0.6, 0.7))


def road_race(canvas: Canvas, rng: Random) -> None:
    """One or two runners with numbers near the finish of a road race."""
    pair = rng.random() < 0.5
    here = anywhere(canvas, rng, outdoors, street, waterside, x=(0.56, 0.64) if pair else (0.42, 0.56))
    arch, colour = here.at(rng.uniform(-0.02, 0.02), -0.1), rng.choice(((208, 40, 48), (40, 88, 184)))
    for x in (-0.42, 0.42):
        arch.line(((x, 0), (x, -0.6)), 0.05, colour)
    arch.box(-0.44, -0.72, 0.44, -0.58, WHITE)
    for step in range(22):
        left = -0.44 + step * 0.04
        arch.box(left, -0.72 if step % 2 else -0.65, left + 0.04, -0.65 if step % 2 else -0.58, BLACK)
    if pair:
        _run(here.at(-0.36, -0.02), rng, rng.uniform(0.46, 0.52))
    _run(here, rng, rng.uniform(0.52, 0.6))


def _run(canvas: Canvas, rng: Random, height: float) -> None:
    """Draw somebody who runs along ``y = 0``, a number on the chest."""
    stride = rng.uniform(0.9, 1.1)
    arms = {"near_arm": (-58 * stride, 34), "far_arm": (44 * stride, 128)}
    legs = {"near_leg": (62 * stride, -22), "far_leg": (-26 * stride, -92), "toes": 75}
    legwear, sleeves = rng.choice((0.4, 0.4, 1.0)), rng.choice((0.0, 0.3))
    person = somebody(rng, legs=legwear, sleeves=sleeves, skirt=False)
    canvas.shadow(0, 0, height * 0.22)
    pose = Pose(lean=14).but(**arms, **legs).loosened(rng)
    runner = stand(canvas, person, pose, ground=-rng.uniform(0.01, 0.04), height=height)
    runner.draw()
    (hx, hy), (sx, sy) = runner.hips, runner.shoulders
    bib = canvas.at(hx + (sx - hx) * 0.6, hy + (sy - hy) * 0.6)
    bib.box(-0.042, -0.036, 0.042, 0.036, WHITE)
    bib.line(((-0.018, 0), (0.018, 0)), 0.018, BLACK)
    runner.draw_near()
    for step in range(3):
        y = -height * (0.3 + 0.16 * step)
        canvas.line(((-0.3 * height, y), (-0.46 * height, y)), 0.012, (250, 250, 250, 190))


def dog_walking(canvas: Canvas, rng: Random) -> None:
    """Somebody walks a dog on a lead."""
    here = anywhere(canvas, rng, outdoors, street, waterside, x=(0.28, 0.38))
    height = rng.uniform(0.56, 0.7)
    hand, shift, size = (0.14, -height * 0.5), rng.uniform(0.34, 0.42), rng.uniform(0.85, 1.15)
    coat = rng.choice(((150, 100, 60), (60, 50, 46), (226, 206, 170), (200, 140, 80), (240, 240, 236)))
    _dog(here.at(shift, 0, size=size), coat)
    pose = STRIDING.but(near_arm=Reach(*hand)).loosened(rng)
    stand(here, somebody(rng), pose, height=height).draw()
    collar = shift + 0.115 * size, -0.205 * size
    here.line(
        (hand, ((hand[0] + collar[0]) / 2, (hand[1] + collar[1]) / 2 + 0.03), collar), 0.01, (184, 40, 48)
    )


def _dog(canvas: Canvas, coat: tuple[int, ...]) -> None:
    canvas.shadow(0, 0, 0.14)
    for hip, foot in ((-0.09, -0.12), (-0.07, -0.04), (0.08, 0.11), (0.06, 0.03)):
        canvas.limb((hip, -0.14), (foot, -0.01), 0.024, 0.015, darker(coat, 0.12))
    canvas.limb((-0.09, -0.16), (0.08, -0.17), 0.042, 0.05, coat)
    canvas.line(((-0.11, -0.18), (-0.18, -0.26)), 0.022, coat)
    canvas.limb((0.09, -0.19), (0.15, -0.245), 0.036, 0.042, coat)
    canvas.limb((0.15, -0.245), (0.21, -0.23), 0.024, 0.016, coat)
    canvas.disc((0.225, -0.237), 0.012, BLACK)
    canvas.limb((0.13, -0.265), (0.115, -0.21), 0.014, 0.018, darker(coat, 0.4))
    canvas.line(((0.095, -0.23), (0.13, -0.175)), 0.016, (184, 40, 48))


def hiking(canvas: Canvas, rng: Random) -> None:
    """Somebody walks with a backpack and a stick or two."""
    here = anywhere(canvas, rng, outdoors, outdoors, waterside, x=(0.42, 0.56))
    height = rng.uniform(0.6, 0.72)
    pack, grip = rng.choice(((216, 64, 48), (232, 128, 40), (184, 56, 72))), (0.2, -height * 0.5)
    pose = STRIDING.but(lean=9).holding(grip).loosened(rng)
    hiker = stand(here, somebody(rng, hat=rng.choice(("", "brim", "cap"))), pose, height=height)
    hiker.draw()
    (hx, hy), (sx, sy) = hiker.hips, hiker.shoulders
    here.limb((hx - 0.09, hy - 0.04), (sx - 0.095, sy + 0.02), 0.06, 0.055, pack)
    here.limb((hx - 0.13, hy - 0.045), (hx - 0.13, hy - 0.08), 0.035, 0.035, darker(pack))
    here.limb((sx - 0.13, sy - 0.045), (sx - 0.05, sy - 0.045), 0.03, 0.03, (90, 140, 90))
    here.line(((sx - 0.03, sy - 0.02), (sx + 0.035, sy + 0.05), (hx, hy - 0.04)), 0.018, darker(pack, 0.3))
    hiker.draw_near()
    for shift in (0.0, 0.04) if rng.random() < 0.6 else (0.0,):
        stick = here.at(grip[0] + shift, 0)
        stick.line(((-0.01, grip[1] - 0.07), (0.05, 0)), 0.014, (120, 84, 52))


def pushing_pram(canvas: Canvas, rng: Random) -> None:
    """Somebody pushes a pram, perhaps with a child alongside."""
    here = anywhere(canvas, rng, outdoors, street, waterside, x=(0.28, 0.36))
    height = rng.uniform(0.58, 0.68)
    grip, pram = (0.15, -height * 0.52), here.at(0.38, 0, size=1.15)
    colour = rng.choice(((224, 72, 120), (64, 112, 192), (72, 152, 104)))
    here.line((grip, (0.26, -0.22), (0.46, -0.06)), 0.016, STEEL)
    pram.box(-0.14, -0.26, 0.14, -0.13, colour, taper=0.05)
    pram.polygon([(0.02, -0.26), *arc((0.02, -0.26), 0.13, 0.13, 270, 360, steps=6)], darker(colour))
    for hub in (-0.08, 0.1):
        pram.ring((hub, -0.05), 0.048, 0.018, BLACK)
    if rng.random() < 0.4:
        child = somebody(rng, child=True)
        stand(here, child, STRIDING.loosened(rng), x=-0.2, height=height * 0.58).draw()
    stand(here, somebody(rng), STRIDING.but(lean=5).holding(grip).loosened(rng), height=height).draw()
