"""Where a posed body's joints are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from activitynet.data.drawn.canvas import Point
from activitynet.data.drawn.people import Limb, Pose, Reach

# Lengths as shares of the standing height.
_TORSO = 0.285
_NECK = 0.045
_ARM = (0.165, 0.155)
_LEG = (0.235, 0.235)
_SHOULDER = 0.082
_HIP = 0.045


@dataclass(frozen=True)
class Bones:
    """An arm or a leg.

    Attributes:
        root: Shoulder or hip.
        middle: Elbow or knee.
        end: Hand or foot.
    """

    root: Point
    middle: Point
    end: Point


class Skeleton:
    """The joints of one person in one pose.

    Args:
        pose: How the joints are bent.
        hips: Where the hips are.
        height: Standing height.
        head_radius: Half the head's height.
        facing: 1 to the right, -1 to the left.

    Attributes:
        shoulders: Middle between the shoulders.
        head: Middle of the head.
        arms: Near and far arm.
        legs: Near and far leg.
    """

    def __init__(self, pose: Pose, *, hips: Point, height: float, head_radius: float, facing: int) -> None:
        self._height, self._facing = height, facing
        self.hips = hips
        self.shoulders = self.swing(hips, 180 - pose.lean, _TORSO)
        self._head_radius = head_radius
        self._head_angle = 180 - pose.lean - pose.head
        self.head = self.swing(self.shoulders, self._head_angle, _NECK + head_radius / height)
        turned = 0.0 if pose.view == "side" else 1.0
        far_side = 1 if pose.view == "side" else -1
        roots = self._pair(self.shoulders, pose.lean, _SHOULDER * turned)
        self.arms = (
            self._limb(roots[0], pose.near_arm, _ARM),
            self._limb(roots[1], pose.far_arm, _ARM, side=far_side),
        )
        roots = self._pair(hips, pose.lean, _HIP * turned)
        self.legs = (
            self._limb(roots[0], pose.near_leg, _LEG, knee=True),
            self._limb(roots[1], pose.far_leg, _LEG, side=far_side, knee=True),
        )

    def swing(self, start: Point, angle: float, length: float, *, side: int = 1) -> Point:
        """Return the point ``length`` heights from ``start``: 0 degrees points down, 90 forward."""
        a, reach = math.radians(angle), length * self._height
        return start[0] + self._facing * side * reach * math.sin(a), start[1] + reach * math.cos(a)

    def on_head(self, angle: float, radius: float) -> Point:
        """Return a point of the head, in its radii: 0 degrees is the face, 90 the crown, 180 the nape."""
        length = radius * self._head_radius / self._height
        return self.swing(self.head, self._head_angle - 90 + angle, length)

    def _pair(self, middle: Point, lean: float, offset: float) -> tuple[Point, Point]:
        return self.swing(middle, 90 - lean, offset), self.swing(middle, 90 - lean, -offset)

    def _limb(
        self,
        root: Point,
        bent: Limb | Reach,
        lengths: tuple[float, float],
        *,
        side: int = 1,
        knee: bool = False,
    ) -> Bones:
        if isinstance(bent, Reach):
            return self._reach(root, bent, lengths, knee=knee)
        middle = self.swing(root, bent[0], lengths[0], side=side)
        return Bones(root, middle, self.swing(middle, bent[1], lengths[1], side=side))

    def _reach(self, root: Point, target: Reach, lengths: tuple[float, float], *, knee: bool) -> Bones:
        """Bend a limb so that its end comes to the target: two circles cut each other in the joint."""
        upper, lower = lengths[0] * self._height, lengths[1] * self._height
        dx, dy = target.x - root[0], target.y - root[1]
        wanted = math.hypot(dx, dy)
        distance = min(max(wanted, abs(upper - lower) + 1e-6), (upper + lower) * 0.999)
        # So near the root that a division tells no direction, any will do.
        ux, uy = (dx / wanted, dy / wanted) if wanted > 1e-9 else (0.0, 1.0)
        along = (upper**2 - lower**2 + distance**2) / (2 * distance)
        off = math.sqrt(max(0.0, upper**2 - along**2))
        joints = [(root[0] + ux * along - s * uy * off, root[1] + uy * along + s * ux * off) for s in (1, -1)]
        middle = max(joints, key=lambda joint: joint[0] * self._facing if knee else joint[1])
        return Bones(root, middle, (root[0] + ux * distance, root[1] + uy * distance))
