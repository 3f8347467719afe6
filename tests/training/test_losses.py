from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from activitynet.training.losses import class_weights, make_loss
from activitynet.training.recipe import Loss


@given(
    labels=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    balance=st.floats(0, 1),
)
def test_weights_average_to_one_over_the_photos(labels: list[int], balance: float) -> None:
    weights = class_weights(labels, 7, balance)
    assert weights[labels].mean().item() == pytest.approx(1, abs=1e-4)
    assert weights[6] == 1


def test_full_balance_gives_every_class_the_same_pull() -> None:
    labels = [0] * 90 + [1] * 9 + [2]
    weights = class_weights(labels, 3, 1.0)
    pull = [weights[index].item() * labels.count(index) for index in range(3)]
    assert pull == pytest.approx([pull[0]] * 3)


def test_no_balance_is_plain_cross_entropy() -> None:
    logits, targets = torch.randn(8, 4), torch.arange(8) % 4
    ours = make_loss(Loss(smoothing=0.1, balance=0.0), [0, 0, 0, 1, 2, 3], 4)(logits, targets).mean()
    theirs = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
    torch.testing.assert_close(ours, theirs)
