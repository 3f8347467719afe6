"""Random seeds as hashes of what they depend on.

Random numbers depend on the user's seed and on their purpose: an epoch, a step, a photo. They do not depend
on the order of draws, so a run can be resumed without the state of a generator.
"""

from __future__ import annotations

import hashlib


def hash_seed(text: str) -> int:
    """Return the 64-bit BLAKE2b hash of a text as a seed in [0, 2**64).

    Seeds of different texts are practically independent.
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def derived_seed(seed: int, *parts: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on all arguments, and only on them.

    Args:
        seed: The user's seed.
        parts: Purpose of the seed: ``derived_seed(seed, "order", epoch)``.

    Example:
        >>> derived_seed(0, "order", 1) == derived_seed(0, "order", 1)
        True
        >>> derived_seed(1, 23) == derived_seed(12, 3)
        False
    """
    return hash_seed("/".join(str(part) for part in (seed, *parts))) >> 1
