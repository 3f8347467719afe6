import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from activitynet.blocks import DepthwiseConv2d, conv2d


def _gradients(conv, x, seed=0):
    out = conv(x)
    torch.manual_seed(seed)
    return torch.autograd.grad(out, (x, conv.weight), torch.randn_like(out))


def _plain(conv):
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        groups=conv.groups,
        bias=False,
    ).to(conv.weight.dtype)
    plain.load_state_dict(conv.state_dict())
    return plain


@settings(max_examples=60, deadline=None)
@given(
    side=st.sampled_from([1, 3, 5, 7, 9]),
    stride=st.integers(1, 3),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    memory_format=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_outputs_and_gradients_are_those_of_a_plain_convolution(side, stride, height, width, memory_format):
    torch.manual_seed(0)
    conv = DepthwiseConv2d(6, side, stride=stride).double().to(memory_format=memory_format)
    x = torch.randn(2, 6, height, width, dtype=torch.double).to(memory_format=memory_format).requires_grad_()
    plain = _plain(conv)
    assert torch.equal(conv(x), plain(x))
    for ours, theirs in zip(_gradients(conv, x), _gradients(plain, x), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize(("side", "stride"), [(3, 2), (5, 1), (5, 2)])
def test_gradients_of_both_orders(side, stride):
    torch.manual_seed(0)
    conv = DepthwiseConv2d(2, side, stride=stride).double()
    x = torch.randn(1, 2, 5, 4, dtype=torch.double, requires_grad=True)
    assert gradcheck(conv, x)
    assert gradgradcheck(conv, x)


@pytest.mark.parametrize(("side", "stride"), [(3, 2), (5, 1), (5, 2)])
def test_autocast_gradients_are_as_near_to_the_exact_ones_as_a_plain_convolutions(side, stride):
    torch.manual_seed(0)
    conv = DepthwiseConv2d(16, side, stride=stride)
    x = torch.randn(4, 16, 12, 12, requires_grad=True)
    exact = _gradients(conv, x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, plain = _gradients(conv, x), _gradients(_plain(conv), x)
    for ours, theirs, true in zip(rounded, plain, exact, strict=True):
        assert ours.dtype == torch.float32
        assert 0 < (ours - true).norm() < 1.1 * (theirs - true).norm() + 1e-3 * true.norm()


def test_only_what_is_wanted_gets_a_gradient():
    conv, x = DepthwiseConv2d(4, 5), torch.randn(1, 4, 6, 6)
    conv(x).sum().backward()
    assert conv.weight.grad is not None
    assert x.grad is None
    conv.weight.requires_grad_(False)
    assert not conv(x).requires_grad


def test_the_same_input_gives_the_same_bits():
    torch.manual_seed(0)
    conv, x = DepthwiseConv2d(32, 5, stride=2), torch.randn(4, 32, 14, 14, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        first, second = _gradients(conv, x), _gradients(copy.deepcopy(conv), x)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_conv2d_makes_one_where_every_channel_is_a_group():
    assert isinstance(conv2d(8, 8, 3, groups=8), DepthwiseConv2d)
    assert type(conv2d(8, 8, 3, groups=4)) is type(conv2d(8, 16, 3, groups=8)) is nn.Conv2d
