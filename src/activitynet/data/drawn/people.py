"""People: how they look, and how their joints are bent."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from random import Random

from activitynet.data.drawn.canvas import Point
from activitynet.data.drawn.colours import BLACK, WHITE, Colour, some_cloth

_SKINS = (
    (255, 222, 194),
    (240, 194, 152),
    (222, 170, 125),
    (196, 134, 88),
    (148, 96, 62),
    (108, 70, 46),
    (76, 50, 38),
)
_HAIRS = (
    (28, 24, 24),
    (62, 42, 32),
    (104, 68, 40),
    (150, 72, 40),
    (218, 180, 104),
    (150, 150, 150),
    (232, 230, 224),
)
_HAIRSTYLES = ("short", "short", "long", "long", "bun", "curly", "bald")


@dataclass(frozen=True)
class Person:
    """How somebody looks.

    Attributes:
        skin: Colour of the skin.
        hair: Colour of the hair.
        hairstyle: ``short``, ``long``, ``bun``, ``curly`` or ``bald``.
        top: Colour of shirt, jacket or dress.
        bottom: Colour of trousers, shorts or skirt.
        shoes: Colour of the shoes.
        sleeves: How much of the arms is covered, 0 to 1.
        legs: How much of the legs the trousers cover, 0 to 1.
        skirt: Whether a skirt is worn.
        hat: Empty, or ``cap``, ``helmet``, ``brim``, ``beanie`` or ``scarf``.
        hat_colour: Its colour.
        girth: Thickness of body and limbs, about 1.
        child: Whether the head is large for the body.
        vest: A safety vest's colour, where one is worn.
    """

    skin: Colour
    hair: Colour
    hairstyle: str
    top: Colour
    bottom: Colour
    shoes: Colour
    sleeves: float
    legs: float
    skirt: bool
    hat: str
    hat_colour: Colour
    girth: float
    child: bool = False
    vest: Colour | None = None


def somebody(rng: Random, **looks: object) -> Person:
    """Return a person of random looks.

    Args:
        rng: Where the looks come from.
        looks: Attributes of `Person` that are not left to chance.
    """
    person = Person(
        skin=rng.choice(_SKINS),
        hair=rng.choice(_HAIRS),
        hairstyle=rng.choice(_HAIRSTYLES),
        top=some_cloth(rng),
        bottom=some_cloth(rng),
        shoes=rng.choice((BLACK, WHITE, some_cloth(rng))),
        sleeves=rng.choice((0.0, 0.3, 0.3, 1.0, 1.0)),
        legs=rng.choice((0.4, 1.0, 1.0, 1.0)),
        skirt=rng.random() < 0.15,
        hat="cap" if rng.random() < 0.12 else "",
        hat_colour=some_cloth(rng),
        girth=rng.uniform(0.9, 1.2),
    )
    return dataclasses.replace(person, **looks)  # type: ignore[arg-type]  # checked by the dataclass


Limb = tuple[float, float]
"""Angles in degrees of an arm's or leg's two parts: 0 hangs down, 90 points forward, 180 up."""


@dataclass(frozen=True)
class Reach:
    """A limb whose end goes to a point of the picture, as near as its length allows.

    Elbows bend down and knees bend forward.

    Attributes:
        x: Where the hand or foot goes.
        y: Where the hand or foot goes.
    """

    x: float
    y: float


@dataclass(frozen=True)
class Pose:
    """How somebody's joints are bent.

    In a side view the near limbs are drawn in front of the body and the far ones behind it. In a
    front or back view "near" is the limb on the side the figure faces (right unless mirrored) and
    angles count outwards on both sides.

    Attributes:
        lean: Angle of the torso in degrees: 0 upright, 90 lying face down, -90 on the back.
        head: Angle of the head against the torso.
        near_arm: Angles, or where the hand goes.
        far_arm: The same for the other arm.
        near_leg: Angles, or where the foot goes.
        far_leg: The same for the other leg.
        view: ``side``, ``front`` or ``back``.
        toes: Angle of the feet: 90 flat on the ground.
    """

    lean: float = 0.0
    head: float = 0.0
    near_arm: Limb | Reach = (14.0, 24.0)
    far_arm: Limb | Reach = (-12.0, 4.0)
    near_leg: Limb | Reach = (8.0, 2.0)
    far_leg: Limb | Reach = (-7.0, -12.0)
    view: str = "side"
    toes: float = 90.0

    def but(self, **changes: object) -> Pose:
        """Return the same pose with some attributes changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]  # checked by the dataclass

    def holding(self, near: Point, far: Point | None = None) -> Pose:
        """Return the same pose with the hands at one or two points."""
        return self.but(near_arm=Reach(*near), far_arm=Reach(*(far or near)))

    def loosened(self, rng: Random, degrees: float = 5.0) -> Pose:
        """Return the pose with every angle changed by up to that much."""

        def limb(value: Limb | Reach) -> Limb | Reach:
            if isinstance(value, Reach):
                return value
            return value[0] + rng.uniform(-degrees, degrees), value[1] + rng.uniform(-degrees, degrees)

        return self.but(
            lean=self.lean + rng.uniform(-degrees, degrees) / 2,
            head=self.head + rng.uniform(-degrees, degrees),
            near_arm=limb(self.near_arm),
            far_arm=limb(self.far_arm),
            near_leg=limb(self.near_leg),
            far_leg=limb(self.far_leg),
        )


STANDING = Pose()
STRIDING = Pose(near_arm=(-20, -8), far_arm=(22, 34), near_leg=(23, 10), far_leg=(-17, -28))
SITTING = Pose(near_arm=(30, 70), far_arm=(25, 65), near_leg=(84, 4), far_leg=(78, -4))
KNEELING = Pose(near_leg=(86, -4), far_leg=(10, -84))
FACING = Pose(view="front", near_arm=(12, 14), far_arm=(12, 14), near_leg=(10, 4), far_leg=(10, 4))
