import pytest
import torch
from torch import nn

from activitynet.blocks import SEBlock
from activitynet.errors import ModelError


def test_it_is_the_published_formula():
    torch.manual_seed(0)
    block = SEBlock(32, 4, bias=True).double()
    x = torch.randn(3, 32, 5, 7, dtype=torch.double)
    reduce, expand = block.reduce.weight.flatten(1), block.expand.weight.flatten(1)
    hidden = (x.mean((2, 3)) @ reduce.T + block.reduce.bias).relu()
    gate = 1 / (1 + (-(hidden @ expand.T + block.expand.bias)).exp())
    assert torch.allclose(block(x), x * gate[:, :, None, None])


@pytest.mark.parametrize("channels", [16, 64, 512])
def test_by_default_it_has_no_biases_and_2_c_c_over_16_parameters(channels):
    block = SEBlock(channels)
    assert all(parameter.dim() > 1 for parameter in block.parameters())
    assert sum(parameter.numel() for parameter in block.parameters()) == 2 * channels * channels // 16


def test_one_channel_at_least_is_left_in_between():
    assert SEBlock(8, 16).reduce.out_channels == 1


def test_gates_lie_between_0_and_1_and_do_not_depend_on_place():
    torch.manual_seed(0)
    block = SEBlock(16, 2, act="mish")
    nn.init.normal_(block.expand.weight, std=3)
    x = torch.rand(2, 16, 6, 6) + 0.1
    gates = block(x) / x
    assert gates.min() > 0
    assert gates.max() < 1
    assert (gates - gates[:, :, :1, :1]).abs().max() < 1e-5


@pytest.mark.parametrize("reduction", [0, -1, 2.5, "16"])
def test_a_bad_reduction_is_refused(reduction):
    with pytest.raises(ModelError, match="reduction of an SEBlock"):
        SEBlock(16, reduction)
