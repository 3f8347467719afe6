import pytest
import torch
from torch import nn

from activitynet.blocks import ResidualBlock
from activitynet.errors import ModelError


@pytest.mark.parametrize(("channels", "stride"), [((16, 16), 1), ((16, 32), 1), ((16, 16), 2), ((16, 32), 2)])
def test_it_starts_as_its_activated_shortcut(channels, stride):
    torch.manual_seed(0)
    block = ResidualBlock(*channels, stride)
    x = torch.randn(2, channels[0], 9, 9)
    out = block(x)
    side = -(-9 // stride)
    assert out.shape == (2, channels[1], side, side)
    assert torch.equal(out, torch.nn.functional.mish(block.shortcut(x)))


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("se_reduction", [None, 4])
def test_it_is_gate_then_add_then_activation(norm, se_reduction, randomised):
    block = randomised(ResidualBlock(16, 16, act="relu", norm=norm, se_reduction=se_reduction)).eval()
    x = torch.randn(2, 16, 8, 8)
    first = block.first.norm(block.first.conv(x)).relu()
    branch = block.second.norm(block.second.conv(first))
    if se_reduction is not None:
        gate = block.se.expand(
            nn.functional.mish(block.se.reduce(branch.mean((2, 3), keepdim=True)))
        ).sigmoid()
        branch = branch * gate
    assert torch.allclose(block(x), (x + branch).relu(), atol=1e-6)


def test_the_input_is_left_as_it_was(randomised):
    x = torch.randn(2, 16, 8, 8)
    before = x.clone()
    randomised(ResidualBlock(16, 16))(x)
    assert torch.equal(x, before)


def test_dropout_and_stochastic_depth_act_while_training_only(randomised):
    for rates in ({"drop_rate": 0.5}, {"drop_path_rate": 0.5}):
        block = randomised(ResidualBlock(16, 16, **rates))
        x = torch.randn(16, 16, 8, 8)
        assert not torch.equal(block.train()(x), block(x))
        assert torch.equal(block.eval()(x), block(x))


def test_a_dropped_sample_is_its_shortcut(randomised):
    block = randomised(ResidualBlock(16, 16, drop_path_rate=0.5)).train()
    x = torch.randn(32, 16, 8, 8)
    out, shortcut = block(x), torch.nn.functional.mish(x)
    dropped = (out == shortcut).flatten(1).all(1)
    assert 0 < dropped.sum() < 32


@pytest.mark.parametrize(
    "options",
    [{"act": "swoosh"}, {"norm": "layer"}, {"se_reduction": 0}, {"drop_rate": 1}, {"drop_path_rate": -1}],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ModelError):
        ResidualBlock(16, 16, **options)
