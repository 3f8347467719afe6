from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from activitynet.data.augment import Augment
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError

STILL = Augment(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, color=0.0)
SMALL = Preprocess(size=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)
EVERYTHING = Augment(rotation=30, policy="rand", erasing=1.0)

pairs = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(lambda pair: (min(pair), max(pair)))
augments = st.builds(
    Augment,
    scale=pairs,
    ratio=pairs,
    flip=st.floats(0, 1),
    color=st.floats(0, 1),
    rotation=st.floats(0, 180),
    policy=st.sampled_from(["none", "trivial", "rand"]),
    erasing=st.floats(0, 1),
)


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))


@given(augments)
def test_the_record_survives_json(augment: Augment) -> None:
    assert Augment.from_dict(json.loads(json.dumps(augment.to_dict()))) == augment


@pytest.mark.parametrize("augment", [Augment(), Augment(policy="trivial"), EVERYTHING])
@pytest.mark.parametrize("size", [(40, 30), (1, 500), (500, 1), (1, 1)])
def test_any_photo_becomes_a_finite_tensor_of_the_size(augment: Augment, size: tuple[int, int]) -> None:
    tensor = augment.build(Preprocess(size=(24, 32)))(Image.new("RGB", size, (40, 80, 120)))
    assert type(tensor) is torch.Tensor
    assert tensor.shape == (3, 24, 32)
    assert tensor.dtype == torch.float32
    assert tensor.isfinite().all()


@pytest.mark.parametrize("augment", [Augment(), Augment(policy="trivial"), EVERYTHING])
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
        {"erasing": "0.5"},
        {"policy": "random"},
        {"policy": ["rand"]},
        {"blur": 1.0},
    ],
)
def test_bad_values_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(change))):
        Augment.from_dict({**Augment().to_dict(), **change})
