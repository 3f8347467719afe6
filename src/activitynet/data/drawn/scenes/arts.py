"""Scenes of dancing, music playing, and miscellaneous pastimes."""

from __future__ import annotations

from random import Random

from activitynet.data.drawn.canvas import Canvas, around
from activitynet.data.drawn.colours import BLACK, STEEL, WHITE, WOOD, darker, lighter, some_cloth
from activitynet.data.drawn.figures import Figure, stand
from activitynet.data.drawn.people import FACING, SITTING, STANDING, STRIDING, Pose, somebody
from activitynet.data.drawn.places import anywhere, hall, outdoors, room, street, waterside
from activitynet.data.drawn.scenes.props import stool, table

_SPOTS = ((255, 80, 160), (80, 200, 255), (255, 220, 80), (120, 255, 140), (180, 110, 255))
_TUTUS = ((244, 160, 196), (250, 214, 228), (236, 120, 160))
_DARK = (52, 52, 58)


def disco(canvas: Canvas, rng: Random) -> None:
    """People dance under a mirror ball and coloured lights."""
    here = anywhere(canvas, rng, hall, hall, room, x=(0.46, 0.54))
    for _ in range(4):
        lamp, spot, light = rng.uniform(-0.5, 0.5), rng.uniform(-0.6, 0.6), rng.choice(_SPOTS)
        beam = ((lamp - 0.01, -1.1), (lamp + 0.01, -1.1), (spot + 0.13, 0.1), (spot - 0.13, 0.1))
        here.polygon(beam, (*light, 80))
        here.oval((spot, 0.02), 0.13, 0.03, (*light, 130))
    ball = here.at(rng.uniform(-0.12, 0.12), -rng.uniform(0.74, 0.8))
    ball.line(((0, 0), (0, -0.6)), 0.008, STEEL)
    ball.disc((0, 0), 0.08, (150, 156, 172))
    for _ in range(20):
        facet = around((0, 0), rng.uniform(0.0, 0.066), rng.uniform(0, 360))
        ball.disc(facet, 0.012, rng.choice((WHITE, (220, 230, 255), (110, 116, 130))))
    count = rng.choice((1, 2, 3))
    for index in range(count):
        up, sway = rng.uniform(120, 170), rng.uniform(8, 34)
        other = rng.choice(((up - 40, up), (60, 140), (50, 20)))
        pose = FACING.but(lean=rng.uniform(-10, 10), head=rng.uniform(-12, 12), near_leg=(sway, -sway))
        pose = pose.but(near_arm=(up - 30, up + 20), far_arm=other, far_leg=(16, rng.uniform(-40, 8)))
        x, size = (index - (count - 1) / 2) * 0.28, rng.uniform(0.52, 0.62)
        dancer = somebody(rng)
        stand(here, dancer, pose.loosened(rng), x=x, height=size, facing=rng.choice((-1, 1))).draw()


def couple_dance(canvas: Canvas, rng: Random) -> None:
    """A couple dances in hold, one in a swinging dress."""
    here = anywhere(canvas, rng, hall, hall, outdoors, street, x=(0.36, 0.42))
    height = rng.uniform(0.6, 0.68)
    clasp, swing = (0.12, -height * 0.9), rng.uniform(0.1, 0.17)
    dress = rng.choice(((208, 40, 56), (224, 56, 120), (168, 40, 96)))
    lead = STRIDING.but(lean=-3).holding((0.16, -height * 0.62), clasp).loosened(rng, 3)
    follow = STRIDING.but(lean=-10, head=-12, far_leg=(-24, -56)).holding((0.06, -height * 0.76), clasp)
    here.shadow(0.1, 0, 0.26)
    hair = rng.choice(("long", "bun"))
    woman = somebody(rng, top=dress, bottom=dress, legs=0.4, hat="", sleeves=0.0, hairstyle=hair)
    second = stand(here, woman, follow.loosened(rng, 3), x=0.24, height=height * 0.94, facing=-1)
    man = somebody(rng, legs=1.0, sleeves=1.0, skirt=False, hat="", top=_DARK, bottom=_DARK)
    first = stand(here, man, lead, height=height)
    second.draw_far()
    first.draw_far()
    second.draw_body()
    skirt = here.at(*second.hips)
    hem = ((0.06 + swing, 0.2), (0.06, 0.24), (-0.1, 0.23))
    skirt.polygon(((-0.05, -0.04), (0.05, -0.04), *hem), dress)
    skirt.line(((0.02, 0), (0.03 + swing / 2, 0.2)), 0.012, darker(dress))
    first.draw_body()
    second.draw_near()
    first.draw_near()
    for _ in range(rng.choice((2, 4))):
        _note(here.at(rng.uniform(-0.3, 0.5), -rng.uniform(0.72, 0.86)))


def _note(canvas: Canvas) -> None:
    canvas.disc((0, 0), 0.018, BLACK)
    canvas.line(((0.014, 0), (0.014, -0.08), (0.045, -0.06)), 0.01, BLACK)


def ballet(canvas: Canvas, rng: Random) -> None:
    """A ballet dancer in a tutu stands on one toe, or leaps."""
    here = anywhere(canvas, rng, hall, hall, room, x=(0.44, 0.56))
    colour = rng.choice(_TUTUS)
    tights = lighter(colour, 0.5)
    clothes = {"top": colour, "bottom": tights, "shoes": colour, "legs": 1.0, "sleeves": 0.0, "skirt": False}
    person = somebody(rng, hat="", hairstyle="bun", girth=0.9, **clothes)
    if rng.random() < 0.5:
        pose = Pose(lean=8, head=-10, near_arm=(100, 112), far_arm=(155, 172), far_leg=(-70, -86))
    else:
        pose = FACING.but(near_arm=(150, 196), far_arm=rng.choice(((150, 196), (80, 100))), far_leg=(64, -46))
    pose = pose.but(near_leg=(0, 0), toes=6).loosened(rng)
    here.oval((0, 0.01), 0.3, 0.05, (255, 250, 220, 90))
    leap, height = rng.choice((0.0, 0.0, 0.08)), rng.uniform(0.62, 0.72)
    dancer = stand(here, person, pose, ground=-leap, height=height)
    dancer.draw()
    tutu = here.at(*dancer.hips)
    tutu.oval((0, 0.03), 0.19, 0.045, darker(colour, 0.12))
    tutu.oval((0, 0), 0.19, 0.045, colour)
    dancer.draw_near()


def guitar(canvas: Canvas, rng: Random) -> None:
    """Somebody plays a guitar, standing or on a stool."""
    here = anywhere(canvas, rng, hall, room, street, outdoors, x=(0.44, 0.54))
    height = rng.uniform(0.64, 0.74)
    person, pose = somebody(rng), FACING.but(head=8)
    if rng.random() < 0.4:
        pose = pose.but(near_leg=(62, -14), far_leg=(50, -20))
    hx, hy = stand(here, person, pose, height=height).hips
    if pose.near_leg != FACING.near_leg:
        stool(here, rng, hy + 0.03)
    body, neck = here.at(hx - 0.06, hy - 0.06), (0.34, -rng.uniform(0.08, 0.18))
    pose = pose.holding((hx - 0.06 + neck[0] * 0.72, hy - 0.06 + neck[1] * 0.72), (hx - 0.05, hy - 0.05))
    player = Figure(here, person, pose, hips=(hx, hy), height=height)
    player.draw()
    wood = rng.choice(((214, 140, 64), (196, 112, 52), (226, 172, 96)))
    body.line(((0, 0), neck), 0.03, (80, 54, 40))
    body.line((neck, (neck[0] + 0.05, neck[1] * 1.15)), 0.048, (60, 42, 34))
    for share, radius in ((-0.1, 0.1), (0.22, 0.076)):
        centre = neck[0] * share, neck[1] * share
        body.disc(centre, radius, darker(wood, 0.45))
        body.disc(centre, radius - 0.009, wood)
    body.disc((neck[0] * 0.16, neck[1] * 0.16), 0.032, (44, 32, 28))
    body.line(((neck[0] * -0.17, neck[1] * -0.17), neck), 0.007, (240, 236, 220))
    player.draw_arms()
    _note(here.at(rng.choice((-0.3, -0.22, 0.3)), -height - rng.uniform(-0.1, 0.06)))


def piano(canvas: Canvas, rng: Random) -> None:
    """A pianist sits at an upright or a grand piano."""
    here = anywhere(canvas, rng, hall, room, x=(0.24, 0.32))
    height = rng.uniform(0.64, 0.72)
    seat, colour = -height * 0.25, rng.choice(((36, 34, 38), (36, 34, 38), (88, 52, 36)))
    keys = here.at(0.22, -height * 0.42)
    if rng.random() < 0.5:
        keys.box(0.1, -0.2, 0.46, height * 0.42, colour, round_by=0.01)
        keys.box(0.08, -0.22, 0.48, -0.19, darker(colour, 0.3))
        keys.box(0.13, -0.16, 0.23, -0.04, WHITE)
    else:
        keys.polygon(((0.1, -0.06), (0.2, -0.36), (0.56, -0.3), (0.52, -0.06)), darker(colour, 0.25))
        keys.box(0.06, -0.07, 0.56, 0.06, colour, round_by=0.02)
        for leg in (0.1, 0.5):
            keys.line(((leg, 0), (leg, height * 0.42)), 0.03, colour)
    keys.box(-0.02, 0, 0.16, 0.05, colour)
    keys.box(-0.02, -0.022, 0.13, 0.006, WHITE)
    for step in range(5):
        keys.box(step * 0.026 - 0.005, -0.026, step * 0.026 + 0.008, -0.004, BLACK)
    stool(here, rng, seat)
    pose = SITTING.but(lean=6, head=6).holding((0.27, -height * 0.42 - 0.04), (0.32, -height * 0.42 - 0.05))
    pianist = somebody(rng, hat="")
    Figure(here, pianist, pose.loosened(rng, 4), hips=(0, seat - 0.045), height=height).draw()
    _note(here.at(rng.uniform(0.2, 0.6), -height - rng.uniform(-0.02, 0.1)))


def drums(canvas: Canvas, rng: Random) -> None:
    """A drummer behind a drum kit."""
    here = anywhere(canvas, rng, hall, room, street, x=(0.44, 0.56))
    height = rng.uniform(0.68, 0.76)
    colour = rng.choice(((200, 40, 48), (176, 40, 40), (216, 72, 40)))
    arms = {"near_arm": (30, rng.uniform(100, 150)), "far_arm": (34, rng.uniform(60, 120))}
    pose = FACING.but(near_leg=(40, 0), far_leg=(40, 0), **arms).loosened(rng)
    drummer = Figure(here, somebody(rng), pose, hips=(0, -height * 0.3 - 0.06), height=height)
    drummer.draw()
    for side, (x, y) in ((1, drummer.near_hand), (-1, drummer.far_hand)):
        here.line(((x, y), (x - side * 0.04, y - 0.12)), 0.014, (226, 190, 130))
        cymbal = here.at(side * 0.32, -0.44)
        floor_tom = here.at(side * 0.24, -0.22)
        tom = here.at(side * 0.085, -0.37)
        cymbal.line(((0, 0), (0, 0.44)), 0.012, STEEL)
        cymbal.polygon(((-0.12, 0.015), (0, -0.02), (0.12, 0.015), (0, 0.012)), (236, 190, 64))
        floor_tom.box(-0.08, 0, 0.08, 0.14, darker(colour, 0.15), round_by=0.015)
        floor_tom.oval((0, 0), 0.08, 0.02, WHITE)
        tom.box(-0.065, 0, 0.065, 0.1, colour, round_by=0.015)
        tom.oval((0, 0), 0.065, 0.018, WHITE)
    here.disc((0, -0.13), 0.145, darker(colour, 0.3))
    here.disc((0, -0.13), 0.122, WHITE)
    here.disc((0, -0.13), 0.04, BLACK)


def chess(canvas: Canvas, rng: Random) -> None:
    """Two people play chess at a table."""
    here = anywhere(canvas, rng, room, outdoors, street, x=(0.46, 0.54))
    height = rng.uniform(0.58, 0.66)
    seat, top = -height * 0.25, -height * 0.4
    for side in (-1, 1):
        chair, wood = here.at(-side * 0.3, 0), (150, 100, 60)
        chair.line(((-side * 0.09, 0), (-side * 0.09, seat - 0.22)), 0.02, darker(wood, 0.15))
        chair.line(((-side * 0.09, seat + 0.015), (side * 0.09, seat + 0.015), (side * 0.09, 0)), 0.02, wood)
        pose = SITTING.but(lean=10, head=12, near_arm=(40, 130), far_arm=(30, 120))
        if rng.random() < 0.7:
            pose = pose.holding((side * rng.uniform(0.18, 0.25), top - 0.07)).but(far_arm=(40, 110))
        player, hips = somebody(rng), (0.0, seat - 0.035)
        Figure(chair, player, pose.loosened(rng, 4), hips=hips, height=height, facing=side).draw()
    table(here, rng, -0.2, 0.2, top)
    board = here.at(0, top - 0.012)
    board.polygon(((-0.14, 0.002), (0.14, 0.002), (0.12, -0.028), (-0.12, -0.028)), (96, 60, 36))
    for step in range(1, 8, 2):
        board.box(step * 0.03 - 0.12, -0.026, step * 0.03 - 0.09, 0, (246, 232, 200))
    for step in range(7):
        tall, x = rng.uniform(0.05, 0.085), step * 0.038 - 0.114
        board.limb((x, -0.02), (x, -0.02 - tall), 0.016, 0.008, BLACK if step > 3 else WHITE)
        board.disc((x, -0.024 - tall), 0.013, BLACK if step > 3 else WHITE)


def photographing(canvas: Canvas, rng: Random) -> None:
    """A photographer stands behind a camera on a tripod."""
    here = anywhere(canvas, rng, outdoors, street, waterside, hall, x=(0.28, 0.36))
    height = rng.uniform(0.62, 0.7)
    camera = here.at(0.22, -height * 0.8)
    for foot in (-0.12, 0.02, 0.14):
        camera.line(((0, 0.04), (foot, height * 0.8)), 0.018, BLACK)
    if rng.random() < 0.6:
        pose = FACING.but(near_arm=rng.choice(((20, 140), (10, 14)))).loosened(rng)
        stand(here, somebody(rng), pose, x=0.52, height=height * 0.95, facing=-1).draw()
    pose = STANDING.but(lean=8, head=6).holding((0.17, -height * 0.79), (0.2, -height * 0.8 + 0.03))
    stand(here, somebody(rng, hat=""), pose.loosened(rng, 3), height=height).draw()
    camera.box(-0.08, -0.055, 0.06, 0.05, _DARK, round_by=0.012)
    camera.box(-0.03, -0.08, 0.02, -0.05, _DARK)
    camera.limb((0.06, 0), (0.14, 0), 0.036, 0.046, (30, 30, 34))
    camera.disc((0.155, 0), 0.03, (130, 170, 226))
    if rng.random() < 0.35:
        for angle in range(0, 360, 45):
            camera.line(((0, -0.12), around((0, -0.12), 0.075, angle)), 0.012, (255, 246, 190))
        camera.disc((0, -0.12), 0.03, WHITE)


def easel(canvas: Canvas, rng: Random) -> None:
    """Somebody paints a picture that stands on an easel."""
    here = anywhere(canvas, rng, outdoors, room, waterside, street, x=(0.26, 0.34))
    height = rng.uniform(0.62, 0.72)
    frame = here.at(0.26, -height * 0.92)
    for top, foot in ((0.04, -0.02), (0.2, 0.28), (0.12, 0.13)):
        frame.line(((top, -0.05), (foot, height * 0.92)), 0.024, darker(WOOD))
    frame.box(-0.02, 0, 0.28, 0.3, (206, 180, 140))
    frame.box(0, 0.02, 0.26, 0.28, WHITE)
    frame.box(0, 0.2, 0.26, 0.28, some_cloth(rng))
    for _ in range(5):
        blot = rng.uniform(0.05, 0.21), rng.uniform(0.07, 0.2)
        frame.disc(blot, rng.uniform(0.02, 0.045), some_cloth(rng))
    brush = 0.29, -height * 0.92 + rng.uniform(0.1, 0.2)
    pose = STANDING.holding((brush[0] - 0.07, brush[1] + 0.03)).but(far_arm=(50, 70)).loosened(rng, 3)
    painter = stand(here, somebody(rng, hat=rng.choice(("", "beanie"))), pose, height=height)
    painter.draw()
    palette = here.at(*painter.far_hand)
    palette.oval((0.03, 0), 0.075, 0.04, (206, 160, 104))
    for step in range(4):
        palette.disc((step * 0.03 - 0.015, -0.008), 0.014, some_cloth(rng))
    painter.draw_near()
    here.line((painter.near_hand, brush), 0.012, (90, 60, 40))
