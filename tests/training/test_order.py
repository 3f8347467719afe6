from __future__ import annotations

from activitynet.training.order import EpochSampler, derived_seed


def test_every_epoch_visits_every_photo_once_in_its_own_order() -> None:
    sampler = EpochSampler(100, seed=3)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    sampler.set_epoch(1)
    assert list(sampler) == orders[1]
    assert list(EpochSampler(100, seed=4)) != orders[0]


def test_derived_seeds_do_not_collide_by_concatenation() -> None:
    seeds = {derived_seed(1, 23), derived_seed(12, 3), derived_seed(1, 2, 3), derived_seed(123)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)
