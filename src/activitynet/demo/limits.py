"""How much the page takes at once, and the sentences for what is over."""

from __future__ import annotations

from dataclasses import dataclass

from activitynet.errors import DemoError

MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """How much one upload may be.

    Attributes:
        bytes: Of all its photos together, and the form around them.
        photos: How many there may be.
        pixels: Of each photo.

    Raises:
        DemoError: One of them is less than 1.
    """

    bytes: int = 64 * MB
    photos: int = 100
    pixels: int = 64 * MB

    def __post_init__(self) -> None:
        for name in ("bytes", "photos", "pixels"):
            if getattr(self, name) < 1:
                raise DemoError(f"the most {name} of an upload must be 1 or more, not {getattr(self, name)}.")

    @property
    def size(self) -> str:
        """The most bytes, as people write it."""
        return f"{self.bytes / MB:g} MB"

    def too_large(self) -> str:
        """Return the sentence for too many bytes."""
        return f"The photos are more than {self.size} together, the most that is taken at once: send fewer."

    def too_many(self) -> str:
        """Return the sentence for too many photos."""
        return f"More than {self.photos} photos are not taken at once: send fewer."
