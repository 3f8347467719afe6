from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError

RESIZES = ("crop", "squash", "pad")
PLAIN: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}

preprocesses = st.builds(
    Preprocess,
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    resize=st.sampled_from(RESIZES),
    crop_pct=st.floats(0.01, 1),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    antialias=st.booleans(),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.01, 2)] * 3),
)


def smooth(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 30), np.cos(y / 25), np.sin((x + y) / 40)]
    return Image.fromarray((127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8))


@settings(max_examples=60, deadline=None)
@given(preprocess=preprocesses, width=st.integers(1, 90), height=st.integers(1, 90))
def test_any_photo_becomes_a_finite_tensor_of_the_size(
    preprocess: Preprocess, width: int, height: int
) -> None:
    tensor = preprocess(smooth(width, height))
    assert tensor.shape == (3, *preprocess.size)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert tensor.isfinite().all()
    assert torch.equal(tensor, preprocess(smooth(width, height)))


@given(preprocesses)
def test_the_record_survives_json(preprocess: Preprocess) -> None:
    assert Preprocess.from_dict(json.loads(json.dumps(preprocess.to_dict()))) == preprocess


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("crop_pct", [0.875, 1.0])
def test_crop_agrees_with_timm(interpolation: str, crop_pct: float) -> None:
    photo = smooth(512, 512)
    preprocess = Preprocess(crop_pct=crop_pct, interpolation=interpolation)  # type: ignore[arg-type]
    theirs = timm.data.create_transform(
        (3, 224, 224),
        crop_pct=crop_pct,
        interpolation=interpolation,
        mean=preprocess.mean,
        std=preprocess.std,
    )(photo)
    levels = (preprocess(photo) - theirs).abs() * torch.tensor(preprocess.std)[:, None, None] * 255
    assert levels.mean() < 0.5
    assert levels.max() <= 3


def test_crop_keeps_the_centre_and_the_shape_of_things() -> None:
    photo = Image.new("RGB", (400, 200), "black")
    photo.paste("white", (100, 0, 300, 200))  # a white square in the middle
    tensor = Preprocess(size=(50, 50), crop_pct=1.0, **PLAIN)(photo)
    assert torch.equal(tensor, torch.ones(3, 50, 50))


def test_squash_keeps_everything() -> None:
    photo = Image.new("RGB", (400, 200), "black")
    photo.paste("white", (0, 0, 200, 200))
    tensor = Preprocess(size=(40, 40), resize="squash", **PLAIN)(photo)
    assert tensor[:, :, :18].min() > 0.95
    assert tensor[:, :, 22:].max() < 0.05


def test_pad_puts_the_mean_colour_around() -> None:
    preprocess = Preprocess(size=(40, 40), resize="pad")
    tensor = preprocess(Image.new("RGB", (400, 200), "white"))
    assert torch.equal(tensor[:, :10], torch.zeros(3, 10, 40))
    assert torch.equal(tensor[:, 30:], torch.zeros(3, 10, 40))
    white = (1 - torch.tensor(preprocess.mean)) / torch.tensor(preprocess.std)
    assert torch.allclose(tensor[:, 10:30], white[:, None, None].expand(3, 20, 40))


def test_a_photo_of_the_size_is_only_normalised() -> None:
    photo = smooth(32, 32)
    for resize in RESIZES:
        tensor = Preprocess(size=(32, 32), resize=resize, crop_pct=1.0, **PLAIN)(photo)  # type: ignore[arg-type]
        assert np.array_equal((tensor * 255).round().byte().permute(1, 2, 0).numpy(), np.asarray(photo))


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [(1, 10_000), (10_000, 1), (1, 1)])
def test_long_thin_photos_need_little_memory(resize: Any, size: tuple[int, int]) -> None:
    photo = Image.new("RGB", size, (255, 255, 255))
    with torch.profiler.profile(profile_memory=True) as profile:
        tensor = Preprocess(resize=resize)(photo)
    assert tensor.shape == (3, 224, 224)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert largest < 20 * tensor.nbytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [0, 224]}, "size"),
        ({"size": [224, 5000]}, "size"),
        ({"size": [224.0, 224.0]}, "size"),
        ({"size": 224}, "size"),
        ({"size": [True, True]}, "size"),
        ({"resize": "crops"}, "resize.*Did you mean 'crop'"),
        ({"interpolation": "nearest"}, "interpolation"),
        ({"crop_pct": 0}, "crop_pct"),
        ({"crop_pct": 1.01}, "crop_pct"),
        ({"crop_pct": float("nan")}, "crop_pct"),
        ({"antialias": 1}, "antialias"),
        ({"mean": [0.5, 0.5]}, "mean"),
        ({"mean": [0.5, 0.5, "0.5"]}, "mean"),
        ({"mean": [0.5, 0.5, 10**400]}, "mean"),
        ({"std": [0.5, 0.5, 0]}, "std"),
        ({"std": [0.5, 0.5, float("inf")]}, "std"),
        ({"crop_pt": 1.0}, "no field 'crop_pt'. Did you mean 'crop_pct'"),
    ],
)
def test_bad_values_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Preprocess.from_dict({**Preprocess().to_dict(), **change})


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Preprocess)])
def test_a_missing_field_is_named(field: str) -> None:
    values = Preprocess().to_dict()
    del values[field]
    with pytest.raises(DataError, match=f"lacks its field '{field}'"):
        Preprocess.from_dict(values)


@pytest.mark.parametrize("value", [None, [], "crop", 3])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"must be a table of fields|not valid JSON"):
        Preprocess.from_dict(value)


def test_a_models_own_preprocessing_is_taken() -> None:
    model = timm.create_model("tf_efficientnet_lite0")
    found = Preprocess.from_model(model)
    assert found == Preprocess(size=(224, 224), crop_pct=0.875, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert Preprocess.from_model(model, size=96, resize="squash") == dataclasses.replace(
        found, size=(96, 96), resize="squash"
    )
    assert Preprocess.from_model(model, size=(96, 64)).size == (96, 64)
    assert Preprocess.from_model(torch.nn.Identity()) == Preprocess()
