"""The 20 activity categories that the zoo's models name by default."""

from __future__ import annotations

import re
import unicodedata

# The headings of the Compendium of Physical Activities, as the MPII Human Pose dataset uses them.
ACTIVITIES: tuple[str, ...] = (
    "bicycling",
    "conditioning exercise",
    "dancing",
    "fishing and hunting",
    "home activities",
    "home repair",
    "inactivity quiet/light",
    "lawn and garden",
    "miscellaneous",
    "music playing",
    "occupation",
    "religious activities",
    "running",
    "self care",
    "sports",
    "transportation",
    "volunteer activities",
    "walking",
    "water activities",
    "winter activities",
)


def slug(name: str) -> str:
    """Return ``name`` in a form that is safe as a folder's name.

    Letters (of any script) and digits are kept in lower case; each run of anything else becomes one
    ``_``: ``"inactivity quiet/light"`` is ``"inactivity_quiet_light"``.
    """
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFC", name.lower()))
