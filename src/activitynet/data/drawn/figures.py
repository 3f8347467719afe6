"""Drawing people."""

from __future__ import annotations

from activitynet.data.drawn.canvas import Canvas, Point
from activitynet.data.drawn.colours import BLACK, Colour, darker, lighter
from activitynet.data.drawn.people import Person, Pose
from activitynet.data.drawn.skeletons import Bones, Skeleton


class Figure:
    """A posed person in a picture, drawn in three layers so that things can come between them.

    Args:
        canvas: Where to draw.
        person: How they look.
        pose: How they hold themselves.
        hips: Where the hips are.
        height: Standing height.
        facing: 1 to the right, -1 to the left.

    Attributes:
        head: Middle of the head.
        shoulders: Middle between the shoulders.
        hips: Middle between the hips.
        near_hand: Where that hand is.
        far_hand: Where that hand is.
        near_foot: Where that foot is.
        far_foot: Where that foot is.
    """

    def __init__(
        self, canvas: Canvas, person: Person, pose: Pose, *, hips: Point, height: float, facing: int = 1
    ) -> None:
        self._canvas, self._person, self._pose = canvas, person, pose
        self._height, self._thick = height, height * person.girth
        self._head_radius = height * (0.12 if person.child else 0.09)
        bones = Skeleton(pose, hips=hips, height=height, head_radius=self._head_radius, facing=facing)
        self._bones = bones
        self.head, self.shoulders, self.hips = bones.head, bones.shoulders, bones.hips
        self.near_hand, self.far_hand = bones.arms[0].end, bones.arms[1].end
        self.near_foot, self.far_foot = bones.legs[0].end, bones.legs[1].end

    def draw(self) -> None:
        """Draw the whole figure."""
        self.draw_far()
        self.draw_body()
        self.draw_near()

    def draw_far(self) -> None:
        """Draw the limbs behind the body."""
        shade = 0.18 if self._pose.view == "side" else 0.0
        self._draw_leg(1, shade)
        self._draw_arm(self._bones.arms[1], shade)

    def draw_body(self) -> None:
        """Draw the near leg, the torso and the head."""
        if self._person.hairstyle == "long" and self._pose.view != "back":
            self._draw_long_hair()
        self._draw_leg(0, 0.0)
        self._draw_torso()
        self._draw_head()

    def draw_near(self) -> None:
        """Draw the near arm; draw it again after a thing that it holds."""
        self._draw_arm(self._bones.arms[0], 0.0)

    def draw_arms(self) -> None:
        """Draw both arms again, in front of a thing that they hold."""
        self._draw_arm(self._bones.arms[1], 0.0)
        self._draw_arm(self._bones.arms[0], 0.0)

    def _draw_arm(self, arm: Bones, shade: float) -> None:
        person, limb, thick = self._person, self._canvas.limb, self._thick
        skin, cloth = darker(person.skin, shade), darker(person.top, shade + 0.06)
        limb(arm.root, arm.middle, 0.034 * thick, 0.027 * thick, skin if person.sleeves == 0 else cloth)
        if 0 < person.sleeves < 1:
            limb(_between(arm.root, arm.middle, 0.62), arm.middle, 0.026 * thick, 0.026 * thick, skin)
        limb(arm.middle, arm.end, 0.027 * thick, 0.022 * thick, cloth if person.sleeves == 1 else skin)
        self._canvas.disc(arm.end, 0.03 * thick, skin)

    def _draw_leg(self, index: int, shade: float) -> None:
        person, limb, thick, leg = self._person, self._canvas.limb, self._thick, self._bones.legs[index]
        skin, cloth = darker(person.skin, shade), darker(person.bottom, shade)
        limb(leg.middle, leg.end, 0.036 * thick, 0.026 * thick, cloth if person.legs == 1 else skin)
        if person.legs < 1:
            limb(leg.root, leg.middle, 0.045 * thick, 0.036 * thick, skin)
            limb(leg.root, _between(leg.root, leg.middle, 0.7), 0.05 * thick, 0.046 * thick, cloth)
        else:
            limb(leg.root, leg.middle, 0.05 * thick, 0.038 * thick, cloth)
        in_profile = self._pose.view == "side"
        side = 1 if index == 0 or in_profile else -1
        toe = self._bones.swing(leg.end, self._pose.toes, 0.065 if in_profile else 0.03, side=side)
        limb(leg.end, toe, 0.027 * self._height, 0.021 * self._height, darker(person.shoes, shade))

    def _draw_torso(self) -> None:
        person, thick = self._person, self._thick
        neck = _between(self.shoulders, self.head, 0.4)
        self._canvas.limb(self.shoulders, neck, 0.034 * thick, 0.034 * thick, darker(person.skin, 0.1))
        self._draw_trunk(0.0, 1.0, person.top)
        if person.vest is not None:
            self._draw_trunk(0.06, 0.85, person.vest)
            self._draw_stripe(0.6, lighter(person.vest, 0.8))
        if person.skirt:
            self._draw_skirt()

    def _draw_trunk(self, top: float, bottom: float, colour: Colour) -> None:
        """Draw the torso from one share of its height to another."""
        arms, legs, radius = self._bones.arms, self._bones.legs, 0.054 * self._thick
        near = _between(arms[0].root, legs[0].root, top), _between(arms[0].root, legs[0].root, bottom)
        far = _between(arms[1].root, legs[1].root, top), _between(arms[1].root, legs[1].root, bottom)
        for start, end in (near, far):
            self._canvas.limb(start, end, radius, radius, colour)
        self._canvas.polygon((*near, *reversed(far)), colour)

    def _draw_stripe(self, share: float, colour: Colour) -> None:
        """Draw a band across the torso, that share of its height down."""
        middle, radius = _between(self.shoulders, self.hips, share), 0.054 * self._person.girth
        half = radius + (0.05 if self._pose.view != "side" else 0.0)
        ends = [self._bones.swing(middle, 90 - self._pose.lean, side * half) for side in (1, -1)]
        self._canvas.line(ends, 0.03 * self._height, colour)

    def _draw_skirt(self) -> None:
        (x, y), thick, colour = self.hips, self._thick, self._person.bottom
        knees = sorted(leg.middle for leg in self._bones.legs)
        reach = 0.045 * thick
        left, right = (knees[0][0] - reach, knees[0][1]), (knees[1][0] + reach, knees[1][1])
        waist = 0.062 * thick + abs(self._bones.legs[0].root[0] - x)
        self._canvas.polygon(((x - waist, y - reach), (x + waist, y - reach), right, left), colour)
        self._canvas.limb(left, right, 0.02 * thick, 0.02 * thick, colour)

    def _draw_long_hair(self) -> None:
        on_head, r = self._bones.on_head, self._head_radius
        if self._pose.view == "side":
            top, ends = on_head(165, 0.3), [on_head(240, 1.75)]
        else:
            top, ends = self.head, [on_head(235, 1.7), on_head(305, 1.7)]
        for end in ends:
            self._canvas.limb(top, end, 0.97 * r, 0.42 * r, darker(self._person.hair, 0.1))

    def _draw_head(self) -> None:
        canvas, on_head, r, view = self._canvas, self._bones.on_head, self._head_radius, self._pose.view
        skin = self._person.skin
        lips = darker(skin, 0.5)
        if view == "side":
            canvas.disc(on_head(-6, 1.0), 0.17 * r, skin)
        canvas.disc(self.head, r, skin)
        self._draw_hair()
        if view == "side":
            canvas.disc(on_head(18, 0.62), 0.13 * r, BLACK)
            canvas.line((on_head(-48, 0.85), on_head(-60, 0.5)), 0.1 * r, lips)
        elif view == "front":
            canvas.disc(on_head(12, 0.42), 0.13 * r, BLACK)
            canvas.disc(on_head(168, 0.42), 0.13 * r, BLACK)
            canvas.line([on_head(angle, 0.55) for angle in (-125, -105, -75, -55)], 0.12 * r, lips)
        if self._person.hat:
            self._draw_hat()

    def _draw_hair(self) -> None:
        canvas, on_head, r, view = self._canvas, self._bones.on_head, self._head_radius, self._pose.view
        style, colour = self._person.hairstyle, self._person.hair
        if style == "bald":
            return
        if style == "bun":
            canvas.disc(on_head(140 if view == "side" else 90, 1.2), 0.45 * r, colour)
        if style == "curly":
            for angle in range(40, 220, 30) if view == "side" else range(0, 181, 30):
                canvas.disc(on_head(angle, 0.95), 0.42 * r, colour)
        if view == "back":
            canvas.disc(self.head, 1.06 * r, colour)
            if style == "long":
                canvas.limb(self.head, on_head(270, 1.6), r, 0.6 * r, colour)
        elif view == "front":
            self._cover_head(18, 162, 1.08, colour)
        else:
            self._cover_head(48, 222, 1.08, colour)

    def _draw_hat(self) -> None:
        canvas, on_head, r = self._canvas, self._bones.on_head, self._head_radius
        hat, colour, in_profile = self._person.hat, self._person.hat_colour, self._pose.view == "side"
        if hat == "scarf":
            self._cover_head(40 if in_profile else 10, 240 if in_profile else 170, 1.16, colour)
            canvas.disc(on_head(215 if in_profile else 270, 1.0), 0.5 * r, colour)
            return
        self._cover_head(14 if in_profile else 8, 192 if in_profile else 172, 1.16, colour)
        if hat == "beanie":
            canvas.disc(on_head(90, 1.28), 0.28 * r, lighter(colour, 0.6))
            canvas.line((on_head(16, 1.1), on_head(166, 1.1)), 0.34 * r, darker(colour))
        elif hat == "brim":
            canvas.line((on_head(14, 1.75), on_head(166, 1.75)), 0.26 * r, darker(colour, 0.12))
        elif hat == "cap" and in_profile:
            canvas.line((on_head(40, 0.9), on_head(16, 1.7)), 0.24 * r, darker(colour))
        elif hat == "helmet":
            canvas.line((on_head(60, 1.1), on_head(130, 1.1)), 0.16 * r, darker(colour, 0.35))

    def _cover_head(self, start: float, end: float, radius: float, colour: Colour) -> None:
        """Fill the part of the head that a line between two angles cuts off."""
        steps = 10
        angles = (start + (end - start) * step / steps for step in range(steps + 1))
        self._canvas.polygon([self._bones.on_head(angle, radius) for angle in angles], colour)


def stand(
    canvas: Canvas,
    person: Person,
    pose: Pose,
    *,
    height: float,
    x: float = 0.0,
    ground: float = 0.0,
    facing: int = 1,
) -> Figure:
    """Return a figure whose lower foot touches the ground, hips above ``x``, not drawn yet."""
    afoot = Figure(canvas, person, pose, hips=(x, 0.0), height=height, facing=facing)
    lowest = max(afoot.near_foot[1], afoot.far_foot[1]) + 0.025 * height
    return Figure(canvas, person, pose, hips=(x, ground - lowest), height=height, facing=facing)


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
