from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from activitynet.data.augment import Augment
from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.cache import CachedPhoto
from activitynet.data.dataset import Photo
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError

STILL = Augment(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, color=0.0)
SMALL = Preprocess(size=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)
EVERYTHING = Augment(hue=0.1, rotation=30, policy="rand", noise=0.1, erasing=1.0)
AUGMIX = Augment(policy="augmix")

pairs = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(lambda pair: (min(pair), max(pair)))
augments = st.builds(
    Augment,
    scale=pairs,
    ratio=pairs,
    flip=st.floats(0, 1),
    color=st.floats(0, 1),
    hue=st.floats(0, 0.5),
    rotation=st.floats(0, 180),
    policy=st.sampled_from(["none", "trivial", "rand", "augmix"]),
    operations=st.integers(1, 5),
    magnitude=st.integers(0, 30),
    noise=st.floats(0, 1),
    erasing=st.floats(0, 1),
)


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))


def vary(augment: Augment, preprocess: Preprocess, photo: Image.Image, seed: int = 0) -> torch.Tensor:
    dataset = AugmentedPhotos([Photo(Path("a.png"), 0)], augment, preprocess, seed=seed)
    dataset._open = lambda _: CachedPhoto(photo.size, np.asarray(photo))
    batch, _, _ = dataset.collate([dataset[0]])
    return dataset.color_jitter(batch)[0]


@given(augments)
def test_the_record_survives_json(augment: Augment) -> None:
    assert Augment.from_dict(json.loads(json.dumps(augment.to_dict()))) == augment


@pytest.mark.parametrize("size", [(90, 30), (30, 90), (50, 50)])
def test_where_photos_are_squashed_so_are_crops(size: tuple[int, int]) -> None:
    squash = Preprocess(size=(24, 32), resize="squash")
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    photo = Image.fromarray(pixels)
    assert torch.allclose(vary(STILL, squash, photo), squash(photo), atol=1e-5)
    # A quarter of the area in the photo's own shape is half of its width, whatever that is.
    ramp = torch.arange(size[0]).expand(3, size[1], size[0]) / size[0]
    plain = Preprocess(size=(24, 32), resize="squash", mean=(0.0,) * 3, std=(1.0,) * 3)
    part = vary(
        dataclasses.replace(STILL, scale=(0.25, 0.25)), plain, v2.functional.to_pil_image(ramp), seed=1
    )
    assert (part[0, 0, -1] - part[0, 0, 0]).item() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("augment", [Augment(), Augment(policy="trivial"), AUGMIX, EVERYTHING])
@pytest.mark.parametrize("size", [(40, 30), (1, 500), (500, 1), (1, 1)])
def test_any_photo_becomes_a_finite_tensor_of_the_size(augment: Augment, size: tuple[int, int]) -> None:
    tensor = vary(augment, Preprocess(size=(24, 32)), Image.new("RGB", size, (40, 80, 120)))
    assert type(tensor) is torch.Tensor
    assert tensor.shape == (3, 24, 32)
    assert tensor.dtype == torch.float32
    assert tensor.isfinite().all()


@pytest.mark.parametrize("augment", [Augment(), Augment(policy="trivial"), AUGMIX, EVERYTHING])
def test_the_seed_alone_fixes_the_draw(augment: Augment) -> None:
    draws = []
    for other_seed in (1, 2):
        random.seed(other_seed)
        np.random.seed(other_seed)
        torch.manual_seed(other_seed)
        draws.append([vary(augment, SMALL, noise(), seed) for seed in range(5)])
    assert all(torch.equal(first, second) for first, second in zip(*draws, strict=True))
    assert any(not torch.equal(draws[0][0], other) for other in draws[0][1:])


def test_without_variation_it_is_the_whole_photo() -> None:
    whole = Preprocess(size=(32, 32), resize="squash", mean=SMALL.mean, std=SMALL.std)
    assert torch.allclose(vary(STILL, SMALL, noise()), whole(noise()), atol=1e-5)


def test_flip_mirrors() -> None:
    upright = vary(STILL, SMALL, noise())
    always = Augment(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=1.0, color=0.0)
    mirrored = vary(always, SMALL, noise().transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert (mirrored - upright).abs().max() < 2 / 255


def test_crops_keep_the_asked_share() -> None:
    # A horizontal ramp: the range of values in a crop tells its width.
    ramp = Image.fromarray(
        np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 256, axis=0).repeat(3, axis=2)
    )
    quarter = Augment(scale=(0.25, 0.25), ratio=(1.0, 1.0), flip=0.0, color=0.0)
    crops = [vary(quarter, SMALL, ramp, seed) for seed in range(10)]
    spans = [float(crop.max() - crop.min()) for crop in crops]
    assert min(spans) > 0.45
    assert max(spans) < 0.52


def test_erasing_and_rotation_leave_the_mean_colour() -> None:
    grey = Preprocess(size=(32, 32))
    white = Image.new("RGB", (40, 40), "white")
    for change in ({"erasing": 1.0}, {"rotation": 180.0}):
        augment = Augment(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, color=0.0, **change)  # type: ignore[arg-type]
        tensor = vary(augment, grey, white, seed=3)
        assert (tensor.abs() < 0.02).any(), change
        assert (tensor > 1.5).any(), change


def test_noise_is_drawn_up_to_its_deviation_before_normalisation() -> None:
    still = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "color": 0.0}
    wide = Preprocess(size=(64, 64), mean=(0.5,) * 3, std=(0.1,) * 3)
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    noisy = Augment(noise=0.05, **still)  # type: ignore[arg-type]
    deviations = [0.1 * vary(noisy, wide, grey, seed).std().item() for seed in range(40)]
    assert max(deviations) < 0.051
    assert 0.02 < sum(deviations) / len(deviations) < 0.03
    assert max(deviations) - min(deviations) > 0.035
    black = vary(Augment(noise=1.0, **still), SMALL, Image.new("RGB", (9, 9)))  # type: ignore[arg-type]
    assert black.min() == 0  # not below black


def test_hue_turns_colours_and_leaves_grey() -> None:
    turning = Augment(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, color=0.0, hue=0.5)
    red = Image.new("RGB", (8, 8), (200, 0, 0))
    reds = torch.stack([vary(turning, SMALL, red, seed)[:, 0, 0] for seed in range(10)])
    assert reds.max(dim=1).values.sub(200 / 255).abs().max() < 0.01
    assert set(reds.argmax(dim=1).tolist()) == {0, 1, 2}
    grey = Image.new("RGB", (8, 8), (90, 90, 90))
    assert (vary(turning, SMALL, grey) - 90 / 255).abs().max() < 0.01


def test_operations_and_magnitude_reach_randaugment() -> None:
    photo = noise()
    still = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "color": 0.0, "policy": "rand"}

    def mean_change(**more: int) -> float:
        augment, plain = Augment(**still, **more), vary(STILL, SMALL, photo)  # type: ignore[arg-type]
        return sum((vary(augment, SMALL, photo, seed) - plain).abs().mean().item() for seed in range(50))

    assert mean_change(operations=1) < mean_change() < mean_change(operations=5)
    assert mean_change(magnitude=1) < mean_change() < mean_change(magnitude=30)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": [0, 1]},
        {"scale": [0.8, 0.3]},
        {"scale": [0.5, 1.5]},
        {"scale": 0.5},
        {"ratio": [0, 1]},
        {"ratio": [2, 1]},
        {"flip": 1.5},
        {"flip": True},
        {"color": -0.1},
        {"color": 1.1},
        {"rotation": 181},
        {"rotation": float("nan")},
        {"hue": 0.6},
        {"noise": -0.1},
        {"noise": 1.5},
        {"operations": 0},
        {"operations": 2.0},
        {"operations": True},
        {"magnitude": 31},
        {"magnitude": -1},
        {"magnitude": "9"},
        {"erasing": "0.5"},
        {"policy": "random"},
        {"policy": ["rand"]},
        {"blur": 1.0},
    ],
)
def test_bad_values_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(change))):
        Augment.from_dict({**Augment().to_dict(), **change})
