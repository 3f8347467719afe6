from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from activitynet import create_model
from activitynet.data.dataset import Photo
from activitynet.data.loader import PhotoDataset
from activitynet.data.preprocess import Preprocess
from activitynet.inference import forward_batches, forward_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PhotoDataset:
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    photos = []
    for index in range(7):
        Image.fromarray(noise.integers(0, 256, (50, 40, 3), dtype=np.uint8)).save(folder / f"{index}.png")
        photos.append(Photo(folder / f"{index}.png", index % 3))
    return PhotoDataset(photos, Preprocess(size=(32, 32)))


@pytest.mark.parametrize("name", ["test_resnet_se", "test_efficientnet_se"])
def test_outputs_do_not_depend_on_batches_or_workers(name: str, dataset: PhotoDataset) -> None:
    model = create_model(name, num_classes=3).train()
    expected, labels = forward_dataset(model, dataset, batch_size=7)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert model.training
    for batch_size, workers in [(1, 0), (3, 0), (3, 2)]:
        outputs, _ = forward_dataset(model, dataset, batch_size=batch_size, workers=workers)
        # Kernels for other batch sizes add in another order.
        torch.testing.assert_close(outputs, expected, atol=1e-4, rtol=1e-4)


def test_features_times_the_head_are_the_logits(dataset: PhotoDataset) -> None:
    model = create_model("test_efficientnet_se", num_classes=3)
    features, _ = forward_dataset(model, dataset, features=True)
    logits, _ = forward_dataset(model, dataset)
    assert features.shape == (7, model.num_features)
    with torch.inference_mode():
        torch.testing.assert_close(model.get_classifier()(features), logits, atol=1e-5, rtol=1e-5)


def test_bf16_is_close_and_comes_back_as_float32(dataset: PhotoDataset) -> None:
    model = create_model("test_resnet_se", num_classes=3)
    exact, _ = forward_dataset(model, dataset)
    rough, _ = forward_dataset(model, dataset, bf16=True)
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(rough, exact, atol=0.1, rtol=0.1)


def test_gradients_are_off_inside_and_back_on_outside() -> None:
    model = create_model("test_resnet_se", num_classes=3)
    outputs = forward_batches(model, [torch.randn(1, 3, 32, 32)] * 2)
    assert not next(outputs).requires_grad
    assert torch.is_grad_enabled()
    assert len(list(outputs)) == 1


def test_path_of_a_broken_photo_is_in_the_error(dataset: PhotoDataset, tmp_path: Path) -> None:
    from activitynet.errors import ImageError

    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    broken = PhotoDataset([Photo(tmp_path / "broken.jpg", 0)], Preprocess(size=(32, 32)))
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        forward_dataset(create_model("test_resnet_se"), broken)
