import dataclasses

import pytest
import torchvision

from activitynet.errors import ModelError
from activitynet.zoo import create_model, model_info


def test_it_counts_what_the_model_has():
    info = model_info("test_resnet_se", num_classes=9)
    model = create_model("test_resnet_se", num_classes=9)
    assert info.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert info.input_size == (3, 64, 64)
    assert "1512.03385" in info.source


def test_multiply_adds_are_those_of_torchvisions_tables():
    # torchvision counts multiply-adds, at 1000 classes; the gates add next to nothing.
    published = torchvision.models.ResNet18_Weights.DEFAULT.meta["_ops"] * 1e9
    assert model_info("resnet18_se", num_classes=1000).macs == pytest.approx(published, rel=1e-3)


def test_a_timm_model_has_info_too():
    info = model_info("timm/mobilenetv3_small_050", num_classes=20)
    assert info.name == "timm/mobilenetv3_small_050"
    model = create_model("timm/mobilenetv3_small_050", num_classes=20)
    assert info.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert info.macs > info.parameters
    assert info.source == "timm"


def test_an_info_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        model_info("test_resnet_se").macs = 0


def test_an_unknown_model_has_none():
    with pytest.raises(ModelError, match="unknown model 'resnet18_sse'"):
        model_info("resnet18_sse")
