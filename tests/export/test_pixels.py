from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from activitynet.data.preprocess import Preprocess
from activitynet.export.pixels import Pixels

SIZES = ((64, 64), (500, 333), (30, 200), (720, 1280), (7, 5), (1, 1), (96, 61), (900, 3))


def in_levels(preprocess: Preprocess, difference: torch.Tensor) -> torch.Tensor:
    return difference.abs() * torch.tensor(preprocess.std).reshape(3, 1, 1) * 255


@pytest.mark.parametrize("size", [(64, 64), (96, 61)])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_it_is_the_preprocessing(
    resize: str, interpolation: str, antialias: bool, size: tuple[int, int]
) -> None:
    preprocess = Preprocess(size=size, resize=resize, interpolation=interpolation, antialias=antialias)
    pixels = Pixels(preprocess)
    for seed, shape in enumerate(SIZES):
        photo = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
        expected = preprocess(Image.fromarray(photo))
        found = pixels(torch.from_numpy(photo)[None])[0]
        assert found.dtype == torch.float32
        off = in_levels(preprocess, found - expected)
        # Noise is the hardest photo there is: where a sum is a half, the last bit decides.
        assert off.max() < 1.1, shape
        assert (off > 0.01).float().mean() < 1e-3, shape


def test_every_photo_of_a_batch_is_treated_alike() -> None:
    pixels = Pixels(Preprocess(size=(32, 48), resize="pad"))
    photos = torch.randint(0, 256, (3, 50, 40, 3), dtype=torch.uint8)
    assert torch.equal(pixels(photos), torch.cat([pixels(photo[None]) for photo in photos]))


def test_all_common_sides_are_cut_as_the_preprocessing_cuts_them() -> None:
    # A cut that is one pixel off moves the whole photo: shown by a ramp, on which that is seen at once.
    for crop_pct, side in itertools.product((0.875, 0.9, 0.95), range(224, 1300, 23)):
        preprocess = Preprocess(size=(32, 32), crop_pct=crop_pct, interpolation="bilinear")
        ramp = (np.arange(side) * 255 // side).astype(np.uint8)
        photo = np.broadcast_to(ramp[None, :, None], (side, side, 3)).copy()
        found = Pixels(preprocess)(torch.from_numpy(photo)[None])[0]
        off = in_levels(preprocess, found - preprocess(Image.fromarray(photo)))
        assert off.mean() < 0.05, (crop_pct, side)
