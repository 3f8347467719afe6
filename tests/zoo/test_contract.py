"""What holds for every registered architecture."""

import warnings

import pytest
import timm
import torch
from timm.models import group_parameters
from torch import nn

from activitynet.errors import ModelError
from activitynet.serialization.tensors import read_tensors, save_tensors
from activitynet.zoo import create_model, list_models

_SIDE = 64
_SLOW = ("resnet34_se", "efficientnet_b1_se", "efficientnet_b2_se", "efficientnet_b3_se")


def _named(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.slow) if name in _SLOW else name


@pytest.fixture(scope="module", params=[_named(name) for name in list_models()])
def name(request):
    return request.param


@pytest.fixture
def model(name, randomised):
    torch.manual_seed(0)
    return randomised(create_model(name, num_classes=7)).eval()


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.randn(3, 3, _SIDE, _SIDE)


def test_forward_at_two_sizes(model):
    for size in ((_SIDE, _SIDE), (96, 80)):
        x = torch.randn(2, 3, *size)
        with torch.no_grad():
            features = model.forward_features(x)
            assert features.shape[:2] == (2, model.num_features)
            assert features.dim() == 4
            assert model(x).shape == (2, 7)
            assert torch.equal(model.forward_head(features), model(x))


def test_every_parameter_gets_a_finite_gradient_that_is_not_all_zero(model, images):
    torch.manual_seed(2)
    model.train()(images).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_a_fresh_model_starts_near_even_odds(name, images):
    torch.manual_seed(0)
    model = create_model(name, num_classes=7).train()
    loss = nn.functional.cross_entropy(model(images), torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == pytest.approx(torch.tensor(7.0).log().item(), abs=0.5)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_the_state_goes_through_a_file_bit_for_bit(name, model, images, tmp_path):
    save_tensors(tmp_path / "model.safetensors", model.state_dict())
    other = create_model(name, num_classes=7).eval()
    other.load_state_dict(read_tensors(tmp_path / "model.safetensors"), strict=True)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key
    with torch.no_grad():
        assert torch.equal(model(images), other(images))


def test_the_classifier_can_be_reset(model, images):
    hidden = model.forward_head(model.forward_features(images), pre_logits=True)
    assert hidden.shape == (3, model.head_hidden_size)
    assert torch.allclose(model.get_classifier()(hidden), model(images))
    model.reset_classifier(4)
    assert model.num_classes == 4
    assert model(images).shape == (3, 4)
    model.reset_classifier(0)
    assert torch.allclose(model(images), hidden)
    model.reset_classifier(0, "")
    assert torch.equal(model(images), model.forward_features(images))
    model.reset_classifier(5, "avg")
    assert model(images).shape == (3, 5)


def test_a_reset_classifier_keeps_dtype_and_mode(model):
    model.double().reset_classifier(4)
    assert model.get_classifier().weight.dtype == torch.double
    assert not model.get_classifier().training


@pytest.mark.parametrize(("num_classes", "pool"), [(-1, None), (4, ""), (4, "max")])
def test_a_classifier_that_cannot_be_is_refused(model, num_classes, pool):
    with pytest.raises(ModelError):
        model.reset_classifier(num_classes, pool)


@torch.no_grad()
def test_channels_last_and_a_batch_of_one_give_the_same(model, images):
    plain = model(images)
    one = torch.cat([model(image[None]) for image in images])
    assert torch.allclose(one, plain, atol=1e-4)
    last = model.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    assert torch.allclose(last, plain, atol=1e-4)


def test_bfloat16_autocast_trains(model, images):
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.train()(images).square().mean()
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    with torch.no_grad():
        plain = model.eval().forward_head(model.forward_features(images), pre_logits=True)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model.forward_head(model.forward_features(images), pre_logits=True)
    assert nn.functional.cosine_similarity(rounded.float(), plain).min() > 0.98


def test_grad_checkpointing_recomputes_and_gives_the_same_gradients(name, randomised, images):
    options = {} if name.startswith("squeezenet") else {"drop_path_rate": 0.3}
    gradients, calls = [], []
    for enable in (False, True):
        torch.manual_seed(0)
        model = randomised(create_model(name, num_classes=7, drop_rate=0.2, **options)).train()
        model.set_grad_checkpointing(enable)
        count = []
        model.stages[-1][-1].register_forward_pre_hook(lambda *_, count=count: count.append(1))
        torch.manual_seed(3)
        model(images).square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
        calls.append(len(count))
    assert calls == [1, 2]
    for plain, checkpointed in zip(*gradients, strict=True):
        assert torch.allclose(plain, checkpointed, rtol=1e-4, atol=1e-5)


def test_torchscript_and_export_agree_with_eager(model, images):
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        plain = model(images)
        assert torch.allclose(torch.jit.script(model)(images), plain, atol=1e-4)
    program = torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    with torch.no_grad():
        assert torch.allclose(program.module()(images), plain, atol=1e-4)
        assert torch.allclose(program.module()(images[:2]), plain[:2], atol=1e-4)


def test_timm_makes_it_too_with_its_features(name, images):
    model = timm.create_model(name, num_classes=7, drop_rate=0.1)
    assert (model.num_classes, model.head_drop.p, model.architecture) == (7, 0.1, name)
    assert model.default_cfg is model.pretrained_cfg
    assert model.pretrained_cfg["architecture"] == name
    assert isinstance(model.get_submodule(model.pretrained_cfg["first_conv"]), nn.Conv2d)
    assert model.get_submodule(model.pretrained_cfg["classifier"]) is model.get_classifier()
    assert timm.create_model(name).num_classes == 20
    extractor = timm.create_model(name, features_only=True)
    maps = extractor(images)
    assert [m.shape[1] for m in maps] == extractor.feature_info.channels()
    for m, reduction in zip(maps, extractor.feature_info.reduction(), strict=True):
        assert abs(m.shape[-1] - _SIDE / reduction) <= 3  # SqueezeNet does not pad
    last = timm.create_model(name, features_only=True, out_indices=[-1])
    assert [m.shape for m in last(images)] == [maps[-1].shape]


def test_the_features_are_those_of_the_forward_pass(name, randomised, images):
    torch.manual_seed(0)
    extractor = randomised(timm.create_model(name, features_only=True)).eval()
    torch.manual_seed(0)
    model = randomised(timm.create_model(name)).eval()
    with torch.no_grad():
        assert torch.allclose(model.tail(extractor(images)[-1]), model.forward_features(images), atol=1e-4)


def test_parameters_are_grouped_from_the_input_on(model):
    for coarse in (False, True):
        groups = group_parameters(model, model.group_matcher(coarse=coarse))
        assert sorted(n for names in groups.values() for n in names) == sorted(
            name for name, _ in model.named_parameters()
        )
        assert all(name.startswith("stem") for name in groups[0])
        head = groups[max(groups)]
        assert {"classifier.weight", "classifier.bias"} <= set(head)
        assert all(name.startswith(("classifier", "head_norm")) for name in head)
    assert model.no_weight_decay() <= {name for name, _ in model.named_parameters()}


def test_the_network_can_be_made_again_from_what_it_says(name, model):
    again = create_model(model.architecture, num_classes=model.num_classes, model_args=model.model_args)
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }
    assert again.model_args == model.model_args
    assert str(again) == str(model.train())


def test_grey_images(name):
    model = create_model(name, in_chans=1).eval()
    assert model.model_args["in_chans"] == 1
    assert model(torch.zeros(1, 1, _SIDE, _SIDE)).shape == (1, 20)
