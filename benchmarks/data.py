"""How many training photos a second a core makes ready, beside torchvision, and whether training waits.

    python benchmarks/data.py
    python benchmarks/data.py --photos data/activities/train --json results.json

One run measures all ways in turns. Each is a loader with the same number of worker processes, and ends in the
same batches in the training process: random crops of the same sizes and shapes, mirrored half of the time, of
varied light, normalised, float32. Rates are photos by the processor time of all its processes together, so
that other programs do not count, nor disks that have to be waited for.

200 photos of 1280 x 720 are drawn, with grain, and saved as a camera would: see "bits a pixel", and compare
those of photos that you give as a folder with one folder a class (``--photos``). These are measured as well.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from activitynet import ACTIVITIES, create_model
from activitynet.data.augment import Augment
from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.dataset import Photo, slug
from activitynet.data.drawn import draw_picture
from activitynet.data.preprocess import Preprocess
from activitynet.runtime.devices import keep_freed_memory
from activitynet.training import Recipe, train
from activitynet.training.fit import open_cache

DRAWINGS = 20  # each is used for several photos, mirrored, moved and with grain of its own
BATCH = 32
AUGMENT = Augment()
MODEL = "efficientnet_b0_se"
# Real photos of 224 pixels take 1.8 bits a pixel at this quality, and 0.79 times as many at each doubling of
# their size: 1.2 at 1280 x 720.
QUALITY, GRAIN = 82, 4.5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="photos to measure as well: a folder with one a class")
    parser.add_argument("--count", type=int, default=200, help="photos of each kind (default: 200)")
    parser.add_argument("--turns", type=int, default=5, help="how often each way has its turn (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn (default: 1)")
    parser.add_argument("--size", type=int, default=224, help="side of the images (default: 224)")
    parser.add_argument("--workers", type=int, default=1, help="processes that load (default: 1)")
    parser.add_argument("--train-sizes", type=int, nargs="*", default=[128, 224], help="training epochs")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    arguments = parser.parse_args()

    results: dict[str, Any] = {"machine": machine(), "loading": [], "training": []}
    with tempfile.TemporaryDirectory() as scratch:
        folders = [draw_photos(Path(scratch) / "photos", arguments.count)]
        folders += [arguments.photos] if arguments.photos else []
        threads = torch.get_num_threads()
        keep_freed_memory()  # as training does on a CPU
        for folder in folders:
            torch.set_num_threads(1)
            results["loading"].append(compare(folder, Path(scratch) / f"cache-{folder.name}", arguments))
            torch.set_num_threads(threads)
        for size in arguments.train_sizes:
            results["training"].append(wait_in_training(folders[0], size, arguments.workers))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def compare(folder: Path, scratch: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    samples = evenly(ImageFolder(str(folder)).samples, arguments.count)
    photos = [Photo(Path(path), label) for path, label in samples]
    facts = describe(photos)
    print(facts.pop("text"))
    ways: dict[str, Callable[[], int]] = {}
    for filter_name in ("bilinear", "bicubic"):
        plain = ImageFolder(str(folder), torchvision_transform(arguments.size, filter_name))
        plain.samples = samples
        ways[f"torchvision, {filter_name}"] = passes(plain, arguments.workers)
    for filter_name in ("bilinear", "bicubic"):
        # Crops keep their shape here, as torchvision's do.
        preprocess = Preprocess(size=(arguments.size,) * 2, resize="crop", interpolation=filter_name)
        cache = open_cache(scratch, Recipe(augment=AUGMENT), preprocess, gigabytes=100)
        for name, kept in (("no cache", None), ("cache", cache)):
            ours = AugmentedPhotos(photos, AUGMENT, preprocess, cache=kept)
            ways[f"activitynet, {filter_name}, {name}"] = passes(ours, arguments.workers)
    for way in ways.values():  # fills caches, starts workers
        way()
        way()
    turns = [
        {name: rate(way, arguments.seconds) for name, way in ways.items()} for _ in range(arguments.turns)
    ]
    rows = []
    print(f"  {'way':34} {'photos/s':>8}   times as fast as torchvision with the same filter (turns)")
    for name in ways:
        peer = f"torchvision, {name.split(', ')[1]}"
        ratios = sorted(turn[name] / turn[peer] for turn in turns)
        row = {
            "way": name,
            "photos_per_core_second": round(statistics.median(turn[name] for turn in turns), 1),
            "times_as_fast": {"median": round(statistics.median(ratios), 2), "turns": ratios},
        }
        rows.append(row)
        print(
            f"  {name:34} {row['photos_per_core_second']:8.0f}   {statistics.median(ratios):5.2f}  "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )
    return {**facts, "size": arguments.size, "workers": arguments.workers, "rows": rows}


def torchvision_transform(size: int, filter_name: str) -> transforms.Compose:
    color = AUGMENT.color
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(
                size, AUGMENT.scale, AUGMENT.ratio, transforms.InterpolationMode(filter_name)
            ),
            transforms.RandomHorizontalFlip(AUGMENT.flip),
            transforms.ColorJitter(color, color, color),
            transforms.ToTensor(),
            transforms.Normalize(Preprocess.mean, Preprocess.std),
        ]
    )


def passes(dataset: Any, workers: int) -> Callable[[], int]:
    """Return a function that goes through a data set once, and says how many photos that were."""
    loader: Iterable[Any] = DataLoader(
        dataset,
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=getattr(dataset, "collate", None),
    )
    color_jitter = getattr(dataset, "color_jitter", None)

    def once() -> int:
        for images, *_ in loader:
            if color_jitter is not None:
                color_jitter(images)
        return len(dataset)

    return once


def rate(way: Callable[[], int], seconds: float) -> float:
    """Return photos a second of processor time, its own and its workers', over at least ``seconds``."""
    done, began, used = 0, time.perf_counter(), processor_seconds()
    while time.perf_counter() - began < seconds:
        done += way()
    return done / (processor_seconds() - used)


def processor_seconds() -> float:
    """Return what this process and its children that are alive have used of the processor."""
    used = time.process_time()
    for child in multiprocessing.active_children():
        for thread in Path(f"/proc/{child.pid}/task").iterdir():
            used += int((thread / "schedstat").read_text().split()[0]) / 1e9
    return used


def wait_in_training(folder: Path, size: int, workers: int) -> dict[str, Any]:
    """Train for two epochs and return how much of the second was spent waiting for photos."""
    photos = [Photo(Path(path), label) for path, label in ImageFolder(str(folder)).samples]
    preprocess = Preprocess(size=(size, size), resize="squash")
    model = create_model(MODEL, num_classes=len(ACTIVITIES))
    timings = train(
        model,
        AugmentedPhotos(photos, AUGMENT, preprocess),
        lambda _: {"macro_f1": 0.0, "accuracy": 0.0},
        Recipe(epochs=2, batch_size=BATCH),
        workers=workers,
    ).timings
    seconds, waited = timings[-1]["seconds"], timings[-1]["waited_seconds"]
    print(
        f"training {MODEL} at {size} px, {workers} worker(s), no cache: {seconds:.1f} s an epoch, of which "
        f"{waited:.2f} s ({waited / seconds:.1%}) waiting for photos",
        flush=True,
    )
    return {"model": MODEL, "size": size, "workers": workers, "seconds": seconds, "waited_seconds": waited}


def evenly(samples: list[Any], count: int) -> list[Any]:
    """Return so many samples, evenly over the classes."""
    step = max(1.0, len(samples) / count)
    return [samples[int(index * step)] for index in range(min(count, len(samples)))]


def describe(photos: list[Photo]) -> dict[str, Any]:
    sizes, bits = [], []
    for photo in photos:
        with Image.open(photo.path) as image:
            sizes.append(image.size)
        bits.append(8 * photo.path.stat().st_size / (sizes[-1][0] * sizes[-1][1]))
    width, height = (statistics.median(side) for side in zip(*sizes, strict=True))
    kib = statistics.median(photo.path.stat().st_size / 1024 for photo in photos)
    facts = {"photos": len(photos), "width": width, "height": height, "kib": round(kib, 1)}
    facts["bits_a_pixel"] = round(statistics.median(bits), 2)
    text = f"{len(photos)} photos of {width:.0f} x {height:.0f}, {kib:.0f} KiB, "
    return {**facts, "text": text + f"{facts['bits_a_pixel']} bits a pixel (medians)"}


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
        coarse = chance.normal(0, 1, (360, 640, 3)).repeat(2, axis=0).repeat(2, axis=1)
        grain = GRAIN * (coarse + chance.normal(0, 1, (720, 1280, 3)))
        pixels = (np.asarray(picture) + grain).clip(0, 255).astype(np.uint8)
        path = folder / slug(ACTIVITIES[index % len(ACTIVITIES)]) / f"{index:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, :: chance.choice([-1, 1])]).save(path, quality=QUALITY)
    return folder


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "pillow": PIL.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


if __name__ == "__main__":
    main()
