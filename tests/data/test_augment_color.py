from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from activitynet.data.augment import Augment, BatchColorJitter, PhotoBatch, PhotoSample, rotate_hues
from activitynet.data.preprocess import Preprocess

AS_IS = Preprocess(mean=(0.0,) * 3, std=(1.0,) * 3)
EVERYTHING = Augment(color=0.5, hue=0.3, noise=0.2)


def photos(count: int, low: int = 0, high: int = 256, size: tuple[int, int] = (33, 47)) -> list[torch.Tensor]:
    chance = np.random.default_rng(0)
    return [torch.from_numpy(chance.integers(low, high, (*size, 3), dtype=np.uint8)) for _ in range(count)]


def jittered(jitter: BatchColorJitter, raws: list[PhotoSample]) -> torch.Tensor:
    return jitter(PhotoBatch.of(raws))


def reference(raw: PhotoSample) -> torch.Tensor:
    """What torchvision makes of one photo, one change after the other."""
    brightness, contrast, saturation, turn, _, _ = raw.factors
    image = raw.pixels.permute(2, 0, 1).double() / 255
    image = F.adjust_contrast(F.adjust_brightness(image, brightness), contrast)
    return F.adjust_hue(F.adjust_saturation(image, saturation).float(), turn)


def test_a_batch_is_changed_as_torchvision_changes_each_photo() -> None:
    """Where it has nothing to clip in between, which happens here once, at the end."""
    jitter = BatchColorJitter(Augment(color=0.25, hue=0.4), AS_IS)
    raws = [jitter.draw(pixels) for pixels in photos(9, 60, 140)]
    expected = torch.stack([reference(raw) for raw in raws])
    assert torch.allclose(jittered(jitter, raws), expected, atol=2e-5)
    assert len({raw.factors for raw in raws}) == 9


def test_without_color_jitter_a_photo_is_normalised_alone() -> None:
    jitter = BatchColorJitter(Augment(color=0.0), Preprocess())
    raws = [jitter.draw(pixels) for pixels in photos(5)]
    expected = torch.stack([Preprocess().normalize(raw.pixels.permute(2, 0, 1)) for raw in raws])
    assert torch.allclose(jittered(jitter, raws), expected, atol=1e-5)


def test_factors_reach_their_bounds_and_values_stay_in_range() -> None:
    jitter = BatchColorJitter(EVERYTHING, AS_IS)
    drawn = torch.tensor([jitter.draw(photos(1)[0]).factors for _ in range(500)])
    for column, (low, high) in enumerate([(0.5, 1.5)] * 3 + [(-0.3, 0.3), (0.0, 0.2)]):
        assert low <= drawn[:, column].min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < drawn[:, column].max() <= high
    images = jittered(jitter, [jitter.draw(pixels) for pixels in photos(6)])
    assert images.dtype == torch.float32
    assert images.shape == (6, 3, 33, 47)
    assert images.min() == 0
    assert images.max() == 1


@pytest.mark.parametrize("augment", [Augment(), EVERYTHING])
def test_bits_do_not_depend_on_the_batch_or_on_threads(augment: Augment) -> None:
    jitter = BatchColorJitter(augment, Preprocess())
    raws = [jitter.draw(pixels) for pixels in photos(11, size=(97, 131))]
    whole = jittered(jitter, raws)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            for share in (1, 3, 5, 11):
                parts = [jittered(jitter, raws[start : start + share]) for start in range(0, 11, share)]
                assert torch.equal(torch.cat(parts), whole)
    finally:
        torch.set_num_threads(threads)


def test_noise_is_each_photos_own() -> None:
    grey = torch.full((40, 40, 3), 128, dtype=torch.uint8)
    jitter = BatchColorJitter(Augment(color=0.0, noise=0.1), AS_IS)
    factors = (1.0, 1.0, 1.0, 0.0, 0.1, 0.5)
    images = jittered(jitter, [PhotoSample(grey, factors, seed) for seed in (1, 2, 1)])
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])
    assert images.std().item() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.15, 0.5])
def test_hues_turn_as_in_torchvision(turn: float) -> None:
    chance = torch.rand(2, 3, 20, 20)
    chance[0, :, :5] = chance[0, :1, :5]  # grey
    chance[0, 0] = chance[0, 1]  # two channels alike
    assert torch.allclose(rotate_hues(chance, torch.full((2,), turn)), F.adjust_hue(chance, turn), atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_computes_the_same() -> None:
    jitter = BatchColorJitter(Augment(color=0.5, hue=0.3), Preprocess())
    raws = [jitter.draw(pixels) for pixels in photos(4)]
    found: Callable[..., torch.Tensor] = jitter
    images = found(PhotoBatch.of(raws), torch.device("cuda"))
    assert torch.allclose(images.cpu(), jittered(jitter, raws), atol=1e-4)
