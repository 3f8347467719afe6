from __future__ import annotations

import dataclasses
import json
import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from activitynet.data.augment import Augment, GrowingTransform
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


@given(augments)
def test_the_record_survives_json(augment: Augment) -> None:
    assert Augment.from_dict(json.loads(json.dumps(augment.to_dict()))) == augment


@pytest.mark.parametrize("size", [(90, 30), (30, 90), (50, 50)])
def test_where_photos_are_squashed_so_are_crops(size: tuple[int, int]) -> None:
    squash = Preprocess(size=(24, 32), resize="squash")
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    photo = Image.fromarray(pixels)
    assert torch.equal(STILL.build(squash)(photo), squash(photo))
    # A quarter of the area in the photo's own shape is half of its width, whatever that is.
    ramp = torch.arange(size[0]).expand(3, size[1], size[0]) / size[0]
    part = dataclasses.replace(STILL, scale=(0.25, 0.25)).build(
        Preprocess(size=(24, 32), resize="squash", mean=(0.0,) * 3, std=(1.0,) * 3)
    )(v2.functional.to_pil_image(ramp))
    assert (part[0, 0, -1] - part[0, 0, 0]).item() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("augment", [Augment(), Augment(policy="trivial"), AUGMIX, EVERYTHING])
@pytest.mark.parametrize("size", [(40, 30), (1, 500), (500, 1), (1, 1)])
def test_any_photo_becomes_a_finite_tensor_of_the_size(augment: Augment, size: tuple[int, int]) -> None:
    tensor = augment.build(Preprocess(size=(24, 32)))(Image.new("RGB", size, (40, 80, 120)))
    assert type(tensor) is torch.Tensor
    assert tensor.shape == (3, 24, 32)
    assert tensor.dtype == torch.float32
    assert tensor.isfinite().all()


@pytest.mark.parametrize("augment", [Augment(), Augment(policy="trivial"), AUGMIX, EVERYTHING])
def test_torch_seed_alone_fixes_the_draw(augment: Augment) -> None:
    transform = augment.build(SMALL)
    draws = []
    for other_seed in (1, 2):
        random.seed(other_seed)
        np.random.seed(other_seed)
        torch.manual_seed(7)
        draws.append([transform(noise()) for _ in range(5)])
    assert all(torch.equal(first, second) for first, second in zip(*draws, strict=True))
    assert any(not torch.equal(draws[0][0], other) for other in draws[0][1:])


@pytest.mark.parametrize("policy", ["none", "rand"])
def test_the_default_draws_what_it_always_drew(policy: Any) -> None:
    preprocess = Preprocess(size=(32, 32))
    fill = [round(255 * mean) for mean in preprocess.mean]
    plain = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomResizedCrop([32, 32], (0.35, 1.0), (0.75, 1.333), v2.InterpolationMode.BICUBIC),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.2, 0.2, 0.2),
            v2.RandAugment(fill=fill) if policy == "rand" else v2.Identity(),
            preprocess.normalize,
        ]
    )
    transform = Augment(policy=policy).build(preprocess)
    for seed in range(10):
        drawn = []
        for made in (plain, transform):
            torch.manual_seed(seed)
            drawn.append(made(noise()))
        assert torch.equal(*drawn)


def test_without_variation_it_is_the_whole_photo() -> None:
    whole = Preprocess(size=(32, 32), resize="squash", mean=SMALL.mean, std=SMALL.std)
    assert torch.equal(STILL.build(SMALL)(noise()), whole(noise()))


def test_flip_mirrors() -> None:
    upright = STILL.build(SMALL)(noise())
    always = Augment(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=1.0, color=0.0)
    mirrored = always.build(SMALL)(noise().transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert (mirrored - upright).abs().max() < 2 / 255


def test_crops_keep_the_asked_share() -> None:
    # A horizontal ramp: the range of values in a crop tells its width.
    ramp = Image.fromarray(
        np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 256, axis=0).repeat(3, axis=2)
    )
    transform = Augment(scale=(0.25, 0.25), ratio=(1.0, 1.0), flip=0.0, color=0.0).build(SMALL)
    torch.manual_seed(0)
    spans = [float(crop.max() - crop.min()) for crop in (transform(ramp) for _ in range(10))]
    assert min(spans) > 0.45
    assert max(spans) < 0.52


def test_erasing_and_rotation_leave_the_mean_colour() -> None:
    grey = Preprocess(size=(32, 32))
    white = Image.new("RGB", (40, 40), "white")
    for change in ({"erasing": 1.0}, {"rotation": 180.0}):
        augment = Augment(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, color=0.0, **change)  # type: ignore[arg-type]
        torch.manual_seed(3)
        tensor = augment.build(grey)(white)
        assert (tensor.abs() < 0.02).any(), change
        assert (tensor > 1.5).any(), change


def test_noise_is_drawn_up_to_its_deviation_before_normalisation() -> None:
    still = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "color": 0.0}
    wide = Preprocess(size=(64, 64), mean=(0.5,) * 3, std=(0.1,) * 3)
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    transform = Augment(noise=0.05, **still).build(wide)  # type: ignore[arg-type]
    torch.manual_seed(0)
    deviations = [0.1 * transform(grey).std().item() for _ in range(40)]
    assert max(deviations) < 0.051
    assert 0.02 < sum(deviations) / len(deviations) < 0.03
    assert max(deviations) - min(deviations) > 0.035
    black = Augment(noise=1.0, **still).build(SMALL)(Image.new("RGB", (9, 9)))  # type: ignore[arg-type]
    assert black.min() == 0  # not below black


def test_hue_turns_colours_and_leaves_grey() -> None:
    turning = Augment(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, color=0.0, hue=0.5).build(SMALL)
    torch.manual_seed(0)
    reds = torch.stack([turning(Image.new("RGB", (8, 8), (200, 0, 0)))[:, 0, 0] for _ in range(10)])
    assert reds.max(dim=1).values.sub(200 / 255).abs().max() < 0.01
    assert set(reds.argmax(dim=1).tolist()) == {0, 1, 2}
    grey = Image.new("RGB", (8, 8), (90, 90, 90))
    assert (turning(grey) - 90 / 255).abs().max() < 0.01


def test_operations_and_magnitude_reach_randaugment() -> None:
    photo = noise()
    still = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "color": 0.0, "policy": "rand"}

    def mean_change(**more: int) -> float:
        transform = Augment(**still, **more).build(SMALL)  # type: ignore[arg-type]
        torch.manual_seed(0)
        return sum((transform(photo) - STILL.build(SMALL)(photo)).abs().mean().item() for _ in range(50))

    assert mean_change(operations=1) < mean_change() < mean_change(operations=5)
    assert mean_change(magnitude=1) < mean_change() < mean_change(magnitude=30)


def test_a_growing_transform_follows_the_epochs() -> None:
    sizes = [(32, 32), (32, 32), (64, 96)]
    growing = GrowingTransform(Augment(noise=0.1), Preprocess(size=(24, 24)), sizes)
    copied = pickle.loads(pickle.dumps(growing))  # noqa: S301  as a spawned worker gets it
    for transform in (growing, copied):
        shapes = [tuple(transform.at(epoch)(noise()).shape[1:]) for epoch in range(6)]
        assert shapes == [(32, 32), *sizes, (64, 96), (64, 96)]
        assert transform.at(1) is transform.at(2)
    torch.manual_seed(0)
    first = growing.at(3)(noise())
    torch.manual_seed(0)
    assert torch.equal(first, Augment(noise=0.1).build(Preprocess(size=(64, 96)))(noise()))


def test_a_growing_transform_without_epochs_is_refused() -> None:
    with pytest.raises(DataError, match="size_at"):
        GrowingTransform(Augment(), SMALL, [])


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


@pytest.mark.parametrize("resize", ["crop", "squash"])
@pytest.mark.parametrize("photo", [(1.0, 1.0), (3.0, 1.0), (1.0, 2.0)])
def test_no_crop_of_a_photo_with_the_pixels_needed_is_enlarged(
    resize: Any, photo: tuple[float, float]
) -> None:
    augment = Augment(scale=(0.2, 0.5), ratio=(0.6, 1.2))
    height, width = augment.pixels_needed((32, 48))
    pixels = torch.zeros(3, round(height * photo[1]), round(width * photo[0]), dtype=torch.uint8)
    crop = augment.build(Preprocess(size=(32, 48), resize=resize)).transforms[1]  # type: ignore[attr-defined]
    for _ in range(50):
        _, _, cut_height, cut_width = crop.box(pixels)
        assert cut_height >= 31
        assert cut_width >= 47
