import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from activitynet.blocks import group_count, make_norm
from activitynet.errors import ModelError


@given(st.integers(1, 4096))
def test_groups_divide_the_channels_and_hold_two_or_more(channels):
    groups = group_count(channels)
    assert channels % groups == 0
    assert 1 <= groups <= 32
    assert channels // groups >= 2 or channels == 1
    assert groups == 32 or channels % 64 != 0


def test_a_group_norm_still_speaks_on_a_map_of_one_pixel():
    torch.manual_seed(0)
    out = make_norm("group", 32)(torch.randn(1, 32, 1, 1))
    assert out.std() > 0.5


def test_kinds_and_epsilon():
    batch, group = make_norm("batch", 64, eps=1e-3), make_norm("group", 64, eps=1e-4)
    assert isinstance(batch, nn.BatchNorm2d)
    assert batch.eps == 1e-3
    assert isinstance(group, nn.GroupNorm)
    assert (group.num_groups, group.eps) == (32, 1e-4)


def test_an_unknown_norm_is_refused():
    with pytest.raises(ModelError, match=r"unknown norm 'groups'\. Did you mean 'group'"):
        make_norm("groups", 8)
