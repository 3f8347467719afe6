"""Colours: a few fixed ones, ways to change one, and those that clothes and painted things have."""

from __future__ import annotations

from random import Random

Colour = tuple[int, ...]
"""Red, green, blue in 0–255, and optionally an opacity."""

BLACK = (40, 40, 44)
WHITE = (247, 247, 245)
STEEL = (178, 184, 190)
WOOD = (158, 112, 70)

_CLOTHS = (
    (200, 52, 52),
    (232, 120, 48),
    (240, 196, 64),
    (80, 160, 88),
    (40, 104, 80),
    (64, 152, 184),
    (48, 88, 168),
    (32, 44, 84),
    (128, 76, 152),
    (224, 128, 160),
    (240, 240, 236),
    (150, 152, 156),
    (52, 52, 56),
    (140, 100, 68),
    (196, 180, 148),
)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour that lies ``share`` of the way from the first to the second."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first, second, strict=False))


def darker(colour: Colour, share: float = 0.2) -> Colour:
    """Return the colour moved ``share`` of the way to black."""
    return mix(colour, (0, 0, 0), share)


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    """Return the colour moved ``share`` of the way to white."""
    return mix(colour, (255, 255, 255), share)


def some_cloth(rng: Random) -> Colour:
    """Return a colour that clothes (or painted things) have."""
    return tuple(min(255, max(0, part + rng.randint(-14, 14))) for part in rng.choice(_CLOTHS))
