from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from activitynet import Classifier, create_model, list_models
from activitynet.data.dataset import Photo
from activitynet.data.preprocess import Preprocess
from activitynet.errors import ImageError, ModelError
from activitynet.evaluation.explain import explain, grad_cam, nearest_photos, occlusion

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from captum.attr import LayerGradCam

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class Hues(nn.Module):
    """Tells red from green: the mean of each colour over a map of an eighth of the image's size."""

    num_classes = num_features = 3

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(x, 8)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return x.mean((2, 3)) * 10

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))


def two_squares(width: int = 128, height: int = 64) -> Image.Image:
    """A red square at the left, a green one at the right."""
    photo = Image.new("RGB", (width, height))
    photo.paste((255, 0, 0), (0, 0, height // 2, height // 2))
    photo.paste((0, 255, 0), (width - height // 2, 0, width, height // 2))
    return photo


@pytest.mark.parametrize("how", ["grad-cam", "occlusion"])
@pytest.mark.parametrize("resize", ["squash", "pad"])
@pytest.mark.parametrize(("label", "left"), [(0, True), (1, False)])
def test_heat_lies_where_the_class_is(how: Any, resize: Any, label: int, left: bool) -> None:
    preprocess = Preprocess(size=(64, 64), resize=resize, **PLAIN)
    found = explain(Hues(), preprocess, ["red", "green", "blue"], two_squares(), label=label, how=how)
    assert found.label == ["red", "green", "blue"][label]
    assert found.heat.shape == (64, 128) == found.overlay.size[::-1]
    assert found.heat.max() <= 1
    row, column = np.unravel_index(found.heat.argmax(), found.heat.shape)
    assert row < 40
    assert (column < 40) == left
    inside = found.heat[:32, :32] if left else found.heat[:32, -32:]
    assert inside.sum() > 0.6 * found.heat.sum()


def test_what_a_cropped_network_does_not_see_is_cold() -> None:
    preprocess = Preprocess(size=(64, 64), resize="crop", crop_pct=1.0, **PLAIN)
    photo = Image.new("RGB", (128, 64), (255, 0, 0))
    heat = explain(Hues(), preprocess, ["red", "green", "blue"], photo).heat
    assert (heat[:, :32] == 0).all()
    assert (heat[:, 96:] == 0).all()
    assert (heat[:, 32:96] > 0.99).all()


@pytest.mark.parametrize("name", ["test_resnet_se", "test_efficientnet_se"])
def test_grad_cam_agrees_with_captum(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=4).eval()
    images, labels = torch.randn(2, 3, 96, 96), torch.tensor([1, 3])
    heat = grad_cam(model, images, labels)
    reference = LayerGradCam(model, model.tail).attribute(images, target=labels, relu_attributions=True)
    reference = reference[:, 0] / reference.amax((1, 2, 3))[:, None, None].clamp_min(1e-12)
    torch.testing.assert_close(heat, reference.detach(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in list_models() if not name.startswith("timm/")),
        *("timm/test_vit", "timm/test_convnext", "timm/test_byobnet"),
    ],
)
def test_every_network_can_be_explained(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=3)
    preprocess = Preprocess.from_model(model, size=None if "vit" in name else 64, resize="squash")
    model.train()
    found = explain(model, preprocess, ["a", "b", "c"], two_squares(96, 96))
    assert model.training
    assert found.heat.shape == (96, 96)
    assert np.isfinite(found.heat).all()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_maps_with_channels_last_and_none_at_all() -> None:
    swin = create_model("timm/swin_tiny_patch4_window7_224", num_classes=3)
    heat = grad_cam(swin, torch.randn(1, 3, 224, 224), torch.tensor([1]))
    assert heat.shape == (1, 7, 7)
    with pytest.raises(ModelError, match="choose the method 'occlusion'"):
        grad_cam(nn.Linear(3, 2), torch.randn(1, 3), torch.tensor([0]))


def test_occlusion_is_a_drop_of_probability() -> None:
    def probabilities(photos: Any) -> torch.Tensor:
        red = [np.asarray(photo)[..., 0].mean() / 255 for photo in photos]
        return torch.tensor([[value, 1 - value] for value in red])

    photo = Image.new("RGB", (40, 40), (127, 127, 127))
    photo.paste((255, 0, 0), (10, 20, 20, 30))
    heat = occlusion(probabilities, photo, 0, cells=4)
    assert heat[2, 1] == 1
    assert heat.sum() == 1


def test_the_nearest_photos_are_those_of_its_colour(tmp_path: Path) -> None:
    photos = []
    for index, hue in enumerate([(200, 20, 20), (20, 200, 20), (255, 0, 0), (10, 30, 200), (250, 60, 60)]):
        Image.new("RGB", (32, 32), hue).save(tmp_path / f"{index}.png")
        photos.append(Photo(tmp_path / f"{index}.png", index))
    preprocess = Preprocess(size=(32, 32), resize="squash", **PLAIN)
    red = Image.new("RGB", (50, 50), (255, 0, 0))
    for batch_size in (1, 2, 64):
        found = nearest_photos(Hues(), preprocess, red, photos, count=3, batch_size=batch_size)
        assert [photo.label for photo, _ in found] == [2, 0, 4]
        assert found[0][1] == pytest.approx(1)


def test_a_classifier_explains_a_photo(sample_data: Path) -> None:
    torch.manual_seed(0)
    classes = [folder.name for folder in sorted((sample_data / "val").iterdir())]
    classifier = Classifier(create_model("test_resnet_se", num_classes=20), classes, image_size=64)
    photo = next((sample_data / "val").rglob("*.*g"))
    found = classifier.explain(photo)
    assert found.label == classifier.predict_one(photo).label
    assert found.probability == pytest.approx(classifier.predict_one(photo).probability)
    near = classifier.nearest(photo, sample_data, split="val", count=2, workers=0)
    assert near[0][0].path.samefile(photo)
    with pytest.raises(ModelError, match="no class 'dancin'"):
        classifier.explain(photo, label="dancin")
    with pytest.raises(ImageError, match="one photo"):
        classifier.explain(sample_data / "val")
