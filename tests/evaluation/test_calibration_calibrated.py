from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import nn

from activitynet import Classifier, create_model
from activitynet.data.dataset import Photo
from activitynet.errors import DataError, ModelError
from activitynet.evaluation import Outputs
from activitynet.evaluation.calibration import fit_calibration, fit_vector_scaling, fold_scaling


def answers(count: int, *, factors: object = 1.0, offsets: object = 0.0, seed: int = 0) -> Outputs:
    """Of a model whose logits would be right, had they not been scaled and shifted by class."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(scale=2, size=(count, 4))
    odds = softmax(logits, axis=1)
    labels = (draw.random(count)[:, None] > odds.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    return Outputs(
        photos=tuple(Photo(Path(f"{index}.jpg"), int(label)) for index, label in enumerate(labels)),
        classes=("a", "b", "c", "d"),
        logits=((logits - np.asarray(offsets)) / np.asarray(factors)).astype(np.float32),
        temperature=1.0,
        sizes=np.full((count, 2), 100),
        brightness=np.full(count, 0.5, dtype=np.float32),
    )


def test_a_temperature_mends_what_is_too_sure() -> None:
    found = fit_calibration(answers(4000, factors=0.4))
    assert found.temperature == pytest.approx(2.5, rel=0.08)
    assert found.ece > 0.1
    assert found.ece_held_out < 0.03
    assert (found.unknown_below, found.risk) == (0, None)
    assert f"temperature {found.temperature:.3g}, fitted on 4000" in found.summary()


def test_vector_scaling_finds_what_was_planted_and_mends_what_a_temperature_cannot() -> None:
    factors, offsets = np.array([0.5, 2.0, 1.0, 1.0]), np.array([1.0, -1.0, 0.0, 0.5])
    planted = answers(8000, factors=factors, offsets=offsets)
    scale, shift = fit_vector_scaling(planted.logits.astype(np.float64), planted.labels)
    assert scale == pytest.approx(factors, abs=0.1)
    assert shift - shift[2] == pytest.approx(offsets - offsets[2], abs=0.15)
    vector, plain = (fit_calibration(planted, method=method) for method in ("vector", "temperature"))  # type: ignore[arg-type]
    assert vector.ece_held_out < 0.02 < plain.ece_held_out
    assert vector.temperature == 1


def test_a_class_of_few_photos_stays_near_the_temperature() -> None:
    few = answers(30)
    scale, shift = fit_vector_scaling(few.logits.astype(np.float64), few.labels)
    assert np.isfinite(scale).all()
    assert np.abs(shift).max() < 3


def test_folding_gives_the_scaled_logits() -> None:
    model = create_model("test_resnet_se", num_classes=3).eval()
    images = torch.randn(2, 3, 64, 64)
    factors, offsets = np.array([0.5, 2.0, 1.0]), np.array([0.1, 0.2, -3.0])
    with torch.inference_mode():
        before = model(images)
        fold_scaling(model, factors, offsets)
        after = model(images)
    expected = before * torch.from_numpy(factors).float() + torch.from_numpy(offsets).float()
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-5)


class EndsInAConvolution(nn.Module):
    def get_classifier(self) -> nn.Module:
        return nn.Conv2d(3, 2, 1)


def test_a_network_without_a_linear_end_is_refused() -> None:
    with pytest.raises(ModelError, match="use the method 'temperature'"):
        fold_scaling(EndsInAConvolution(), np.ones(2), np.zeros(2))


def test_halves_never_share_a_group() -> None:
    one = answers(2)
    grouped = tuple(Photo(photo.path, photo.label, group="g") for photo in one.photos)
    with pytest.raises(DataError, match="two groups"):
        fit_calibration(dataclasses.replace(one, photos=grouped))


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(DataError, match="Did you mean 'temperature'"):
        fit_calibration(answers(20), method="temprature")  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_what_was_fitted_is_saved_and_used(method: str, sample_data: Path, tmp_path: Path) -> None:
    classes = [f.name for f in sorted((sample_data / "val").iterdir())]
    torch.manual_seed(0)
    model = create_model("test_resnet_se", num_classes=len(classes))
    classifier = Classifier(model, classes, image_size=64)
    before = classifier.collect_outputs(sample_data, workers=0)
    found = classifier.calibrate(sample_data, method=method, workers=0)  # type: ignore[arg-type]
    classifier.unknown_below = 0.9
    loaded = Classifier.load(classifier.save(tmp_path / "model"))
    after = loaded.collect_outputs(sample_data, workers=0)
    assert loaded.temperature == found.temperature
    loss = [-a.log_probabilities[np.arange(40), a.labels].mean() for a in (before, after)]
    assert loss[1] < loss[0]
    if method == "temperature":
        np.testing.assert_array_equal(before.predicted, after.predicted)
    photo = before.photos[0].path
    unknown, known = loaded.predict_one(photo), loaded.predict_one(photo, unknown_below=0)
    assert (unknown.unknown, unknown.label) == (True, None)
    assert (known.unknown, known.label) == (False, unknown.top[0][0])
    assert unknown.top == known.top
    page = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "A photo is unknown if its highest probability is below" in page
    assert ("vector scaling" in page) == (method == "vector")


def test_training_on_forgets_a_calibration_of_other_weights(sample_data: Path) -> None:
    classifier = Classifier("test_resnet_se", image_size=32)
    for _ in range(2):
        classifier.fit(sample_data, epochs=1, workers=0, progress=False)
        assert (classifier.temperature, classifier.unknown_below) == (1, 0)
        classifier.temperature, classifier.unknown_below = 3.0, 0.5
