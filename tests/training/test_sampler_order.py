from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from activitynet.runtime.seeds import derived_seed
from activitynet.training.sampler import epoch_order

LABELS = [0] * 50 + [2] * 10 + [1] * 3 + [4] * 1 + [0] * 7  # no photo of class 3
label_lists = st.lists(st.integers(0, 5), min_size=1, max_size=80)


def shares(order: list[int], labels: list[int]) -> Counter[int]:
    return Counter(labels[index] for index in order)


def test_every_epoch_visits_every_photo_once_in_its_own_order() -> None:
    orders = [epoch_order([0] * 100, "all", 3, epoch) for epoch in range(3)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert epoch_order([0] * 100, "all", 3, 1) == orders[1]
    assert epoch_order([0] * 100, "all", 4, 0) != orders[0]


def test_all_photos_come_in_the_order_of_the_derived_seed() -> None:
    generator = torch.Generator().manual_seed(derived_seed(7, "order", 5))
    assert epoch_order([0, 1] * 20, "all", 7, 5) == torch.randperm(40, generator=generator).tolist()


@pytest.mark.parametrize("sampler", ["balanced", "sqrt"])
def test_an_uneven_order_is_a_function_of_seed_and_epoch(sampler: str) -> None:
    first = epoch_order(LABELS, sampler, 0, 1)  # type: ignore[arg-type]
    torch.rand(3)
    assert epoch_order(LABELS, sampler, 0, 1) == first  # type: ignore[arg-type]
    assert epoch_order(LABELS, sampler, 0, 2) != first  # type: ignore[arg-type]
    assert epoch_order(LABELS, sampler, 1, 1) != first  # type: ignore[arg-type]
    drawn = [LABELS[index] for index in first]
    assert sum(left == right for left, right in itertools.pairwise(drawn)) < 60  # classes mix


@given(label_lists, st.integers(0, 20))
def test_balanced_classes_differ_by_one_draw_at_most(labels: list[int], epoch: int) -> None:
    order = epoch_order(labels, "balanced", 0, epoch)
    seen = shares(order, labels)
    assert len(order) == len(labels)
    assert set(seen) == set(labels)
    assert max(seen.values()) - min(seen.values()) <= 1


@given(label_lists, st.integers(0, 20))
def test_sqrt_shares_are_the_roots_of_the_counts(labels: list[int], epoch: int) -> None:
    counts = Counter(labels)
    whole = sum(count**0.5 for count in counts.values())
    seen = shares(epoch_order(labels, "sqrt", 0, epoch), labels)
    assert seen.total() == len(labels)
    assert all(abs(seen[label] - len(labels) * count**0.5 / whole) < 1 for label, count in counts.items())


@pytest.mark.parametrize(("sampler", "draws"), [("balanced", 18), ("sqrt", 39)])
def test_no_photo_comes_again_before_its_class_is_through(sampler: str, draws: int) -> None:
    large = [index for index, label in enumerate(LABELS) if label == 0]
    total = Counter(dict.fromkeys(range(len(LABELS)), 0))
    for epoch in range(1, 30):
        order = epoch_order(LABELS, sampler, 0, epoch)  # type: ignore[arg-type]
        assert abs(shares(order, LABELS)[0] - draws) <= 1
        now = Counter(order)
        total.update(now)
        for times in (now, total):
            for label in set(LABELS):
                of_class = [times[index] for index, other in enumerate(LABELS) if other == label]
                assert max(of_class) - min(of_class) <= 1
        if epoch == 2 and sampler == "balanced":
            assert max(total[index] for index in large) == 1  # other photos than in the first epoch
    assert min(total.values()) > 0
