"""The networks against the layouts that they come from."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from activitynet.zoo import create_model, model_info


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_resnet18_se_has_the_published_number_of_parameters():
    assert _count(create_model("resnet18_se", num_classes=20)) == 11_273_812


def test_efficientnet_b0_se_has_the_published_number_of_parameters():
    assert _count(create_model("efficientnet_b0_se", num_classes=20)) == 4_074_512


def test_the_gates_and_the_norm_are_what_the_published_numbers_add_to_the_layouts():
    resnet = create_model("resnet18_se", model_args={"se_reduction": None})
    assert _count(resnet) == _count(torchvision.models.resnet18(num_classes=20)) == 11_186_772
    efficientnet = create_model("efficientnet_b0_se", model_args={"se_reduction": None})
    efficientnet.head_norm = nn.Identity()
    assert _count(efficientnet) == _count(torchvision.models.efficientnet_b0(num_classes=20)) == 4_033_168


@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet34", marks=pytest.mark.slow)])
def test_resnet_without_its_changes_is_torchvisions(name, randomised):
    theirs = randomised(torchvision.models.get_model(name, num_classes=20)).eval()
    options = {"norm": "batch", "act": "relu", "se_reduction": None}
    ours = create_model(f"{name}_se", model_args=options).eval()
    tensors = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(tensors, strict=True)
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "variant", ["b0", *(pytest.param(v, marks=pytest.mark.slow) for v in ("b1", "b2", "b3"))]
)
def test_efficientnet_without_its_changes_is_timms(variant, randomised):
    theirs = randomised(timm.create_model(f"efficientnet_{variant}", num_classes=20)).eval()
    ours = create_model(f"efficientnet_{variant}_se", model_args={"se_reduction": None}).eval()
    ours.head_norm = nn.Identity()
    tensors = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(tensors, strict=True)
    for norm in ours.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.eps == 1e-3
            norm.eps = 1e-5
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("version", ["1_0", "1_1"])
def test_squeezenet_has_torchvisions_trunk_and_number_of_parameters(version, randomised):
    theirs = randomised(torchvision.models.SqueezeNet(version, num_classes=20)).eval()
    ours = create_model(f"squeezenet{version}").eval()
    assert _count(ours) == _count(theirs)
    trunk = dict(zip(ours.state_dict(), theirs.features.state_dict().values(), strict=False))
    assert set(ours.load_state_dict(trunk, strict=False).missing_keys) == {
        "classifier.weight",
        "classifier.bias",
    }
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert torch.allclose(ours.forward_features(x), theirs.features(x), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("efficientnet_b0_se", 224),
        ("efficientnet_b1_se", 240),
        ("efficientnet_b2_se", 260),
        ("efficientnet_b3_se", 300),
    ],
)
def test_each_efficientnet_is_made_for_the_size_of_the_paper(name, size):
    assert model_info(name).input_size == (3, size, size)
