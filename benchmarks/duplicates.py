"""Find planted copies across the splits of a data set, and time the search among many hashes.

    python benchmarks/duplicates.py planted                   5,000 drawn images, 1,000 of them copies
    python benchmarks/duplicates.py planted --photos DATA     the same with photos of your own
    python benchmarks/duplicates.py growth                    1,000, 10,000 and 100,000 hashes

A planted copy lies in another split than its original and was saved as JPEG again, at another quality; most
were changed before. Recall is the share of the copies that `audit` reports together with their originals, and
precision the share of planted pairs among all it reports (photos of your own may hold others).

The hashes whose search is timed are random, but for one in a hundred, which is a copy of another with a few
bits turned.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from activitynet.data.audit import audit
from activitynet.data.dataset import ACTIVITIES, Photo, PhotoData, by_split
from activitynet.data.decode import decode_image
from activitynet.data.drawn import draw_picture
from activitynet.data.duplicates import similar_pairs
from activitynet.data.open import open_data
from activitynet.data.scan import PhotoHash

DISTANCE = 10
COPIES = 5  # one image in so many is a copy


def resized(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    scale = rng.uniform(0.4, 1.5)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)


def cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut 5 % off the width and off the height, anywhere."""
    left, top = rng.uniform(0, 0.05, 2) * image.size
    box = (left, top, left + 0.95 * image.width, top + 0.95 * image.height)
    return image.crop(tuple(map(round, box)))


def mirrored(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


CHANGES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "encoded again": lambda image, _: image,
    "resized": resized,
    "mirrored": mirrored,
    "cropped by 5 %": cropped,
    "all of these": lambda image, rng: mirrored(cropped(resized(image, rng), rng), rng),
}


def drawn(count: int, size: int) -> Iterable[Image.Image]:
    for index in np.random.default_rng(0).permutation(count).tolist():
        name = ACTIVITIES[index % len(ACTIVITIES)]
        yield draw_picture(name, index // len(ACTIVITIES), split="train", size=size, seed=0)


def plant(folder: Path, originals: Iterable[Image.Image]) -> tuple[PhotoData, dict[tuple[Path, Path], str]]:
    """Save images in two splits, and copies of a quarter of them in the other one.

    Returns:
        The data set, and by what change each copy (original, copy) was made.
    """
    rng = np.random.default_rng(0)
    splits: list[list[Photo]] = [[], []]
    pairs = {}
    changes = itertools.cycle(CHANGES)
    for index, image in enumerate(originals):
        split, label = index % 2, index // 2 % 2
        path = folder / f"{index}.jpg"
        image.save(path, quality=90)
        splits[split].append(Photo(path, label))
        if index % (COPIES - 1) == 0:
            change, copy = next(changes), folder / f"{index}-copy.jpg"
            changed = CHANGES[change](decode_image(path), rng)
            changed.save(copy, quality=int(rng.integers(40, 80)))
            splits[1 - split].append(Photo(copy, label))
            pairs[path, copy] = change
    return PhotoData(("one", "other"), tuple(splits[0]), tuple(splits[1])), pairs


def found_pairs(data: PhotoData) -> set[tuple[Path, Path]]:
    """Return the pairs of photos that an audit reports as duplicates."""
    pairs = set()
    for finding in audit(data).findings:
        if finding.kind in ("exact_duplicate", "near_duplicate"):
            pairs.update(itertools.permutations([Path(photo.path) for photo in finding.photos], 2))
    return pairs


def measure(folder: Path, originals: Iterable[Image.Image]) -> tuple[dict[str, float], float, int]:
    """Return the recall of each change, the precision, and how many pairs were reported."""
    data, pairs = plant(folder, originals)
    found = found_pairs(data)
    recalls = {}
    for change in CHANGES:
        planted = [pair for pair, made in pairs.items() if made == change]
        recalls[change] = sum(pair in found for pair in planted) / len(planted)
    reported = len(found) // 2
    return recalls, sum(pair in found for pair in pairs) / max(reported, 1), reported


def planted(count: int, photos: Path | None, size: int) -> None:
    originals = count - count // COPIES
    images = drawn(originals, size)
    if photos is not None:
        every = [photo.path for _, part in by_split(open_data(photos)) for photo in part]
        chosen = np.random.default_rng(0).permutation(len(every))[:originals]
        if len(chosen) < originals:
            raise SystemExit(f"{photos} has {len(every)} photos, fewer than {originals}.")
        images = (decode_image(every[index]) for index in chosen)
    with tempfile.TemporaryDirectory() as folder:
        recalls, precision, reported = measure(Path(folder), images)
    print(f"{originals} originals, {count // COPIES} copies in another split; {reported} pairs reported")
    for change, recall in recalls.items():
        print(f"{change:>16}: recall {recall:.3f}")
    print(f"{'all':>16}: recall {np.mean(list(recalls.values())):.3f}, precision {precision:.3f}")


def hashes(count: int, rng: np.random.Generator) -> tuple[list[PhotoHash], set[tuple[int, int]]]:
    bits = rng.integers(0, 2**64, (count, 12), dtype=np.uint64)
    thumbs = rng.integers(0, 256, (count, 6, 16, 16), dtype=np.uint8)
    copies = rng.permutation(count)[: count // 50].reshape(2, -1)
    for original, copy in copies.T:
        turned = rng.choice(64, rng.integers(0, DISTANCE + 1), replace=False)
        bits[copy] = bits[original] ^ np.uint64(sum(1 << int(bit) for bit in turned))
        thumbs[copy] = thumbs[original]
    made = [PhotoHash(tuple(row), thumb) for row, thumb in zip(bits.tolist(), thumbs, strict=True)]
    return made, {(int(min(pair)), int(max(pair))) for pair in copies.T}


def growth(counts: list[int]) -> None:
    print(f"{'hashes':>10} {'CPU seconds':>12} {'us a hash':>10} {'planted':>8} {'found':>8} {'other':>8}")
    for count in counts:
        made, pairs = hashes(count, np.random.default_rng(0))
        began = time.process_time()
        found = set(similar_pairs(made, max_distance=DISTANCE))
        seconds = time.process_time() - began
        hits = len(found & pairs)
        print(
            f"{count:>10,} {seconds:>12.2f} {1e6 * seconds / count:>10.1f} {len(pairs):>8} {hits:>8} "
            f"{len(found) - hits:>8}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    plants = commands.add_parser("planted", help="recall and precision for planted copies")
    plants.add_argument("--count", type=int, default=5_000, help="images, the copies included")
    plants.add_argument("--photos", type=Path, help="a data set whose photos to take, instead of drawings")
    plants.add_argument("--size", type=int, default=128, help="side of the drawings in pixels")
    grows = commands.add_parser("growth", help="the time of the search")
    grows.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options = parser.parse_args()
    if options.command == "planted":
        planted(options.count, options.photos, options.size)
    else:
        growth(options.counts)


if __name__ == "__main__":
    main()
