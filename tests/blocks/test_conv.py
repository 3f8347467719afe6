import pytest
import torch

from activitynet.blocks import ConvNormAct, conv2d


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [16, 17])
def test_the_map_shrinks_by_the_stride_alone(kernel_size, stride, size):
    out = conv2d(3, 8, kernel_size, stride=stride)(torch.zeros(1, 3, size, size))
    assert out.shape == (1, 8, -(-size // stride), -(-size // stride))


@pytest.mark.parametrize("groups", [1, 256])
def test_weights_are_drawn_from_the_fan_out_of_one_group(groups):
    torch.manual_seed(0)
    conv = conv2d(256, 256, 3, groups=groups)
    assert conv.bias is None
    assert conv.weight.std().item() == pytest.approx((2 * groups / (9 * 256)) ** 0.5, rel=0.1)


def test_without_an_activation_the_output_is_the_norms():
    torch.manual_seed(0)
    layer = ConvNormAct(3, 8, 3, act=None, norm="batch").train()
    x = torch.randn(4, 3, 9, 9)
    assert torch.equal(layer(x), layer.norm(layer.conv(x)))
    assert layer(x).mean((0, 2, 3)).abs().max() < 1e-6
