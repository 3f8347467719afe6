from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from activitynet import create_model
from activitynet.blocks import SEBlock
from activitynet.export.onnx import ScaledGroupNorm, fold_batch_norms, scale_group_norms


@pytest.mark.parametrize("name", ["test_resnet_se", "test_efficientnet_se", "timm/test_efficientnet"])
@pytest.mark.parametrize("fold", [scale_group_norms, fold_batch_norms])
def test_a_folded_network_computes_the_same_and_the_given_one_stays(
    name: str, fold: Callable[[nn.Module], nn.Module], randomised: Callable[..., Any]
) -> None:
    model = randomised(create_model(name, num_classes=5)).eval()
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(2, 3, 64, 64)
    expected = model(x).detach()
    found = fold(model)(x).detach()
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_norms_are_folded_away() -> None:
    resnet = scale_group_norms(create_model("test_resnet_se"))
    assert not any(isinstance(part, nn.GroupNorm) for part in resnet.modules())
    efficientnet = fold_batch_norms(create_model("test_efficientnet_se"))
    assert not any(isinstance(part, nn.BatchNorm2d) for part in efficientnet.modules())


@pytest.mark.parametrize("gate", [None, SEBlock(12, 4, act="mish", bias=True)])
def test_a_map_far_from_zero_is_normalised_and_a_constant_one_stays_finite(gate: SEBlock | None) -> None:
    norm = nn.GroupNorm(3, 12)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    scaled = ScaledGroupNorm(norm, gate)
    x = 5 + torch.randn(2, 12, 9, 7)
    expected = norm(x) if gate is None else gate(norm(x))
    assert torch.allclose(scaled(x), expected, atol=1e-4)
    assert scaled(torch.full((1, 12, 4, 4), 1000.3)).isfinite().all()
