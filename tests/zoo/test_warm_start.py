import dataclasses
import hashlib
import json

import huggingface_hub
import PIL.Image
import pytest
import timm
import torch
import torchvision
from torch import nn
from torchvision.transforms.v2.functional import pil_to_tensor

from activitynet.errors import ModelError, WeightsError
from activitynet.serialization.tensors import save_tensors
from activitynet.zoo import create_model, warm_start

LITE = "efficientnet_lite0"


@pytest.fixture
def lite(randomised):
    """A trunk of the layout of `efficientnet_b0_se`, without gates and padded alike on all sides."""
    return randomised(timm.create_model(LITE)).eval()


def _features(model: nn.Module) -> torch.Tensor:
    """Compute features in double precision, so that only the function can differ, not the rounding."""
    torch.manual_seed(7)
    with torch.no_grad():
        return model.double().eval().forward_features(torch.randn(2, 3, 96, 96, dtype=torch.double))


def _same(model: nn.Module, trunk: nn.Module) -> bool:
    ours, theirs = _features(model), _features(trunk)
    assert theirs.std() > 0.1
    return bool((ours - theirs).abs().max() < 1e-4 * theirs.abs().max())


def _write_folder(folder, model, **config):
    folder.mkdir(exist_ok=True)
    digest = save_tensors(folder / "model.safetensors", model.state_dict())
    config = {"architecture": LITE, "num_classes": 1000, "sha256": digest, **config}
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return folder


def test_an_efficientnet_starts_as_the_function_of_a_trunk_without_gates(lite):
    model = create_model("efficientnet_b0_se", init_from=lite)
    assert model.model_args == {"act": "relu6"}
    record = model.warm_start
    assert len({name.rsplit(".", 1)[0] for name in record.copied}) == 98
    assert record.skipped == ("classifier.weight", "classifier.bias")
    assert {name.split(".")[-3] for name in record.fresh if name.startswith("stages")} == {
        "inner_se",
        "outer_se",
    }
    assert {name for name in record.fresh if not name.startswith("stages")} == {
        "classifier.weight",
        "classifier.bias",
        "head_norm.weight",
        "head_norm.bias",
    }
    assert set(record.copied) | set(record.fresh) == set(model.state_dict())
    assert _same(model, lite)


def test_the_neutral_gates_can_learn(lite):
    model = create_model("efficientnet_b0_se", init_from=lite).train()
    nn.init.normal_(model.get_classifier().weight)
    model(torch.randn(4, 3, 64, 64)).square().mean().backward()
    for name, parameter in model.named_parameters():
        if "_se.expand" in name:
            assert parameter.grad.abs().max() > 0, name


def test_a_named_activation_wins_over_the_trunks(lite):
    model = create_model("efficientnet_b0_se", init_from=lite, model_args={"act": "silu"})
    assert model.model_args == {"act": "silu"}
    assert not _same(model, lite)


def test_the_gates_of_a_trunk_that_has_them_come_along(randomised):
    trunk = randomised(timm.create_model("efficientnet_b0"))
    model = create_model("efficientnet_b0_se", init_from=trunk)
    assert model.model_args == {"act": "silu"}
    assert not any("inner_se" in name for name in model.warm_start.fresh)
    assert _same(model, trunk)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_a_resnet_starts_from_one_without_gates(norm, randomised):
    trunk = randomised(torchvision.models.resnet18())
    trunk.forward_features = nn.Sequential(*list(trunk.children())[:-2]).forward
    model = create_model("resnet18_se", init_from=trunk, model_args={"norm": norm})
    assert model.model_args["act"] == "relu"
    block, theirs = model.stages[0][1], trunk.layer1[0]
    assert torch.equal(block.second.norm.weight, theirs.bn2.weight * 2)
    assert torch.equal(block.first.norm.bias, theirs.bn1.bias)
    x = torch.randn(2, 64, 4, 4)
    assert torch.equal(block.se(2 * x), x)
    if norm == "batch":
        assert _same(model, trunk)
    else:
        skipped = {name.rsplit(".", 1)[1] for name in model.warm_start.skipped if name[:2] != "fc"}
        assert skipped == {"running_mean", "running_var", "num_batches_tracked"}


@pytest.mark.parametrize("name", ["test_resnet_se", "test_efficientnet_se"])
def test_the_same_architecture_goes_over_by_name_gates_and_all(name, randomised):
    trunk = randomised(create_model(name, num_classes=7, model_args={"act": "gelu"}))
    model = create_model(name, num_classes=7, init_from=trunk)
    assert model.model_args["act"] == "gelu"
    assert model.warm_start.fresh == ("classifier.weight", "classifier.bias")
    assert not torch.equal(model.get_classifier().weight, trunk.get_classifier().weight)
    torch.testing.assert_close(
        model.eval().forward_head(_features(model), pre_logits=True),
        trunk.eval().forward_head(_features(trunk), pre_logits=True),
        rtol=0,
        atol=0,
    )


def test_a_norm_of_another_epsilon_keeps_its_function(randomised):
    trunk = randomised(create_model("test_efficientnet_se"))
    for norm in trunk.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps = 0.1
    assert _same(create_model("test_efficientnet_se", init_from=trunk), trunk)


def test_a_timm_model_starts_from_a_folder(lite, tmp_path):
    folder = _write_folder(tmp_path / LITE, lite, mean=[0.5] * 3, crop_pct=0.9, input_size=[3, 192, 192])
    model = create_model(f"timm/{LITE}", init_from=folder)
    assert model.warm_start.source == str(folder)
    assert model.warm_start.fresh == ("classifier.weight", "classifier.bias")
    assert _same(model, lite)


def test_the_preprocessing_follows_the_trunk(lite, tmp_path):
    own = create_model("efficientnet_b0_se").pretrained_cfg
    flat = _write_folder(tmp_path / "a", lite, mean=[0.5] * 3, std=[0.25] * 3, interpolation="bilinear")
    nested = _write_folder(tmp_path / "b", lite, pretrained_cfg={"mean": [0.4] * 3, "crop_pct": 0.9})
    card = _write_folder(
        tmp_path / "c", lite, preprocess={"size": [192, 160], "mean": [0.3] * 3, "crop_pct": 0.7}
    )
    plain = _write_folder(tmp_path / "d", lite)
    for source, expected in [
        (flat, {"mean": (0.5,) * 3, "std": (0.25,) * 3, "interpolation": "bilinear"}),
        (nested, {"mean": (0.4,) * 3, "crop_pct": 0.9}),
        (card, {"mean": (0.3,) * 3, "crop_pct": 0.7, "input_size": (3, 192, 160)}),
        (plain, {}),
        (lite, {}),
    ]:
        model = create_model("efficientnet_b0_se", init_from=source)
        assert model.pretrained_cfg == {**own, **expected}
        assert model.default_cfg == model.pretrained_cfg


def test_a_folder_of_this_librarys_starts_another_model(tmp_path, randomised):
    trunk = randomised(create_model("test_resnet_se", num_classes=3, model_args={"act": "relu"}))
    folder = _write_folder(
        tmp_path / "card",
        trunk,
        architecture="test_resnet_se",
        model_args=trunk.model_args,
        num_classes=None,
        classes=["a", "b", "c"],
    )
    model = create_model("test_resnet_se", num_classes=5, init_from=str(folder))
    assert model.model_args["act"] == "relu"
    assert _same(model, trunk)


def test_the_record_says_itself_in_one_line_and_stays(lite):
    model = create_model("efficientnet_b0_se")
    record = warm_start(model, lite)
    assert record is model.warm_start
    assert record.summary().startswith(f"warm start from {LITE}: 294 tensors copied; 100 (")
    assert "\n" not in record.summary()
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.source = ""


@pytest.mark.parametrize(
    ("target", "trunk", "complaint"),
    [
        (
            "efficientnet_b1_se",
            LITE,
            r"7 of the trunk is 'stages\.0\.1\.depthwise\.conv' .* 'blocks\.1\.0\.conv_pw'",
        ),
        ("resnet18_se", LITE, r"1 of the trunk is 'stem\.conv' .* 'conv_stem'"),
        ("resnet10_se", "resnet18", r"'stages\.1\.0\.first\.conv' .* 'layer1\.1\.conv1'"),
        ("timm/resnet10t", "resnet14t", "resnet10t cannot start from resnet14t"),
        ("timm/test_vit", "test_vit2", "cannot start from test_vit2: "),
    ],
)
def test_a_trunk_that_does_not_fit_names_what_differs(target, trunk, complaint):
    with pytest.raises(ModelError, match=complaint):
        create_model(target, init_from=timm.create_model(trunk))


def test_a_trunk_that_would_fit_in_part_only_is_refused():
    # Its one convolution fits; its tokens and positions do not.
    trunk = timm.create_model("test_vit", img_size=96)
    with pytest.raises(ModelError, match=r"tensor 'pos_embed'.*has no counterpart"):
        create_model("timm/test_vit", init_from=trunk)


def test_a_model_that_cannot_be_started_stays_as_it_was(lite):
    model = create_model("efficientnet_b1_se")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError):
        warm_start(model, lite)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_folder_that_is_not_one_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere'.*config\.json cannot be read"):
        create_model("efficientnet_b0_se", init_from=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("config", "error", "complaint"),
    [
        ("{", WeightsError, "is not valid JSON"),
        ("[]", WeightsError, "names no architecture"),
        ('{"architecture": 3}', WeightsError, "names no architecture"),
        ('{"architecture": "efficientnet_lite9"}', ModelError, "Did you mean 'timm/efficientnet_lite"),
        (
            '{"architecture": "efficientnet_lite0", "num_classes": "many"}',
            ModelError,
            "num_classes is 'many'",
        ),
        ('{"architecture": "efficientnet_lite0", "model_args": []}', WeightsError, r"'model_args' is \[\]"),
        ('{"architecture": "efficientnet_lite0"}', WeightsError, "cannot read weights file"),
    ],
)
def test_a_folder_with_a_bad_config_is_refused(tmp_path, config, error, complaint):
    (tmp_path / "config.json").write_text(config)
    if complaint != "cannot read weights file":
        save_tensors(tmp_path / "model.safetensors", {"x": torch.zeros(1)})
    with pytest.raises(error, match=complaint):
        create_model("efficientnet_b0_se", init_from=tmp_path)


def test_a_folder_is_loaded_strictly(lite, tmp_path):
    folder = _write_folder(tmp_path / LITE, lite)
    tensors = lite.state_dict()
    for change in ({"bn1.weight": None}, {"extra": torch.zeros(1)}, {"bn1.weight": torch.zeros(3)}):
        changed = {k: v for k, v in {**tensors, **change}.items() if v is not None}
        digest = save_tensors(folder / "model.safetensors", changed)
        _write = json.loads((folder / "config.json").read_text()) | {"sha256": digest}
        (folder / "config.json").write_text(json.dumps(_write))
        with pytest.raises(WeightsError, match=next(iter(change))):
            create_model("efficientnet_b0_se", init_from=folder)


def test_a_file_of_another_hash_is_refused(lite, tmp_path):
    folder = _write_folder(tmp_path / LITE, lite, sha256=hashlib.sha256(b"").hexdigest())
    with pytest.raises(WeightsError, match="SHA-256"):
        create_model("efficientnet_b0_se", init_from=folder)


def test_timms_weights_come_from_the_hub(lite, tmp_path, monkeypatch):
    folder = _write_folder(tmp_path / LITE, lite)
    asked = []

    def download(repo_id, filename):
        asked.append((repo_id, filename))
        return str(folder / filename)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    model = create_model("efficientnet_b0_se", init_from=f"timm/{LITE}")
    assert asked == [(f"timm/{LITE}.ra_in1k", "model.safetensors")]
    assert model.warm_start.source == f"timm/{LITE}"
    assert _same(model, lite)


def test_cached_weights_need_no_network(lite, tmp_path, monkeypatch):
    folder = _write_folder(tmp_path / LITE, lite)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda _, name: str(folder / name))
    assert _same(create_model("efficientnet_b0_se", init_from=f"timm/{LITE}"), lite)


def test_no_network_is_one_clear_error(monkeypatch):
    def offline(*_):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(ModelError, match=r"cannot get the weights of 'timm/resnet18' .*Check the network"):
        create_model("resnet18_se", init_from="timm/resnet18")


@pytest.mark.parametrize("name", ["timm/resnet18_x", "timm/resnet18_se"])
def test_an_unknown_trunk_of_timms_is_refused(name):
    with pytest.raises(ModelError):
        create_model("resnet18_se", init_from=name)


@pytest.mark.parametrize(("side", "same"), [(97, True), (96, False)])
def test_the_padding_of_tensorflow_is_ours_at_32_n_plus_1_pixels(side, same, randomised):
    torch.manual_seed(0)  # some weights let rounding grow to more than what is asked here
    trunk = randomised(timm.create_model(f"tf_{LITE}")).double().eval()
    model = create_model("efficientnet_b0_se", init_from=trunk).double().eval()
    assert model.pretrained_cfg["input_size"] == (3, 225, 225)
    x = torch.randn(1, 3, side, side, dtype=torch.double)
    with torch.no_grad():
        assert torch.allclose(model.forward_features(x), trunk.forward_features(x), atol=1e-4) == same


@pytest.mark.real_photos
def test_the_real_backbone_starts_an_efficientnet(real_data):
    folder = real_data / "tf_efficientnet_lite0"
    model = create_model("efficientnet_b0_se", init_from=folder).eval()
    trunk = create_model("timm/tf_efficientnet_lite0", init_from=folder).eval()
    assert len({name.rsplit(".", 1)[0] for name in model.warm_start.copied}) == 98
    assert model.pretrained_cfg["mean"] == trunk.pretrained_cfg["mean"] == (0.5, 0.5, 0.5)
    photos = sorted((real_data / "activities" / "val").glob("*/*.jpg"))[::200]
    images = [pil_to_tensor(PIL.Image.open(photo).convert("RGB").resize((225, 225))) for photo in photos]
    batch = torch.stack(images) / 127.5 - 1
    with torch.no_grad():
        ours, theirs = (m.forward_features(batch) for m in (model, trunk))
    assert theirs.std() > 0.1
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
