from __future__ import annotations

import hashlib

import torch

from activitynet.runtime.seeds import derived_seed, hash_seed


def test_derived_seeds_do_not_collide_by_concatenation() -> None:
    seeds = {derived_seed(1, 23), derived_seed(12, 3), derived_seed(1, 2, 3), derived_seed(123)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_keep_their_bits() -> None:
    """Or a run would not resume to the same bits with a later version."""
    assert derived_seed(0, "order", 1) == 2961819992523135983
    assert hash_seed("0 1 2") == 17160956342638568639
    digest = hashlib.blake2b(b"0 1 2", digest_size=8).digest()
    drawn = [
        torch.rand(3, generator=torch.Generator().manual_seed(seed))
        for seed in (hash_seed("0 1 2"), int.from_bytes(digest, "big", signed=True))
    ]
    assert torch.equal(*drawn)
