"""Seeds that are hashes of what they depend on.

Randomness in this library is a function of the user's seed and of what it is drawn for: an epoch, a step, a
photo. So it does not depend on the order of draws, and a run resumes without the state of any generator.
"""

from __future__ import annotations

import hashlib


def hash_seed(text: str) -> int:
    """Return the 64-bit BLAKE2b hash of a text as a seed in [0, 2**64).

    Texts that differ give seeds that are as good as independent.
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def derived_seed(seed: int, *parts: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on all arguments and nothing else.

    Args:
        seed: The user's seed.
        parts: What the seed is for: ``derived_seed(seed, "order", epoch)``.

    Example:
        >>> derived_seed(0, "order", 1) == derived_seed(0, "order", 1)
        True
        >>> derived_seed(1, 23) == derived_seed(12, 3)
        False
    """
    return hash_seed("/".join(str(part) for part in (seed, *parts))) >> 1
