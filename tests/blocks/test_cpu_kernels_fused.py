"""Fused blocks against the same blocks layer by layer.

Most of it runs the fused passes uncompiled, for the compiler takes long; one test has them compiled.
"""

import copy

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from activitynet.blocks import ACTIVATIONS, ConvNormAct, MBConv, ResidualBlock, set_fused
from activitynet.blocks.cpu_kernels import _compiled

BLOCKS = {
    "ConvNormAct": lambda act: ConvNormAct(4, 8, 3, act=act, norm="group"),
    "no-activation": lambda act: ConvNormAct(4, 8, 3, act=None, norm="group"),
    "ResidualBlock": lambda act: ResidualBlock(4, 4, act=act, se_reduction=2, drop_path_rate=0.4),
    "with-a-shortcut": lambda act: ResidualBlock(4, 8, 2, act=act, se_reduction=2, drop_rate=0.3),
    "without-a-gate": lambda act: ResidualBlock(4, 8, 2, act=act, se_reduction=None),
    "MBConv": lambda act: MBConv(4, 4, act=act, norm="group", drop_path_rate=0.4),
}


@pytest.fixture
def uncompiled():
    _compiled.cache_clear()
    with torch.compiler.set_stance("force_eager"):
        yield
    _compiled.cache_clear()


def _pair(make, randomised, act="mish"):
    plain = randomised(make(act)).train()
    fused = copy.deepcopy(plain)
    assert set_fused(fused, True)
    return plain, fused


def _results(block, x, seed=0):
    torch.manual_seed(seed)
    out = block(x)
    leaves = [x, *block.parameters()]
    return [out, *torch.autograd.grad(out, leaves, torch.randn(out.shape, dtype=out.dtype))]


def _assert_close(ours, theirs, tolerance):
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() <= tolerance * b.norm() + 1e-9


@pytest.mark.parametrize("make", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_outputs_and_gradients_are_those_of_the_layers(make, act, randomised, uncompiled):
    # Channels-last, for dropout's draws follow the order in memory.
    last = torch.channels_last
    plain, fused = (block.double().to(memory_format=last) for block in _pair(make, randomised, act))
    x = torch.randn(5, 4, 7, 6, dtype=torch.double).to(memory_format=last).requires_grad_()
    _assert_close(_results(fused, x), _results(plain, x), 1e-9)


@pytest.mark.parametrize("make", BLOCKS.values(), ids=BLOCKS)
def test_gradients(make, randomised, uncompiled):
    block = _pair(make, randomised)[1].double()
    x = torch.randn(2, 4, 4, 3, dtype=torch.double, requires_grad=True)

    def seeded(x):
        torch.manual_seed(0)
        return block(x)

    assert gradcheck(seeded, x)


def test_mish_holds_far_from_zero(uncompiled, randomised):
    plain, fused = _pair(BLOCKS["ConvNormAct"], randomised)
    for block in (plain, fused):
        nn.init.constant_(block.norm.weight, 60.0)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    results = _results(fused, x)
    assert all(torch.isfinite(result).all() for result in results)
    _assert_close(results, _results(plain, x), 1e-5)


def test_a_channel_that_never_varies_stays_finite(uncompiled, randomised):
    _, fused = _pair(BLOCKS["ConvNormAct"], randomised)
    nn.init.zeros_(fused.conv.weight)
    results = _results(fused, torch.full((2, 4, 8, 8), 1e3, requires_grad=True))
    assert all(torch.isfinite(result).all() for result in results)


def test_evaluation_is_untouched(uncompiled, randomised):
    plain, fused = _pair(BLOCKS["ResidualBlock"], randomised)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(fused.eval()(x), plain.eval()(x))
    assert fused.state_dict().keys() == plain.state_dict().keys()
    assert str(fused) == str(plain)


def test_it_can_be_turned_off_again_and_is_off_at_first(randomised):
    plain, fused = _pair(BLOCKS["ResidualBlock"], randomised)
    assert not plain.first.fused
    set_fused(fused, False)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    assert all(torch.equal(a, b) for a, b in zip(_results(fused, x), _results(plain, x), strict=True))


def test_a_network_of_batch_norms_has_nothing_to_fuse():
    block = ResidualBlock(4, 4, norm="batch")
    assert not set_fused(block, True)
    assert not block.second.fused


@pytest.mark.slow
def test_compiled_it_is_nearer_to_the_exact_result_than_the_layers_are(randomised):
    """Relative errors in bfloat16 stay below 1 %, with maps of several sizes, and bits repeat."""
    plain, fused = _pair(lambda act: ResidualBlock(4, 32, 2, act=act), randomised)
    for module in (plain, fused):
        module.to(memory_format=torch.channels_last)
    exact = copy.deepcopy(plain).double()
    for step, shape in enumerate([(2, 4, 12, 8), (3, 4, 33, 17), (1, 4, 2, 2), (32, 4, 64, 64)]):
        torch.manual_seed(1)
        x = torch.randn(shape).to(memory_format=torch.channels_last).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            with torch.compiler.set_stance("fail_on_recompile" if step else "default"):
                ours, again = _results(fused, x), _results(fused, x)
            layers = _results(plain, x)
        true = _results(exact, x.detach().double().requires_grad_())
        assert all(torch.equal(a, b) for a, b in zip(ours, again, strict=True))
        assert ours[0].dtype == torch.bfloat16
        assert ours[0].is_contiguous(memory_format=torch.channels_last)
        errors, theirs = (
            [((a - b).norm() / b.norm().clamp(min=1e-9)).item() for a, b in zip(results, true, strict=True)]
            for results in (ours, layers)
        )
        assert errors[0] < 0.01
        assert sum(errors) < 1.1 * sum(theirs)
