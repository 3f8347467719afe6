from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from activitynet.data.augment import Augment
from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.cache import PhotoCache
from activitynet.data.dataset import Photo
from activitynet.data.drawn import draw_picture
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError, ImageError

VARIED = Augment(hue=0.1, rotation=10, noise=0.1, erasing=0.5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Photo, ...]:
    root = tmp_path_factory.mktemp("photos")
    found = []
    for number in range(6):
        picture = draw_picture("dancing", number, split="test", size=320)
        grain = np.random.default_rng(number).normal(0, 4, (240, 320, 3))
        pixels = (np.asarray(picture)[40:280] + grain).clip(0, 255).astype(np.uint8)
        path = root / f"{number}.jpg"
        Image.fromarray(pixels).save(path, quality=88)
        found.append(Photo(path, number % 2))
    return tuple(found)


def augmented(photos: tuple[Photo, ...], seed: int = 0, **options: object) -> AugmentedPhotos:
    return AugmentedPhotos(photos, VARIED, Preprocess(size=(48, 40)), seed=seed, **options)  # type: ignore[arg-type]


def images(dataset: AugmentedPhotos, batch_size: int = 4, **options: int) -> torch.Tensor:
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=dataset.collate, **options)
    batches = list(loader)
    assert np.concatenate([indices for _, _, indices in batches]).tolist() == list(range(len(dataset)))
    expected = [photo.label for photo in dataset.photos]
    assert np.concatenate([labels for _, labels, _ in batches]).tolist() == expected
    return torch.cat([dataset.color_jitter(raw) for raw, _, _ in batches])


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # more than there are cores
@pytest.mark.parametrize("cached", [False, True])
def test_what_is_drawn_does_not_depend_on_workers_or_batches(
    cached: bool, photos: tuple[Photo, ...], tmp_path: Path
) -> None:
    def dataset(name: str) -> AugmentedPhotos:
        cache = PhotoCache(tmp_path / name, size=80, max_bytes=10**8) if cached else None
        return augmented(photos, cache=cache)

    alone = images(dataset("a"))
    assert torch.equal(images(dataset("a"), batch_size=1), alone)
    for workers in (1, 3):
        assert torch.equal(images(dataset(f"b{workers}"), num_workers=workers), alone)


def test_what_is_drawn_depends_on_seed_epoch_and_index_alone(photos: tuple[Photo, ...]) -> None:
    dataset = augmented(photos)
    first = images(dataset)
    torch.manual_seed(99)
    for index in reversed(range(6)):
        raw, _, _ = dataset.collate([dataset[index]])
        assert torch.equal(dataset.color_jitter(raw)[0], first[index])
    same_photo = images(augmented((photos[0],) * 2))
    assert not torch.equal(same_photo[0], same_photo[1])
    assert not torch.equal(images(augmented(photos, seed=1))[0], first[0])
    dataset.set_epoch(1)
    assert not torch.equal(images(dataset)[0], first[0])
    dataset.set_epoch(0)
    assert torch.equal(images(dataset), first)


def test_the_callers_draws_are_not_disturbed(
    photos: tuple[Photo, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    # Dropout draws from the GPU's generator, which torch.manual_seed would seed as well.
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("the GPU was seeded"))
    augmented(photos)[0]
    assert torch.equal(torch.rand(3), expected)


def test_workers_that_live_on_learn_of_the_next_epoch(photos: tuple[Photo, ...]) -> None:
    dataset = augmented(photos)
    loader = DataLoader(
        dataset, batch_size=6, num_workers=1, persistent_workers=True, collate_fn=dataset.collate
    )
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        ((found, _, _),) = list(loader)
        fresh = augmented(photos)
        fresh.set_epoch(epoch)
        assert torch.equal(dataset.color_jitter(found), images(fresh))


def test_sizes_follow_the_epochs(photos: tuple[Photo, ...]) -> None:
    sizes = [(32, 32), (32, 32), (64, 96)]
    dataset = augmented(photos, size_at=sizes)
    copied = pickle.loads(pickle.dumps(dataset))  # noqa: S301  as a spawned worker gets it
    for each in (dataset, copied):
        shapes = []
        for epoch in range(6):
            each.set_epoch(epoch)
            shapes.append(tuple(each[0][0].pixels.shape[:2]))
        assert shapes == [(32, 32), *sizes, (64, 96), (64, 96)]
    with pytest.raises(DataError, match="size_at"):
        augmented(photos, size_at=[])


def test_a_cache_changes_little_of_what_is_seen(photos: tuple[Photo, ...], tmp_path: Path) -> None:
    """The same crop, to half a pixel of the cached photo: 8 of 255 levels on average, and no more light."""
    plain = Preprocess(size=(96, 96), resize="squash")
    augment = Augment(color=0.0, scale=(0.35, 1.0))
    side = round(96 / 0.675**0.5)
    made = []
    for name in (None, "cold", "cold"):
        cache = PhotoCache(tmp_path / name, size=side, max_bytes=10**8) if name else None
        dataset = AugmentedPhotos(photos, augment, plain, cache=cache)
        made.append(torch.stack([dataset[index][0].pixels for index in range(6)]).float())
    without, cold, warm = made
    assert torch.equal(cold, warm)
    assert not torch.equal(without, cold)
    assert (without - cold).abs().mean() < 8
    assert (without.mean(dim=(1, 2)) - cold.mean(dim=(1, 2))).abs().max() < 2


def test_a_damaged_entry_changes_nothing(
    photos: tuple[Photo, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def seen() -> torch.Tensor:
        return images(augmented(photos, cache=PhotoCache(tmp_path, size=80, max_bytes=10**8)))

    before = seen()
    for entry in tmp_path.glob("??/*.rgb"):
        data = bytearray(entry.read_bytes())
        data[len(data) // 2] ^= 255
        entry.write_bytes(data)
    assert torch.equal(seen(), before)
    assert "is damaged and is replaced" in caplog.text


@pytest.mark.parametrize("cached", [False, True])
def test_a_bad_photo_is_named_when_it_is_read(
    cached: bool, photos: tuple[Photo, ...], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(photos[0].path.read_bytes()[:4000])
    cache = PhotoCache(tmp_path / "cache", size=80, max_bytes=10**8) if cached else None
    with pytest.raises(ImageError, match=r"cut\.jpg.*damaged or truncated"):
        augmented((Photo(cut, 0),), cache=cache)[0]
