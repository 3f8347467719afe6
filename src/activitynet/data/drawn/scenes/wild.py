"""Scenes of fishing and hunting, water activities and winter activities."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from activitynet.data.drawn.canvas import Canvas, Point, arc
from activitynet.data.drawn.colours import BLACK, WHITE, darker, lighter, mix
from activitynet.data.drawn.figures import Figure, stand
from activitynet.data.drawn.people import SITTING, STANDING, STRIDING, Person, Pose, somebody
from activitynet.data.drawn.places import anywhere, open_water, outdoors, snow, waterside
from activitynet.data.drawn.scenery import tree

_FOAM = (246, 251, 253)
_LINE = (236, 236, 236)
_RED = (224, 48, 44)
_ROD = (70, 50, 40)
_WAKE = (228, 242, 248)


def angling(canvas: Canvas, rng: Random) -> None:
    """An angler on the bank holds a rod over the water."""
    here = anywhere(canvas, rng, waterside, x=(0.2, 0.3))
    height = rng.uniform(0.54, 0.66)
    person = somebody(rng, hat=rng.choice(("brim", "cap", "brim", "")))
    grip, tip = (0.13, -height * 0.56), (rng.uniform(0.4, 0.5), -height * rng.uniform(0.9, 1.1))
    if rng.random() < 0.5:
        angler = stand(here, person, STANDING.holding(grip).loosened(rng), height=height)
    else:
        grip, tip, seat = (0.15, grip[1] + 0.1), (tip[0], tip[1] + 0.12), -height * 0.22
        here.line(((-0.07, 0), (0.07, seat + 0.02), (-0.07, seat + 0.02), (0.07, 0)), 0.016, BLACK)
        pose = SITTING.but(lean=-2).holding(grip).loosened(rng)
        angler = Figure(here, person, pose, hips=(0, seat - 0.03), height=height)
    angler.draw()
    bend = (grip[0] + tip[0]) / 2 - 0.02, (grip[1] + tip[1]) / 2 - 0.03
    here.line(((grip[0] - 0.06, grip[1] + 0.06), grip, bend, tip), 0.016, _ROD)
    here.disc((grip[0] + 0.02, grip[1] + 0.005), 0.022, BLACK)
    angler.draw_near()
    if rng.random() < 0.4:
        catch = here.at(tip[0], -rng.uniform(0.16, 0.26))
        here.line((tip, (tip[0], -0.2)), 0.006, _LINE)
        catch.oval((0, 0), 0.034, 0.06, (150, 176, 190))
        catch.polygon(((0, 0.04), (-0.034, 0.095), (0.034, 0.095)), (120, 146, 160))
        catch.disc((-0.01, -0.03), 0.009, BLACK)
    else:
        _float(here, tip, (tip[0] + rng.uniform(0.02, 0.12), -rng.uniform(0.1, 0.2)))
    here.box(-0.23, -0.1, -0.13, 0, rng.choice(((56, 120, 200), (208, 56, 48))), taper=0.01)


def _float(canvas: Canvas, tip: Point, end: Point) -> None:
    """Draw a fishing line from the rod's tip to a float."""
    canvas.line((tip, ((tip[0] + end[0]) / 2 + 0.02, (tip[1] + end[1]) / 2 - 0.02), end), 0.006, _LINE)
    canvas.disc(end, 0.02, _RED)
    canvas.disc((end[0], end[1] - 0.014), 0.012, WHITE)


def boat_fishing(canvas: Canvas, rng: Random) -> None:
    """Somebody fishes from a small boat."""
    here = anywhere(canvas, rng, open_water, x=(0.34, 0.42))
    hull = rng.choice(((150, 96, 56), WHITE, (200, 60, 52)))
    grip, tip = (0.16, -0.16), (rng.uniform(0.44, 0.5), -rng.uniform(0.38, 0.48))
    pose = SITTING.but(lean=-2).holding(grip).loosened(rng)
    person = somebody(rng, hat=rng.choice(("brim", "cap")))
    angler = Figure(here, person, pose, hips=(0, -0.04), height=rng.uniform(0.5, 0.6))
    angler.draw()
    here.line(((0.11, -0.12), grip, tip), 0.015, _ROD)
    angler.draw_near()
    here.polygon(((-0.26, -0.04), (0.36, -0.06), (0.27, 0.09), (-0.2, 0.09)), hull)
    here.line(((-0.27, -0.04), (0.37, -0.06)), 0.024, darker(hull, 0.35))
    here.line(((-0.3, 0.09), (0.36, 0.09)), 0.016, _WAKE)
    _float(here, tip, (tip[0] + 0.04, rng.uniform(0.02, 0.1)))


def hunting(canvas: Canvas, rng: Random) -> None:
    """A hunter aims a rifle or a bow at a deer among trees."""
    here = anywhere(canvas, rng, outdoors, x=(0.18, 0.26))
    height = rng.uniform(0.54, 0.64)
    for _ in range(3):
        tree(here.at(rng.uniform(-0.3, 0.9), -rng.uniform(0.06, 0.2)), rng, rng.uniform(0.4, 0.7))
    _deer(here.at(rng.uniform(0.54, 0.6), -0.02, size=rng.uniform(1.0, 1.2)))
    cloth = rng.choice(((84, 96, 60), (96, 92, 60), (70, 84, 60)))
    hat = rng.choice(("cap", "brim", "beanie"))
    clothes = {"sleeves": 1.0, "legs": 1.0, "skirt": False, "top": cloth, "hat": hat, "hat_colour": cloth}
    aim = -height * 0.8
    if rng.random() < 0.5:
        pose = STRIDING.holding((0.13, aim + 0.015), (0.24, aim))
        hunter = stand(here, somebody(rng, **clothes), pose, height=height)
        hunter.draw()
        here.line(((0.04, aim + 0.03), (0.16, aim + 0.01)), 0.038, (110, 70, 44))
        here.line(((0.12, aim + 0.005), (0.42, aim - 0.02)), 0.018, BLACK)
        hunter.draw_near()
        return
    pose = STRIDING.holding((0.04, aim), (0.24, aim))
    stand(here, somebody(rng, **clothes), pose, height=height).draw()
    bow = arc((0.12, aim), 0.14, 0.2, -72, 72)
    here.line(bow, 0.018, (120, 70, 40))
    here.line((bow[0], (0.05, aim), bow[-1]), 0.006, WHITE)
    here.line(((0.04, aim), (0.32, aim)), 0.01, (60, 50, 44))


def _deer(canvas: Canvas) -> None:
    coat, antler = (172, 112, 60), (112, 84, 56)
    for x in (-0.1, -0.07, 0.07, 0.1):
        canvas.limb((x, -0.18), (x, 0), 0.02, 0.011, darker(coat, 0.1))
    canvas.limb((-0.08, -0.2), (0.08, -0.2), 0.05, 0.052, coat)
    canvas.limb((-0.09, -0.22), (-0.16, -0.35), 0.036, 0.024, coat)
    canvas.limb((-0.16, -0.35), (-0.215, -0.33), 0.026, 0.014, coat)
    canvas.disc((0.13, -0.22), 0.022, WHITE)
    for fork, tip, branch in ((-0.2, -0.19, -0.255), (-0.136, -0.11, -0.1)):
        canvas.line(((-0.155, -0.35), (fork, -0.41), (tip, -0.48)), 0.013, antler)
        canvas.line(((fork, -0.41), (branch, -0.45)), 0.013, antler)


def swimming(canvas: Canvas, rng: Random) -> None:
    """A swimmer in a pool with lane ropes, or in open water."""
    here = anywhere(canvas, rng, open_water, x=(0.4, 0.48)).at(0, -0.12)
    hat, hat_colour = rng.choice(("helmet", "helmet", "")), rng.choice((_RED, (240, 200, 60), WHITE))
    person = somebody(
        rng, legs=0.4, sleeves=0.0, skirt=False, hat=hat, hat_colour=hat_colour, hairstyle="short"
    )
    if rng.random() < 0.6:
        person = replace(person, top=person.skin)
    arm = rng.choice(((150, 110), (100, 92), (200, 140)))
    pose = Pose(lean=84, head=-26, near_arm=arm, far_arm=(86, 88), near_leg=(-82, -92), far_leg=(-90, -80))
    swimmer = Figure(
        here, person, pose.but(toes=-80).loosened(rng), hips=(0, 0), height=rng.uniform(0.62, 0.72)
    )
    swimmer.draw()
    surface = rng.choice(((100, 180, 220), (88, 160, 206)))
    here.oval((-0.16, 0.08), 0.42, 0.075, surface)
    here.oval((0.3, 0.07), 0.2, 0.03, lighter(surface))
    for x, y in (swimmer.near_hand, (-0.34, 0.0)):
        for _ in range(9):
            drop = x + rng.gauss(0, 0.05), y + rng.gauss(0, 0.04)
            here.disc(drop, rng.uniform(0.01, 0.022), _FOAM)
    if rng.random() < 0.6:
        for y in (-0.18, 0.26):
            for step in range(-14, 18):
                here.disc((step * 0.06, y), 0.024, _RED if step % 2 else WHITE)


def kayaking(canvas: Canvas, rng: Random) -> None:
    """Somebody paddles a kayak."""
    here = anywhere(canvas, rng, open_water, x=(0.44, 0.56))
    dip = rng.choice((-1, 1)) * rng.uniform(0.06, 0.16)
    left, right = (-0.24, dip - 0.17), (0.36, -dip - 0.17)
    hull = rng.choice(((236, 72, 40), (250, 196, 40), (240, 120, 32)))
    pose = SITTING.but(lean=6, near_leg=(88, 80), far_leg=(88, 80))
    pose = pose.holding((0.16, -0.17 - dip * 0.3), (-0.01, -0.17 + dip * 0.25)).loosened(rng, 3)
    person = somebody(rng, hat=rng.choice(("helmet", "cap", "")), skirt=False)
    paddler = Figure(here, person, pose, hips=(0, -0.01), height=rng.uniform(0.64, 0.76))
    paddler.draw()
    deck = ((-0.42, -0.02), (-0.1, 0), (0.12, 0), (0.44, -0.03))
    here.polygon((*deck, (0.26, 0.085), (-0.26, 0.085)), hull)
    here.line(((-0.36, 0.03), (0.38, 0.025)), 0.016, lighter(hull, 0.7))
    here.line((left, right), 0.018, BLACK)
    here.limb(left, (-0.3, left[1] + dip * 0.2), 0.028, 0.038, (252, 222, 90))
    here.limb(right, (0.42, right[1] - dip * 0.2), 0.028, 0.038, (252, 222, 90))
    paddler.draw_arms()
    here.line(((-0.46, 0.09), (0.46, 0.09)), 0.018, _WAKE)


def surfing(canvas: Canvas, rng: Random) -> None:
    """A surfer rides a breaking wave."""
    here = anywhere(canvas, rng, open_water, x=(0.44, 0.56)).at(0, 0.1)
    sea, lift = rng.choice(((40, 120, 150), (30, 104, 140), (56, 140, 156))), rng.uniform(-0.04, 0.04)
    crest = ((-0.5, -0.36), (-0.2, -0.22), (0.2, -0.06), (1.0, 0.0))
    here.at(0, lift).polygon((*crest, (1, 1), (-1, 1), (-1, -0.4)), mix(sea, WHITE, 0.1))
    for step in range(16):
        x = -0.75 + step * 0.055
        here.disc(
            (x, lift - 0.34 + max(0.0, x + 0.5) * 0.42 + rng.uniform(-0.03, 0.03)),
            rng.uniform(0.03, 0.06),
            _FOAM,
        )
    board = rng.choice(((250, 210, 60), (240, 96, 60), WHITE))
    here.limb((-0.24, -0.034), (0.22, 0.034), 0.022, 0.022, board)
    here.limb((0.2, 0.028), (0.3, 0.034), 0.022, 0.007, board)
    arms = {"near_arm": rng.choice(((80, 90), (110, 100))), "far_arm": (-80, -100)}
    pose = Pose(lean=24, head=-16, near_leg=(56, -12), far_leg=(4, -52)).but(**arms).loosened(rng)
    surfer = somebody(rng, legs=rng.choice((0.4, 1.0)), skirt=False, hat="")
    surfer = replace(surfer, shoes=surfer.skin)
    stand(here, surfer, pose, height=rng.uniform(0.5, 0.6)).draw()
    for _ in range(16):
        here.disc((-rng.uniform(0.2, 0.46), rng.uniform(-0.06, 0.05)), rng.uniform(0.014, 0.036), _FOAM)


def _wrapped_up(rng: Random, **looks: object) -> Person:
    hat = rng.choice(("beanie", "beanie", "helmet"))
    colour = rng.choice((_RED, (48, 104, 184), (232, 120, 40)))
    return somebody(rng, hat=hat, hat_colour=colour, sleeves=1.0, legs=1.0, skirt=False, **looks)


def _snowfall(canvas: Canvas, rng: Random) -> None:
    for _ in range(rng.choice((0, 20, 40))):
        canvas.disc((rng.uniform(-0.1, 1.1), rng.uniform(-0.1, 1.1)), rng.uniform(0.005, 0.01), WHITE)


def skiing(canvas: Canvas, rng: Random) -> None:
    """A skier glides down a slope, poles in hand."""
    here = anywhere(canvas, rng, snow, x=(0.44, 0.54))
    slope = rng.uniform(0.05, 0.3)
    white = rng.choice(((250, 252, 255), (232, 238, 248), (206, 214, 232)))
    here.polygon(((-1, -slope), (1.5, 1.5 * slope), (1.5, 1.5), (-1, 1.5)), white)
    skis = rng.choice((_RED, (32, 88, 184), (236, 176, 40)))
    for shift in (0.02, 0.0):
        nose = 0.27, 0.27 * slope + shift
        here.line(((-0.24, -0.24 * slope + shift), nose, (0.32, nose[1] - 0.03)), 0.02, skis)
    arms = {"near_arm": (34, 76), "far_arm": (40, 84)}
    pose = Pose(lean=28, head=-20, near_leg=(46, -24), far_leg=(40, -26)).but(**arms).loosened(rng, 4)
    skier = stand(here, _wrapped_up(rng), pose, x=-0.02, height=rng.uniform(0.54, 0.66))
    skier.draw()
    for hand in (skier.near_hand, skier.far_hand):
        pole = here.at(*hand)
        pole.line(((0.02, -0.05), (-0.2, 0.22)), 0.013, BLACK)
        pole.disc((-0.19, 0.205), 0.019, BLACK)
    for _ in range(12):
        here.disc((-rng.uniform(0.2, 0.42), -rng.uniform(0.0, 0.1)), rng.uniform(0.012, 0.026), WHITE)
    _snowfall(canvas, rng)


def sledging(canvas: Canvas, rng: Random) -> None:
    """One or two people ride a sledge."""
    here = anywhere(canvas, rng, snow, x=(0.42, 0.52))
    height, wood = rng.uniform(0.56, 0.66), (136, 80, 40)
    here.line(((-0.28, 0), (0.26, 0), (0.33, -0.05), (0.32, -0.12)), 0.02, wood)
    for post in (-0.18, 0.0, 0.18):
        here.line(((post, 0), (post, -0.11)), 0.018, wood)
    here.box(-0.28, -0.125, 0.27, -0.092, (204, 140, 72))
    pose = SITTING.but(lean=-12, head=4, near_leg=(98, 66), far_leg=(94, 60)).holding((0.16, -0.25))
    seats = (-0.16, 0.02) if rng.random() < 0.4 else (-0.02,)
    for x in seats:
        rider = _wrapped_up(rng, child=rng.random() < 0.5)
        size = height * (0.85 if len(seats) > 1 else 1.0)
        Figure(here, rider, pose.loosened(rng, 4), hips=(x, -0.155), height=size).draw()
    here.line(((0.32, -0.12), (0.16, -0.25)), 0.012, _RED)
    for _ in range(14):
        here.disc((-rng.uniform(0.26, 0.44), -rng.uniform(-0.02, 0.08)), rng.uniform(0.012, 0.028), WHITE)
    _snowfall(canvas, rng)


def snowman(canvas: Canvas, rng: Random) -> None:
    """Somebody builds a snowman."""
    here = anywhere(canvas, rng, snow, x=(0.24, 0.32))
    height = rng.uniform(0.5, 0.64)
    _snowman(here.at(0.36, 0, size=rng.uniform(0.95, 1.1)), rng)
    pose, child = STANDING.but(lean=10, head=4, near_arm=(70, 96), far_arm=(60, 110)), rng.random() < 0.6
    size = height * (0.85 if child else 1.0)
    stand(here, _wrapped_up(rng, child=child), pose.loosened(rng), height=size).draw()
    _snowfall(canvas, rng)


def _snowman(canvas: Canvas, rng: Random) -> None:
    canvas.shadow(0, 0, 0.17)
    for y, radius, shade in ((-0.11, 0.13, 0.06), (-0.29, 0.1, 0.03), (-0.44, 0.075, 0.0)):
        canvas.disc((0.01, y), radius + 0.004, (196, 204, 220))
        canvas.disc((0, y), radius, darker((252, 253, 255), shade))
    for spot in ((-0.035, -0.455), (0.015, -0.455), (-0.01, -0.25), (-0.01, -0.31)):
        canvas.disc(spot, 0.012, BLACK)
    canvas.polygon(((-0.01, -0.445), (-0.11, -0.42), (-0.01, -0.41)), (244, 124, 28))
    for side in (-1, 1):
        canvas.line(((side * 0.09, -0.3), (side * 0.19, -0.4)), 0.012, (96, 68, 48))
    canvas.line(((-0.07, -0.365), (0.07, -0.365), (0.08, -0.28)), 0.034, _RED)
    if rng.random() < 0.6:
        canvas.box(-0.085, -0.52, 0.085, -0.5, BLACK)
        canvas.box(-0.055, -0.6, 0.055, -0.5, BLACK)
