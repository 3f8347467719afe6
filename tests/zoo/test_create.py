import json

import pytest
import timm
import torch

from activitynet.errors import ModelError
from activitynet.zoo import create_model

TINY = "test_resnet_se"


def test_defaults():
    model = create_model(TINY)
    assert (model.num_classes, model.head_drop.p, model.training) == (20, 0.0, True)
    assert model.architecture == TINY
    assert model.model_args == {"act": "mish"}


def test_arguments_reach_the_network_and_its_record():
    model = create_model(
        TINY, num_classes=3, in_chans=4, drop_rate=0.1, drop_path_rate=0.2, model_args={"se_reduction": None}
    )
    assert json.loads(json.dumps(model.model_args)) == {
        "in_chans": 4,
        "drop_rate": 0.1,
        "drop_path_rate": 0.2,
        "act": "mish",
        "se_reduction": None,
    }
    again = create_model(TINY, num_classes=3, model_args=model.model_args)
    assert str(again) == str(model)


def test_stochastic_depth_grows_from_0_to_its_rate():
    for name in ("resnet18_se", "efficientnet_b0_se"):
        model = create_model(name, drop_path_rate=0.3)
        rates = [m.rate for m in model.modules() if type(m).__name__ == "DropPath"]
        assert rates == pytest.approx(torch.linspace(0, 0.3, len(rates)).tolist())


def test_the_number_of_classes_may_be_0():
    assert create_model(TINY, num_classes=0)(torch.zeros(1, 3, 64, 64)).shape == (1, 56)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet18_s", "Did you mean 'resnet18_se'"),
        ("resnet18", "Did you mean 'timm/resnet18'"),
        ("timm/resnet18_se", "leave out 'timm/'"),
        ("timm/mobilenetv3_smal_050", "Did you mean 'timm/mobilenetv3_small_050'"),
        ("timm/../resnet18", "unknown model"),
        ("timm/hf-hub:timm/resnet18.a1_in1k", "unknown model"),
        ("", "unknown model ''"),
    ],
)
def test_an_unknown_name_gets_a_hint(name, hint):
    with pytest.raises(ModelError, match=hint):
        create_model(name)


@pytest.mark.parametrize("name", [TINY, "timm/mobilenetv3_small_050"])
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"num_classes": -1}, "num_classes is -1"),
        ({"num_classes": 2.0}, r"num_classes is 2\.0"),
        ({"in_chans": 0}, "in_chans is 0"),
        ({"drop_rate": 1.5}, r"drop_rate is 1\.5"),
        ({"drop_path_rate": -0.1}, r"drop_path_rate is -0\.1"),
        ({"model_args": {"drop_rate": "a"}}, "drop_rate is 'a'"),
        ({"model_args": {"num_classes": 3}}, "num_classes is in model_args"),
        (
            {"drop_rate": 0.1, "model_args": {"drop_rate": 0.2}},
            r"drop_rate is 0\.1, but model_args says 0\.2",
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused(name, arguments, complaint):
    with pytest.raises(ModelError, match=complaint):
        create_model(name, **arguments)


@pytest.mark.parametrize(
    ("name", "model_args", "complaint"),
    [
        (
            TINY,
            {"se_reductio": 4},
            r"'se_reductio'\. Did you mean 'se_reduction'\? It has: .*block_drop_rate",
        ),
        (TINY, {"nothing": None}, "no argument 'nothing'"),
        (TINY, {"features_only": True}, "no argument 'features_only'"),
        (TINY, {"act": "swoosh"}, "unknown activation"),
        (TINY, {"norm": "layer"}, "unknown norm"),
        (TINY, {"se_reduction": 0}, "reduction of an SEBlock"),
        (TINY, {"block_drop_rate": 2}, "drop_rate is 2"),
        ("squeezenet1_1", {"drop_path_rate": 0.1}, "no argument 'drop_path_rate'"),
        (
            "timm/resnet18",
            {"drop_path": 0.1},
            r"'drop_path'\. Did you mean 'drop_path_rate'\? It has: .*cardinality",
        ),
        ("timm/resnet18", {"output_stride": 7}, "cannot be made with output_stride=7"),
        ("timm/resnet18.nope", {}, "cannot be made with its defaults: Invalid pretrained tag"),
    ],
)
def test_a_bad_argument_is_named(name, model_args, complaint):
    with pytest.raises(ModelError, match=complaint):
        create_model(name, model_args=model_args)


def test_a_timm_model_is_timms():
    torch.manual_seed(0)
    ours = create_model("timm/mobilenetv3_small_050", num_classes=7, drop_rate=0.2).eval()
    torch.manual_seed(0)
    theirs = timm.create_model("mobilenetv3_small_050", num_classes=7, drop_rate=0.2).eval()
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours(x), theirs(x))
    assert (ours.architecture, ours.model_args) == ("timm/mobilenetv3_small_050", {"drop_rate": 0.2})
    again = create_model(ours.architecture, num_classes=7, model_args=ours.model_args)
    assert str(again.eval()) == str(ours)


def test_a_tag_of_timms_chooses_the_configuration():
    tagged = create_model("timm/mobilenetv3_small_100.lamb_in1k")
    assert tagged.pretrained_cfg["tag"] == "lamb_in1k"
    assert tagged.architecture == "timm/mobilenetv3_small_100.lamb_in1k"


def test_none_is_an_argument_like_any_other():
    # timm.create_model would drop it, and build the gates.
    model = create_model(TINY, model_args={"se_reduction": None})
    assert not any(type(module).__name__ == "SEBlock" for module in model.modules())
