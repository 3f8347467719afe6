"""How many training photos a second one core makes ready, in four ways, in one run.

    python benchmarks/data.py
    python benchmarks/data.py --photos data/activities/train

Times are the processor's, so that other programs do not count; nor do disks that have to be waited for.

Without ``--photos``, 200 photos of 1280 x 720 are drawn, with grain, and saved as a camera would. Every way
ends in the same tensor: a random crop resized to 224 pixels, mirrored half of the time, normalised.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from activitynet import ACTIVITIES
from activitynet.data.activities import slug
from activitynet.data.augment import Augment
from activitynet.data.cache import PhotoCache
from activitynet.data.decode import decode_image
from activitynet.data.drawn import draw_picture
from activitynet.data.photos import Photo, PhotoDataset
from activitynet.data.preprocess import Preprocess

DRAWINGS = 20  # each is used for several photos, mirrored, moved and with grain of its own
BATCH = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="a folder with one folder a class, instead of drawings")
    parser.add_argument("--count", type=int, default=200, help="how many photos (default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="passes; the fastest counts (default: 3)")
    parser.add_argument("--size", type=int, default=224, help="side of the tensors (default: 224)")
    parser.add_argument("--at-least", type=int, help="least side of a reduced photo (default: the size)")
    parser.add_argument(
        "--cache-size", type=int, default=256, help="shorter side in the cache (default: 256)"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.photos or draw_photos(Path(scratch) / "photos", arguments.count)
        plain = ImageFolder(str(folder), torchvision_transform(arguments.size))
        if len(plain) > arguments.count:  # evenly over the classes
            step = len(plain) / arguments.count
            plain.samples = [plain.samples[int(index * step)] for index in range(arguments.count)]
        photos = [Photo(Path(path), label) for path, label in plain.samples]
        describe(photos)
        ours = partial(PhotoDataset, photos, activitynet_transform(arguments.size))
        least = arguments.at_least or arguments.size
        cache = PhotoCache(Path(scratch) / "cache", size=arguments.cache_size, max_bytes=10**12)
        began = time.process_time()
        for photo in photos:
            cache.get(photo.path)
        print(f"cache filled at {len(photos) / (time.process_time() - began):.0f} photos/s")
        ways = {
            "torchvision ImageFolder": plain,
            "PhotoDataset": ours(),
            f"PhotoDataset, at least {least} pixels": ours(
                read=partial(decode_image, at_least=(least, least))
            ),
            f"PhotoDataset, cache of {arguments.cache_size} pixels": ours(read=cache.get),
        }
        # In turns, so that whatever else the machine does is shared.
        rounds = [{name: seconds(dataset) for name, dataset in ways.items()} for _ in range(arguments.rounds)]
    report(rounds, len(photos))


def torchvision_transform(size: int) -> v2.Compose:
    mean, std = Preprocess.mean, Preprocess.std
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(mean), list(std)),
        ]
    )


def activitynet_transform(size: int) -> Callable[[Image.Image], torch.Tensor]:
    augment = Augment(scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5, color=0.0)
    return augment.build(Preprocess(size=(size, size), interpolation="bilinear"))


def seconds(dataset: torch.utils.data.Dataset) -> float:
    """Take the processor's time of one pass in this process: that of one core, whoever else uses it."""
    loader: Iterable = DataLoader(dataset, batch_size=BATCH, num_workers=0)
    began = time.process_time()
    for _ in loader:
        pass
    return time.process_time() - began


def report(rounds: list[dict[str, float]], count: int) -> None:
    best = {name: min(each[name] for each in rounds) for name in rounds[0]}
    slowest = next(iter(best.values()))
    print(f"{'':40} photos/s  times as fast  (median)")
    for name, least in best.items():
        median = statistics.median(next(iter(each.values())) / each[name] for each in rounds)
        print(f"{name:40} {count / least:8.0f}  {slowest / least:13.1f}  {median:8.1f}")


def describe(photos: list[Photo]) -> None:
    sizes = [photo.path.stat().st_size / 1024 for photo in photos]
    shapes = []
    for photo in photos:
        with Image.open(photo.path) as image:
            shapes.append(image.size)
    width, height = (statistics.median(side) for side in zip(*shapes, strict=True))
    print(f"{len(photos)} photos of {width:.0f} x {height:.0f}, {statistics.median(sizes):.0f} KiB (medians)")


def draw_photos(folder: Path, count: int) -> Path:
    """Draw photos that cost as much to decode as real ones: grain fills the high frequencies."""
    drawings = [
        draw_picture(ACTIVITIES[index % len(ACTIVITIES)], index // len(ACTIVITIES), split="speed", size=512)
        for index in range(min(DRAWINGS, count))
    ]
    for index in range(count):
        chance = np.random.default_rng(index)
        top = int(chance.integers(0, 512 - 288))
        picture = drawings[index % len(drawings)].resize(
            (1280, 720), Image.Resampling.BICUBIC, box=(0, top, 512, top + 288)
        )
        # Grain as a sensor's, softened as a camera's processing leaves it, and the finer grain that is left.
        coarse = chance.normal(0, 10, (360, 640, 3)).repeat(2, axis=0).repeat(2, axis=1)
        grain = coarse * 0.5 + chance.normal(0, 5, (720, 1280, 3))
        pixels = (np.asarray(picture) + grain).clip(0, 255).astype(np.uint8)
        path = folder / slug(ACTIVITIES[index % len(ACTIVITIES)]) / f"{index:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, :: chance.choice([-1, 1])]).save(path, quality=int(chance.integers(85, 91)))
    return folder


if __name__ == "__main__":
    main()
