"""What holds for every block: autocast, channels-last, TorchScript, export."""

import warnings

import pytest
import torch

from activitynet.blocks import ConvNormAct, DropPath, MBConv, ResidualBlock, SEBlock

BLOCKS = {
    "SEBlock": lambda: SEBlock(16, 4),
    "ConvNormAct": lambda: ConvNormAct(16, 16, 3, act="mish", norm="group"),
    "DropPath": lambda: DropPath(0.2),
    "ResidualBlock": lambda: ResidualBlock(16, 24, 2, drop_rate=0.1, drop_path_rate=0.1),
    "ResidualBlock-batch": lambda: ResidualBlock(16, 16, norm="batch", act="relu"),
    "MBConv": lambda: MBConv(16, 16, drop_path_rate=0.1),
    "MBConv-group": lambda: MBConv(16, 24, 5, 2, norm="group", act="relu6"),
}


@pytest.fixture(params=BLOCKS)
def block(request, randomised):
    return randomised(BLOCKS[request.param]())


@pytest.fixture
def x():
    torch.manual_seed(1)
    return torch.randn(4, 16, 10, 10)


def test_channels_last_gives_the_same(block, x):
    block.eval()
    plain = block(x)
    last = block.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(plain, last, atol=1e-5)


def test_autocast_trains(block, x):
    x.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = block.train()(x)
    out.float().square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in [x, *block.parameters()])
    block.eval()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = block(x)
    assert torch.nn.functional.cosine_similarity(rounded.float().flatten(), block(x).flatten(), 0) > 0.999


@pytest.mark.parametrize("training", [False, True])
def test_torchscript_agrees(block, x, training):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        scripted = torch.jit.script(block.train(training))
    torch.manual_seed(3)
    plain = block(x)
    torch.manual_seed(3)
    assert torch.allclose(scripted(x), plain, atol=1e-5)


def test_export_agrees_at_another_batch_size(block, x):
    program = torch.export.export(block.eval(), (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for images in (x, torch.randn(2, 16, 10, 10)):
        assert torch.allclose(program.module()(images), block(images), atol=1e-5)
