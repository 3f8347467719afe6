import pytest
import torch
from torch import nn

from activitynet.blocks import ACTIVATIONS, Mish, make_activation
from activitynet.errors import ModelError


def test_mish_is_torchs_own():
    assert Mish is nn.Mish
    assert isinstance(make_activation("mish"), nn.Mish)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_computes_what_its_module_does(name):
    x = torch.linspace(-8, 8, 101)
    assert torch.equal(make_activation(name)(x.clone()), ACTIVATIONS[name]()(x))


@pytest.mark.parametrize("name", ["mush", "", None, 3, ["relu"]])
def test_an_unknown_activation_names_those_there_are(name):
    with pytest.raises(ModelError, match=r"unknown activation .*relu6"):
        make_activation(name)


def test_a_near_miss_gets_a_suggestion():
    with pytest.raises(ModelError, match="Did you mean 'mish'"):
        make_activation("mush")
