from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import RandomResizedCrop

from activitynet.data.augment import Augment, Crop, draw_crop
from activitynet.data.cache import CachedPhoto
from activitynet.data.decode import OpenPhoto, decode_image
from activitynet.data.drawn import draw_picture
from activitynet.data.preprocess import Preprocess

INPUT = Preprocess(size=(64, 64))


def jpeg(**options: Any) -> bytes:
    picture = draw_picture("dancing", 0, split="test", size=512).crop((0, 60, 512, 420))
    grain = np.random.default_rng(0).normal(0, 6, (360, 512, 3))
    file = io.BytesIO()
    pixels = (np.asarray(picture) + grain).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=85, **options)
    return file.getvalue()


def opened(data: bytes) -> OpenPhoto:
    return OpenPhoto(io.BytesIO(data), "a.jpg")


@given(
    st.floats(0.05, 20),
    st.lists(st.floats(0.01, 1), min_size=2, max_size=2).map(sorted),
    st.lists(st.floats(0.2, 5), min_size=2, max_size=2).map(sorted),
    st.integers(0, 2**60),
)
def test_a_crop_lies_in_its_photo_and_keeps_its_bounds(
    shape: float, scale: list[float], bounds: list[float], seed: int
) -> None:
    torch.manual_seed(seed)
    size = (max(1, round(1000 * shape)), 1000)
    crop = draw_crop(size, scale=(scale[0], scale[1]), ratio=(bounds[0], bounds[1]), flip=0.5)
    assert 0 < crop.width <= 1
    assert 0 < crop.height <= 1
    assert 0 <= crop.left <= 1 - crop.width + 1e-9
    assert 0 <= crop.top <= 1 - crop.height + 1e-9
    got = crop.width * size[0] / (crop.height * size[1])
    assert bounds[0] * (1 - 1e-6) <= got <= bounds[1] * (1 + 1e-6)
    assert crop.width * crop.height <= scale[1] * (1 + 1e-6) or math.isclose(1, max(crop.width, crop.height))
    for sides in ((1, 1), (3, 500), size):
        left, top, right, bottom = crop.box(*sides)
        assert 0 <= left < right <= sides[0]
        assert 0 <= top < bottom <= sides[1]


def test_crops_are_spread_as_those_of_torchvision() -> None:
    torch.manual_seed(0)
    scale, ratio, photo = (0.1, 1.0), (0.5, 2.0), torch.zeros(3, 300, 500)
    ours = [draw_crop((500, 300), scale=scale, ratio=ratio, flip=0.3) for _ in range(4000)]
    theirs = [RandomResizedCrop.get_params(photo, list(scale), list(ratio)) for _ in range(4000)]
    boxes = [(crop.top * 300, crop.left * 500, crop.height * 300, crop.width * 500) for crop in ours]
    for side in range(4):
        expected = np.array([box[side] for box in theirs])
        found = np.array([box[side] for box in boxes])
        assert found.mean() == pytest.approx(expected.mean(), abs=4 * expected.std() / 4000**0.5 + 0.5)
        assert found.std() == pytest.approx(expected.std(), rel=0.06)
    assert sum(crop.mirrored for crop in ours) / 4000 == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("squash", [False, True])
def test_a_crop_is_never_decoded_below_its_size(squash: bool) -> None:
    data, sizes = jpeg(), set()
    for seed in range(30):
        torch.manual_seed(seed)
        crop = Augment(scale=(0.1, 1.0)).draw_crop((512, 360), squash=squash)
        decoded = opened(data).decode(at_least=crop.least_size((64, 48)))
        left, top, right, bottom = crop.box(*decoded.size)
        sizes.add(decoded.size)
        if decoded.size != (512, 360):
            assert right - left >= 47
            assert bottom - top >= 63
    assert len(sizes) > 1


@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_decoded_for_a_crop_is_the_crop_of_the_whole(orientation: int) -> None:
    """Within 6 of 255 levels on average: a scaled decoding is another low-pass filter, and moves nothing."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(exif=exif)
    photo = decode_image(data)
    whole = CachedPhoto(photo.size, np.asarray(photo))
    for seed in range(20):
        torch.manual_seed(seed)
        assert opened(data).size == photo.size
        crop = Augment().draw_crop(photo.size, squash=True)
        found, expected = (crop.read(source, INPUT).float() for source in (opened(data), whole))
        assert (found - expected).abs().mean() < 6
        assert abs(found.mean() - expected.mean()) < 1
        # A pixel beside its place would be further off.
        shifted = (found[..., 1:] - expected[..., :-1]).abs().mean()
        assert (found - expected).abs().mean() < shifted


def test_photos_of_other_formats_and_those_that_are_small_are_cut_out_exactly() -> None:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    crop = Crop(0.1, 0.2, 0.5, 0.5, mirrored=True)
    found = crop.read(opened(file.getvalue()), Preprocess(size=(20, 25)))
    assert np.array_equal(found.permute(1, 2, 0).numpy(), pixels[8:28, 5:30][:, ::-1])
