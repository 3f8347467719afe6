import pytest
import timm
import torch
from torch import nn

from activitynet.errors import ModelError
from activitynet.zoo import create_model, list_models, model_info, register_model


class ToyNet(nn.Module):
    def __init__(self, num_classes: int, in_chans: int, width: int, act: str = "relu") -> None:
        super().__init__()
        self.num_classes = num_classes
        self.body = nn.Conv2d(in_chans, width, 3)
        self.fc = nn.Linear(width, num_classes)
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x).mean((2, 3)))


def test_a_factory_of_ones_own_works_here_and_in_timm():
    config = {"input_size": (3, 48, 48), "mean": (0.1, 0.2, 0.3)}

    @register_model(source="a toy", config=config)
    def toy_net_here(num_classes: int = 20, in_chans: int = 3, width: int = 8) -> ToyNet:
        return ToyNet(num_classes, in_chans, width)

    model = create_model("toy_net_here", num_classes=3, model_args={"width": 6})
    assert model(torch.zeros(1, 3, 9, 9)).shape == (1, 3)
    assert (model.architecture, model.model_args) == ("toy_net_here", {"width": 6})
    assert model.pretrained_cfg["mean"] == (0.1, 0.2, 0.3)
    assert model_info("toy_net_here").source == "a toy"
    assert model_info("toy_net_here").input_size == (3, 48, 48)
    assert timm.create_model("toy_net_here", num_classes=4, width=5).body.out_channels == 5
    assert "toy_net_here" in list_models("toy*")
    assert list_models("timm/toy*") == []
    assert toy_net_here(width=3).body.out_channels == 3
    with pytest.raises(ModelError, match=r"no argument 'widht'\. Did you mean 'width'"):
        create_model("toy_net_here", model_args={"widht": 6})


def test_without_arguments_and_with_options_of():
    @register_model
    def toy_net_bare(num_classes: int = 20, in_chans: int = 3) -> ToyNet:
        return ToyNet(num_classes, in_chans, 8)

    @register_model(options_of=ToyNet)
    def toy_net_options(**options: object) -> ToyNet:
        return ToyNet(**options)

    assert create_model("toy_net_bare").num_classes == 20
    assert create_model("toy_net_options", model_args={"width": 4}).model_args == {"width": 4, "act": "relu"}


def test_a_default_of_the_factorys_own_is_recorded():
    @register_model
    def toy_net_grey(num_classes: int = 20, in_chans: int = 1, drop_rate: float = 0.5) -> ToyNet:
        return ToyNet(num_classes, in_chans, 8)

    for in_chans in (1, 3):
        model = create_model("toy_net_grey", in_chans=in_chans)
        again = create_model("toy_net_grey", model_args=model.model_args)
        assert again.body.in_channels == model.body.in_channels == in_chans


def test_a_name_can_be_taken_once():
    def resnet18_se(num_classes: int = 20, in_chans: int = 3) -> ToyNet:
        return ToyNet(num_classes, in_chans, 8)

    def resnet18(num_classes: int = 20, in_chans: int = 3) -> ToyNet:
        return ToyNet(num_classes, in_chans, 8)

    for factory in (resnet18_se, resnet18):
        with pytest.raises(ModelError, match="already registered"):
            register_model(factory)
    assert type(create_model("timm/resnet18")).__module__ == "timm.models.resnet"


def test_a_factory_that_hides_its_arguments_is_refused():
    def toy_net_hidden(pretrained: bool = False, **kwargs: object) -> ToyNet:
        return ToyNet(**kwargs)

    def toy_net_short(num_classes: int = 20) -> ToyNet:
        return ToyNet(num_classes, 3, 8)

    def toy_net_config(num_classes: int = 20, in_chans: int = 3) -> ToyNet:
        return ToyNet(num_classes, in_chans, 8)

    with pytest.raises(ModelError, match=r"takes \*\*kwargs.*options_of"):
        register_model(toy_net_hidden)
    with pytest.raises(ModelError, match="no argument in_chans"):
        register_model(toy_net_short)
    with pytest.raises(ModelError, match="meen"):
        register_model(config={"meen": 1})(toy_net_config)
    assert (
        list_models("toy_net_hidden") == list_models("toy_net_short") == list_models("toy_net_config") == []
    )


def test_names_are_listed_by_pattern_in_natural_order():
    assert list_models("*net1?_se") == ["resnet10_se", "resnet18_se"]
    assert list_models("efficientnet_b*") == [f"efficientnet_b{i}_se" for i in range(4)]
    assert list_models("nothing*") == []
    assert not any(name.startswith("timm/") for name in list_models())
    depths = [
        int(name.removeprefix("timm/resnet")) for name in list_models("timm/resnet*") if name[11:].isdigit()
    ]
    assert depths == sorted(depths)
    assert {18, 50, 101, 152} <= set(depths)


def test_timms_names_are_listed_when_asked_for_without_ours():
    both = list_models("resnet18*", timm=True)
    assert both[0] == "resnet18_se"
    assert "timm/resnet18" in both
    assert "timm/resnet18_se" not in both
    assert set(list_models("timm/*")) & {f"timm/{name}" for name in list_models()} == set()


def test_timm_lists_ours():
    assert {"resnet18_se", "efficientnet_b0_se"} <= set(timm.list_models("*_se"))


def test_pretrained_weights_are_not_out_yet():
    with pytest.raises(ModelError, match="no pretrained weights of 'test_resnet_se' are released yet"):
        timm.create_model("test_resnet_se", pretrained=True)


def test_timm_refuses_an_unknown_argument_too():
    with pytest.raises(ModelError, match="no argument 'nothing'"):
        timm.create_model("test_resnet_se", nothing=1)
