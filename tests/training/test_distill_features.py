import pytest
import torch

from activitynet.errors import TrainingError
from activitynet.training.distill import WithFeatures, pooled_features
from activitynet.zoo import create_model

NAMES = ["test_resnet_se", "test_efficientnet_se", "timm/test_resnet", "timm/test_vit", "squeezenet1_1"]


@pytest.mark.parametrize("name", NAMES)
def test_features_are_what_the_classifier_sees(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=5).eval()
    size = getattr(model, "pretrained_cfg", {}).get("input_size", (3, 64, 64))
    images = torch.rand(2, *size)
    with pooled_features(model) as seen:
        logits = model(images)
        model(images)
    model(images)  # no longer looked at
    assert len(seen) == 2
    assert seen[0].shape == (2, model.head_hidden_size)
    assert seen[0].requires_grad
    both = WithFeatures(model)(images)
    assert both.shape == (2, WithFeatures(model).num_classes)
    torch.testing.assert_close(both, torch.cat([logits, seen[0]], dim=1))


def test_nothing_is_left_on_a_model_whose_pass_failed():
    model = create_model("test_resnet_se", num_classes=2)
    with pytest.raises(RuntimeError), pooled_features(model):
        model(torch.rand(2, 5, 32, 32))
    assert not model.get_classifier()._forward_pre_hooks


def test_a_model_with_two_classifiers_is_refused_by_name():
    model = create_model("timm/deit_tiny_distilled_patch16_224", num_classes=2)
    with pytest.raises(TrainingError, match=r"VisionTransformerDistilled.*distill\.features to 0"):
        WithFeatures(model)
    with pytest.raises(TrainingError, match="has 2 classifiers"), pooled_features(model):
        pass
