"""Scenes of quiet inactivity, self care and religious activities."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

from activitynet.data.drawn.canvas import Canvas, arc
from activitynet.data.drawn.colours import BLACK, STEEL, WHITE, WOOD, darker, lighter, mix, some_cloth
from activitynet.data.drawn.figures import Figure, stand
from activitynet.data.drawn.people import FACING, SITTING, STANDING, Pose, somebody
from activitynet.data.drawn.places import anywhere, hall, outdoors, room, street, waterside
from activitynet.data.drawn.scenes.props import stool, table

_GOLD = (232, 192, 104)
_GLASS = (200, 228, 238)


def reading(canvas: Canvas, rng: Random) -> None:
    """Somebody sits on a sofa or a park bench with a book."""
    inside, height = rng.random() < 0.6, rng.uniform(0.64, 0.76)
    seat = -height * 0.25
    if inside:
        here = anywhere(canvas, rng, room, x=(0.42, 0.52))
        _sofa(here, rng, seat)
    else:
        here = anywhere(canvas, rng, outdoors, street, waterside, x=(0.42, 0.52))
        for y in (seat + 0.02, seat - 0.1, seat - 0.17):
            here.line(((-0.3, y), (0.26, y)), 0.03, WOOD)
        for foot in (-0.24, 0.2):
            here.line(((foot, 0), (foot, seat - 0.18)), 0.022, BLACK)
    book = here.at(0.2, seat - height * 0.2)
    pose = SITTING.but(lean=-8, head=20).holding((0.18, seat - height * 0.2 + 0.03)).loosened(rng, 4)
    reader = Figure(here, somebody(rng, hat=""), pose, hips=(0, seat - 0.04), height=height)
    reader.draw()
    book.polygon(((0, 0.06), (-0.075, -0.055), (-0.055, -0.07), (0.015, 0.05)), WHITE)
    book.polygon(((0, 0.065), (0.08, -0.06), (0.1, -0.045), (0.02, 0.075)), (200, 52, 52))
    book.polygon(((0, 0.055), (0.065, -0.065), (0.085, -0.055), (0.01, 0.06)), WHITE)
    reader.draw_near()


def _sofa(canvas: Canvas, rng: Random, seat: float) -> None:
    colour = some_cloth(rng)
    canvas.box(-0.34, seat - 0.26, 0.36, -0.04, darker(colour, 0.12), round_by=0.05)
    canvas.box(-0.3, seat + 0.01, 0.32, -0.03, colour, round_by=0.03)
    for left in (-0.39, 0.3):
        canvas.box(left, seat - 0.1, left + 0.1, -0.02, darker(colour, 0.24), round_by=0.04)
    for foot in (-0.33, 0.34):
        canvas.line(((foot, -0.03), (foot, 0.01)), 0.03, BLACK)


def sleeping(canvas: Canvas, rng: Random) -> None:
    """Somebody sleeps in a bed under a striped blanket."""
    here = anywhere(canvas, rng, room, x=(0.26, 0.34))
    height = rng.uniform(0.66, 0.76)
    bed, frame, blanket = here.at(0, -0.2), rng.choice((WOOD, darker(WOOD, 0.4))), some_cloth(rng)
    bed.box(-0.22, -0.2, -0.17, 0.21, frame, round_by=0.01)
    bed.box(0.57, -0.06, 0.62, 0.21, frame, round_by=0.01)
    bed.box(-0.2, 0.02, 0.6, 0.15, lighter(frame, 0.2))
    bed.box(-0.18, -0.05, 0.58, 0.06, WHITE, round_by=0.03)
    bed.oval((-0.07, -0.07), 0.12, 0.06, WHITE)
    pose = Pose(lean=-86, head=-6, near_arm=(60, 90), far_arm=(50, 80), near_leg=(92, 88), far_leg=(88, 92))
    sleeper = somebody(rng, hat="")
    Figure(bed, sleeper, pose.but(toes=170).loosened(rng, 3), hips=(0.2, -0.07), height=height).draw()
    bed.box(0.1, -0.13, 0.6, 0.1, blanket, round_by=0.06)
    for step in range(4):
        left = 0.16 + step * 0.11
        bed.line(((left, -0.125), (left, 0.09)), 0.024, lighter(blanket, 0.6))
    for step in range(3):
        letter = bed.at(-0.02 + 0.07 * step, -0.22 - 0.07 * step, size=1 + 0.4 * step)
        letter.line(((0, 0), (0.024, 0), (0, 0.024), (0.024, 0.024)), 0.008, WHITE)


def watching_tv(canvas: Canvas, rng: Random) -> None:
    """Somebody lounges in an armchair before a television."""
    here = anywhere(canvas, rng, room, x=(0.24, 0.3))
    height = rng.uniform(0.62, 0.72)
    seat, colour = -height * 0.22, some_cloth(rng)
    here.box(-0.2, seat - 0.3, -0.06, 0, darker(colour, 0.15), round_by=0.05)
    here.box(-0.16, seat + 0.02, 0.18, 0, colour, round_by=0.03)
    screen = here.at(0.37, -0.5)
    screen.box(0.02, 0.3, 0.3, 0.5, WOOD)
    screen.box(-0.03, 0, 0.33, 0.28, BLACK, round_by=0.015)
    screen.box(-0.01, 0.02, 0.31, 0.26, rng.choice(((90, 190, 250), (110, 210, 240), (140, 160, 250))))
    screen.disc((rng.uniform(0.08, 0.22), 0.15), 0.06, (255, 220, 120))
    pose = SITTING.but(lean=-20, head=12, near_arm=(36, 80), far_arm=(10, 60), near_leg=(82, 24))
    viewer = Figure(here, somebody(rng), pose.loosened(rng, 4), hips=(0, seat - 0.03), height=height)
    viewer.draw()
    here.box(-0.15, seat - 0.08, 0.14, seat - 0.02, darker(colour, 0.28), round_by=0.03)
    x, y = viewer.near_hand
    here.line(((x, y), (x + 0.05, y - 0.02)), 0.022, BLACK)


def brushing_teeth(canvas: Canvas, rng: Random) -> None:
    """Somebody brushes their teeth at a wash-basin, before a mirror."""
    here = anywhere(canvas, rng, room, x=(0.28, 0.36))
    height = rng.uniform(0.66, 0.76)
    basin = here.at(0.3, -height * 0.5)
    basin.box(0, -0.46, 0.26, -0.1, _GOLD, round_by=0.03)
    basin.box(0.015, -0.445, 0.245, -0.115, _GLASS, round_by=0.02)
    basin.polygon(((0.04, -0.2), (0.17, -0.43), (0.21, -0.43), (0.08, -0.2)), WHITE)
    basin.box(0.04, 0.02, 0.16, height * 0.5, (232, 234, 236))
    basin.box(-0.1, -0.02, 0.3, 0.1, WHITE, taper=0.06)
    basin.line(((0.15, -0.02), (0.15, -0.08), (0.08, -0.08)), 0.022, STEEL)
    person, pose = somebody(rng, hat=""), STANDING.but(head=6).loosened(rng, 3)
    x, y = stand(here, person, pose, height=height).head
    mouth = x + 0.085 * height, y + 0.05 * height
    pose = pose.holding((mouth[0] + 0.09, mouth[1] + 0.015), (0.22, -height * 0.5 - 0.03))
    figure = stand(here, person, pose, height=height)
    figure.draw()
    here.line((figure.near_hand, mouth), 0.018, rng.choice(((40, 120, 224), (232, 56, 96))))
    here.disc(mouth, 0.022, WHITE)


def bathing(canvas: Canvas, rng: Random) -> None:
    """Somebody sits in a bathtub full of foam."""
    here = anywhere(canvas, rng, room, x=(0.36, 0.44))
    height = rng.uniform(0.66, 0.78)
    depth = rng.uniform(0.24, 0.28)
    rim, tub = here.at(0, -depth), rng.choice((WHITE, (236, 238, 240), (226, 236, 240)))
    pose = SITTING.but(lean=-24, head=18, near_arm=(70, 130), far_arm=(40, 60), near_leg=(100, 60))
    bather = somebody(rng, hat="", sleeves=0.0)
    bather = replace(bather, top=bather.skin)
    Figure(rim, bather, pose.loosened(rng), hips=(0, 0.06), height=height).draw()
    rim.box(-0.27, 0, 0.42, depth - 0.01, tub, taper=0.07)
    rim.box(-0.3, -0.02, 0.45, 0.015, WHITE, round_by=0.017)
    for foot in (-0.16, 0.3):
        rim.disc((foot, depth), 0.025, _GOLD)
    rim.line(((0.42, -0.02), (0.42, -0.16), (0.35, -0.16), (0.35, -0.12)), 0.022, STEEL)
    for _ in range(24):
        foam = (*mix(WHITE, (170, 214, 246), rng.random()), 230)
        rim.disc((rng.uniform(-0.24, 0.38), -rng.uniform(0.0, 0.06)), rng.uniform(0.018, 0.038), foam)
    for _ in range(6):
        rim.ring((rng.uniform(-0.2, 0.4), -rng.uniform(0.1, 0.4)), rng.uniform(0.014, 0.026), 0.006, WHITE)


def drying_hair(canvas: Canvas, rng: Random) -> None:
    """Somebody dries their hair at a dressing table with a lit mirror."""
    here = anywhere(canvas, rng, room, x=(0.28, 0.36))
    height = rng.uniform(0.64, 0.74)
    top, seat = -height * 0.36, -height * 0.24
    mirror = here.at(0.4, top - 0.2)
    mirror.oval((0, 0), 0.14, 0.19, _GOLD)
    mirror.oval((0, 0), 0.12, 0.17, _GLASS)
    for bulb in arc((0, 0), 0.135, 0.185, 180, 360, steps=6):
        mirror.disc(bulb, 0.022, (255, 246, 190))
    table(here, rng, 0.18, 0.62, top)
    for step in range(3):
        left = 0.24 + step * 0.05
        here.box(left, top - 0.08 + step * 0.015, left + 0.03, top - 0.01, some_cloth(rng))
    stool(here, rng, seat)
    person, pose = somebody(rng, hat="", hairstyle="long"), SITTING.but(lean=2, far_arm=(40, 100))
    x, y = Figure(here, person, pose, hips=(0, seat - 0.045), height=height).head
    dryer, colour = here.at(x + 0.13, y - 0.01), rng.choice(((228, 72, 128), (120, 80, 190)))
    pose = pose.but(near_arm=pose.holding((x + 0.16, y + 0.07)).near_arm)
    Figure(here, person, pose, hips=(0, seat - 0.045), height=height).draw()
    dryer.line(((0, 0), (0.03, 0.08)), 0.03, darker(colour))
    dryer.limb((-0.04, 0), (0.03, 0), 0.026, 0.038, colour)


def candle_prayer(canvas: Canvas, rng: Random) -> None:
    """Somebody kneels with folded hands before candles."""
    here = anywhere(canvas, rng, hall, hall, room, outdoors, x=(0.26, 0.34))
    altar, cloth = here.at(0.26, -rng.uniform(0.2, 0.28)), some_cloth(rng)
    if rng.random() < 0.6:
        _stained_glass(altar.at(0.18, -0.34), rng)
    altar.box(-0.02, 0, 0.4, 0.28, cloth)
    altar.box(-0.02, 0, 0.4, 0.03, lighter(cloth, 0.5))
    for step in range(rng.choice((3, 4, 5))):
        _candle(altar.at(0.03 + step * 0.08, 0), rng.uniform(0.08, 0.16))
    person = somebody(rng, hat=rng.choice(("", "", "scarf")), sleeves=1.0, legs=1.0, skirt=False)
    pose = Pose(lean=6, head=24, near_leg=(16, -84), far_leg=(12, -84), toes=-60)
    height = rng.uniform(0.66, 0.76)
    x, y = stand(here, person, pose, height=height).shoulders
    stand(here, person, pose.holding((x + 0.11, y + 0.03)), height=height).draw()
    here.limb((x + 0.11, y + 0.04), (x + 0.13, y - 0.04), 0.024, 0.01, person.skin)


def _candle(canvas: Canvas, height: float) -> None:
    canvas.box(-0.016, -height, 0.016, 0, (250, 244, 226))
    canvas.disc((0, -height - 0.025), 0.055, (255, 214, 110, 90))
    canvas.oval((0, -height - 0.022), 0.014, 0.026, (255, 186, 48))


def _stained_glass(canvas: Canvas, rng: Random) -> None:
    canvas.polygon([(-0.1, 0.16), *arc((0, 0), 0.1, 0.16, 180, 360, steps=10), (0.1, 0.16)], (60, 52, 60))
    for step in range(12):
        left, top = -0.07 + 0.05 * (step % 3), -0.07 + 0.06 * (step // 3)
        glass = rng.choice(((220, 60, 60), (60, 120, 220), (250, 200, 60), (80, 180, 100), (160, 90, 200)))
        canvas.box(left, top, left + 0.04, top + 0.05, glass)


def prayer_rug(canvas: Canvas, rng: Random) -> None:
    """One or two people bow or sit on prayer rugs."""
    alone, bowing, height = rng.random() < 0.4, rng.random() < 0.6, rng.uniform(0.66, 0.76)
    here = anywhere(canvas, rng, hall, hall, room, outdoors, x=(0.32, 0.36) if alone else (0.14, 0.18))
    if rng.random() < 0.6:
        for left in (-0.3, 0.04, 0.38, 0.72):
            arch = [
                (left, -0.3),
                *arc((left + 0.13, -0.46), 0.13, 0.2, 180, 360, steps=8),
                (left + 0.26, -0.3),
            ]
            here.polygon(arch, (250, 236, 200, 120))
    for rug in (here,) if alone else (here.at(0, 0, size=0.85), here.at(0.46, 0, size=0.85)):
        rug.polygon(((-0.24, -0.02), (0.44, -0.02), (0.48, 0.045), (-0.27, 0.045)), (176, 40, 52))
        rug.line(((-0.22, 0.012), (0.43, 0.012)), 0.024, _GOLD)
        robe = rng.choice((WHITE, (226, 220, 204), (120, 140, 130)))
        clothes = {"top": robe, "bottom": robe, "sleeves": 1.0, "legs": 1.0, "skirt": False}
        person = somebody(rng, hat="helmet", hat_colour=WHITE, **clothes)
        if bowing:
            pose = Pose(lean=108, head=8, near_leg=(24, -88), far_leg=(20, -88), toes=-40)
            pose, hips = pose.holding((0.42 * height, -0.01)), (0.0, -0.19 * height)
        else:
            pose = Pose(lean=6, head=18, near_leg=(76, -92), far_leg=(74, -90), toes=-70)
            pose, hips = pose.holding((0.17 * height, -0.16 * height)), (0.0, -0.13 * height)
        Figure(rug, person, pose.loosened(rng, 2), hips=hips, height=height).draw()


def meditating(canvas: Canvas, rng: Random) -> None:
    """A monk or nun sits cross-legged with joined palms, candles or incense around."""
    here = anywhere(canvas, rng, hall, room, outdoors, waterside, x=(0.44, 0.56))
    height = rng.uniform(0.74, 0.86)
    robe = rng.choice(((230, 120, 36), (216, 96, 32), (168, 44, 44)))
    here.oval((0, 0), 0.28, 0.05, (150, 60, 60))
    hair = rng.choice(("bald", "bald", "bun"))
    person = somebody(rng, hairstyle=hair, hat="", legs=1.0, skirt=False, top=robe, bottom=robe)
    pose, hips = FACING.but(near_leg=(80, -72), far_leg=(80, -72)), (0.0, -0.07)
    seated = Figure(here, person, pose, hips=hips, height=height)
    if rng.random() < 0.7:
        here.disc(seated.head, 0.145, (255, 236, 170, 90))
        here.ring(seated.head, 0.15, 0.014, (252, 220, 120))
    y = seated.shoulders[1] + 0.1
    Figure(here, person, pose.holding((0.01, y), (-0.01, y)), hips=hips, height=height).draw()
    here.limb((0, y + 0.01), (0, y - 0.07), 0.03, 0.012, person.skin)
    for side in (-1, 1):
        spot = here.at(side * rng.uniform(0.32, 0.38), 0)
        if rng.random() < 0.5:
            _candle(spot, rng.uniform(0.1, 0.18))
            continue
        spot.box(-0.045, -0.07, 0.045, 0, _GOLD, round_by=0.02)
        spot.line(((0, -0.06), (0.01, -0.2)), 0.008, (120, 70, 50))
        for step in range(4):
            spot.disc((0.02 * math.sin(step * 1.7), -0.23 - 0.04 * step), 0.018, (240, 240, 240, 130))
