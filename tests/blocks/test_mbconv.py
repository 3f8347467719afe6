import pytest
import torch
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual, SqueezeExcite
from torch import nn

from activitynet.blocks import MBConv
from activitynet.errors import ModelError


@pytest.mark.parametrize(("channels", "stride"), [((16, 16), 1), ((16, 24), 1), ((16, 16), 2)])
@pytest.mark.parametrize("expansion", [1, 6])
def test_shape_and_identity_mapping(channels, stride, expansion, randomised):
    block = randomised(MBConv(*channels, 5, stride, expansion=expansion)).eval()
    x = torch.randn(2, channels[0], 9, 9)
    side = -(-9 // stride)
    assert block(x).shape == (2, channels[1], side, side)
    nn.init.zeros_(block.project.norm.weight)
    nn.init.zeros_(block.project.norm.bias)
    assert torch.equal(block(x), x if block.identity else torch.zeros(2, channels[1], side, side))
    assert block.identity == (stride == 1 and channels[0] == channels[1])


@pytest.mark.parametrize("expansion", [1, 6])
@pytest.mark.parametrize("stride", [1, 2])
def test_without_the_outer_gate_it_is_timms_block(expansion, stride, randomised):
    common = {"dw_kernel_size": 3, "stride": stride, "act_layer": nn.SiLU}
    if expansion == 1:
        theirs = DepthwiseSeparableConv(
            16,
            16,
            se_layer=lambda channels, **_: SqueezeExcite(channels, rd_channels=4, act_layer=nn.SiLU),
            **common,
        )
    else:
        theirs = InvertedResidual(
            16,
            16,
            exp_ratio=expansion,
            se_layer=lambda channels, **_: SqueezeExcite(channels, rd_channels=4, act_layer=nn.SiLU),
            **common,
        )
    ours = MBConv(16, 16, 3, stride, expansion=expansion, eps=1e-5, se_reduction=None)
    theirs = randomised(theirs).eval()
    tensors = [tensor.clone() for tensor in theirs.state_dict().values()]
    ours.load_state_dict(dict(zip(ours.state_dict(), tensors, strict=True)))
    x = torch.randn(2, 16, 9, 9)
    assert torch.allclose(ours.eval()(x), theirs(x), atol=1e-5)


def test_the_outer_gate_scales_the_projection(randomised):
    block = randomised(MBConv(16, 24, se_reduction=4)).eval()
    x = torch.randn(2, 16, 9, 9)
    gated = block(x)
    nn.init.zeros_(block.outer_se.expand.weight)
    half = block(x)
    block.outer_se = nn.Identity()
    assert torch.allclose(half * 2, block(x))
    assert not torch.allclose(gated, half)


def test_inner_gate_has_biases_and_a_quarter_of_the_input_channels():
    block = MBConv(24, 40)
    assert block.inner_se.reduce.weight.shape == (6, 144, 1, 1)
    assert block.inner_se.reduce.bias is not None
    assert block.inner_se.expand.bias is not None
    assert block.outer_se.reduce.weight.shape == (2, 40, 1, 1)
    assert block.outer_se.reduce.bias is None


def test_a_dropped_sample_is_its_input(randomised):
    block = randomised(MBConv(16, 16, drop_path_rate=0.5)).train()
    x = torch.randn(32, 16, 8, 8)
    dropped = (block(x) == x).flatten(1).all(1)
    assert 0 < dropped.sum() < 32


@pytest.mark.parametrize(
    "options", [{"act": "swoosh"}, {"norm": "layer"}, {"se_reduction": 0}, {"drop_path_rate": 1.0}]
)
def test_bad_mbconv_options_are_refused(options):
    with pytest.raises(ModelError):
        MBConv(16, 16, **options)
