"""Photos on disk to labels: the command's path beside what people would use instead, and how its cost grows.

    python benchmarks/bulk.py                          5,000 photos of 1280 x 720
    python benchmarks/bulk.py --count 300 --turns 3    the short form
    python benchmarks/bulk.py --photos FOLDER          photos of your own instead
    python benchmarks/bulk.py --growth                 1,000, 10,000 and 100,000 small photos, 1 and 2 workers

Every way is a process of its own, in turns. It has torch and its libraries loaded when the clock starts;
loading the weights, making an engine ready and writing the answers count. The photos are drawn with grain
like a camera's, and repeated as links. All networks have random weights, since speed does not depend on them.

transformers and ultralytics are met where they are installed; no other program's settings are touched.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pairing import Others, compare, in_turns, peak_memory, write
from PIL import Image

from activitynet import ACTIVITIES, Classifier, create_model
from data import draw_photos

NETWORK = "efficientnet_b0_se"
DRAWN = 200  # photos that are drawn; more are links to them
BATCH = 32
OURS, EXACT = "activitynet, engine auto", "activitynet, no engine"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=5000, help="how many photos (default: 5000)")
    parser.add_argument("--photos", type=Path, help="a folder of photos, instead of drawings")
    parser.add_argument("--size", type=int, default=224, help="side of the networks' input (default: 224)")
    parser.add_argument("--turns", type=int, default=1, help="(default: 1)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="(default: all that are installed)")
    parser.add_argument("--growth", action="store_true", help="measure how cost and memory grow instead")
    parser.add_argument("--counts", nargs="+", type=int, default=[1000, 10_000, 100_000])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--json", type=Path, help="write the results here too")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)  # way, weights, photos, answers
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child, size=arguments.size)
        return
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        if arguments.growth:
            results = growth(place, arguments.counts, arguments.workers)
        else:
            found = files(place, arguments.photos, arguments.count)
            results = race(place, found, arguments.size, arguments.turns, arguments.ways or installed_ways())
    write(arguments.json, results, "timm", "openvino", "onnxruntime", "pillow", "transformers", "ultralytics")


def files(scratch: Path, own: Path | None, count: int) -> Path:
    """Return a folder of so many photos, as links to fewer."""
    sources = sorted((own or draw_photos(scratch / "drawn", min(count, DRAWN))).rglob("*.jpg"))
    folder = scratch / "photos"
    folder.mkdir()
    for index, source in zip(range(count), itertools.cycle(sources)):
        (folder / f"{index:06d}.jpg").symlink_to(source.resolve())
    return folder


def race(scratch: Path, photos: Path, size: int, turns: int, names: list[str]) -> dict[str, Any]:
    model = create_model(NETWORK, num_classes=len(ACTIVITIES))
    weights = Classifier(model, ACTIVITIES, image_size=size).save(scratch / "weights")
    memory: dict[str, int] = {}

    def measure(way: str) -> float:
        answers = scratch / "answers.csv"
        answers.unlink(missing_ok=True)
        command = [sys.executable, __file__, "--size", str(size), "--child", way]
        done = subprocess.run(  # noqa: S603  this very program
            [*command, str(weights), str(photos), str(answers)],
            check=True,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "HF_HUB_OFFLINE": "1",
                "YOLO_OFFLINE": "true",
                "YOLO_CONFIG_DIR": str(scratch),
            },
        )
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["photos"] == count, f"{way} labelled {told['photos']} of {count} photos"
        memory[way] = told["peak"]
        print(f"{way}: {told['seconds']:.1f} s", file=sys.stderr, flush=True)
        return float(told["seconds"])

    count = sum(1 for _ in photos.iterdir())
    others = Others()
    seconds = in_turns({name: partial(measure, name) for name in names}, turns)
    rows = compare(f"{count} photos to labels at {size} pixels", seconds, names[0], items=count)
    for row in rows:
        row["peak_memory"] = memory[row["way"]]
        print(f"{row['way']:44} peak memory {memory[row['way']] >> 20} MiB")
    return {"count": count, "size": size, "rows": rows, "floor": floor(photos), "others": others.tell()}


def floor(photos: Path) -> float:
    """Return how many photos a second all cores can decode, and do nothing else."""
    some = sorted(photos.iterdir())[:100]
    began = time.process_time()
    for path in some:
        with Image.open(path) as photo:
            photo.load()
    rate = len(some) * len(os.sched_getaffinity(0)) / (time.process_time() - began)
    print(f"floor: {rate:.0f} photos/s, if all cores did nothing but decode")
    return round(rate, 1)


def child(way: str, weights: str, photos: str, answers: str, *, size: int) -> None:
    run = WAYS[way](Path(weights), Path(photos), Path(answers), size)
    began = time.perf_counter()
    count = run()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "photos": count, "peak": peak_memory()}))


def ours(engine: Any, weights: Path, photos: Path, answers: Path, size: int) -> Callable[[], int]:
    def run() -> int:
        classifier = Classifier.load(weights, engine=engine)
        return classifier.predict_to(answers, photos).predicted

    return run


def plain_loop(weights: Path, photos: Path, answers: Path, size: int) -> Callable[[], int]:
    import timm  # noqa: PLC0415 - each way loads its own, before the clock starts
    import torch  # noqa: PLC0415

    look = _torchvision(size)

    def run() -> int:
        model = timm.create_model(NETWORK, num_classes=len(ACTIVITIES)).eval()
        with answers.open("w") as out, torch.inference_mode():
            for path in (paths := sorted(photos.iterdir())):
                with Image.open(path) as photo:
                    logits = model(look(photo.convert("RGB"))[None])
                probability, best = logits.softmax(dim=1)[0].max(dim=0)
                print(path, ACTIVITIES[int(best)], float(probability), sep=",", file=out)
        return len(paths)

    return run


def data_loader(weights: Path, photos: Path, answers: Path, size: int) -> Callable[[], int]:
    import timm  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from torch.utils.data import DataLoader  # noqa: PLC0415

    class Photos(torch.utils.data.Dataset):
        look, paths = staticmethod(_torchvision(size)), sorted(photos.iterdir())

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> Any:
            with Image.open(self.paths[index]) as photo:
                return self.look(photo.convert("RGB"))

    def run() -> int:
        model = timm.create_model(NETWORK, num_classes=len(ACTIVITIES)).eval()
        names = iter(sorted(photos.iterdir()))
        count = 0
        with answers.open("w") as out, torch.inference_mode():
            for images in DataLoader(Photos(), batch_size=BATCH, num_workers=len(os.sched_getaffinity(0))):
                for probability, best in zip(*model(images).softmax(dim=1).max(dim=1), strict=True):
                    print(next(names), ACTIVITIES[int(best)], float(probability), sep=",", file=out)
                    count += 1
        return count

    return run


def _torchvision(size: int) -> Callable[[Image.Image], Any]:
    import torch  # noqa: PLC0415
    from torchvision.transforms import v2  # noqa: PLC0415

    return v2.Compose(
        [
            v2.Resize((size, size), interpolation=v2.InterpolationMode.BICUBIC),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )


def transformers_pipeline(weights: Path, photos: Path, answers: Path, size: int) -> Callable[[], int]:
    """EfficientNet-B0 in transformers: 4.0 million parameters, 0.39 billion multiply-adds at 224 pixels."""
    from transformers import (  # noqa: PLC0415
        EfficientNetConfig,
        EfficientNetForImageClassification,
        EfficientNetImageProcessor,
        pipeline,
    )

    config = EfficientNetConfig(
        image_size=size,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        hidden_dim=1280,
        num_labels=len(ACTIVITIES),
    )

    def run() -> int:
        classify = pipeline(
            "image-classification",
            model=EfficientNetForImageClassification(config).eval(),
            image_processor=EfficientNetImageProcessor(size={"height": size, "width": size}),
            batch_size=BATCH,
        )
        paths = [str(path) for path in sorted(photos.iterdir())]
        with answers.open("w") as out:
            for path, guesses in zip(paths, classify(path for path in paths), strict=True):  # as a stream
                print(path, guesses[0]["label"], guesses[0]["score"], sep=",", file=out)
        return len(paths)

    return run


def ultralytics_predict(weights: Path, photos: Path, answers: Path, size: int) -> Callable[[], int]:
    """YOLO11n-cls: with 1.6 million parameters and 0.25 billion multiply-adds the nearest from below."""
    from ultralytics import YOLO  # noqa: PLC0415

    def run() -> int:
        results: Iterator[Any] = YOLO("yolo11n-cls.yaml", task="classify").predict(
            str(photos), imgsz=size, batch=BATCH, stream=True, verbose=False, device="cpu"
        )
        with answers.open("w") as out:
            count = 0
            for result in results:
                count += 1
                best = result.probs.top1
                print(result.path, result.names[best], float(result.probs.top1conf), sep=",", file=out)
        return count

    return run


WAYS: dict[str, Callable[[Path, Path, Path, int], Callable[[], int]]] = {
    OURS: partial(ours, "auto"),
    EXACT: partial(ours, None),
    "plain loop": plain_loop,
    "DataLoader, batches": data_loader,
    "transformers pipeline": transformers_pipeline,
    "ultralytics predict": ultralytics_predict,
}


def installed_ways() -> list[str]:
    """Return the ways whose libraries are installed here, and name the others."""
    needs = {"transformers pipeline": "transformers", "ultralytics predict": "ultralytics"}
    missing = [way for way, package in needs.items() if find_spec(package) is None]
    for way in missing:
        print(f"left out: {way}, for {needs[way]} is not installed")
    return [way for way in WAYS if way not in missing]


def growth(scratch: Path, counts: list[int], workers: list[int]) -> list[dict[str, Any]]:
    """Measure seconds and peak memory of more and more photos, each in a process of its own."""
    model = create_model("test_efficientnet_se", num_classes=len(ACTIVITIES))
    weights = Classifier(model, ACTIVITIES, image_size=64).save(scratch / "weights")
    small = []
    for path in sorted(draw_photos(scratch / "large", 20).rglob("*.jpg")):
        with Image.open(path) as photo:
            photo.resize((160, 90)).save(scratch / path.name, quality=88)
        small.append(str(scratch / path.name))
    program = (
        "import itertools, json, sys, time\n"
        "from activitynet import Classifier\n"
        "from pairing import peak_memory\n"
        "weights, count, workers, answers, *photos = sys.argv[1:]\n"
        "classifier = Classifier.load(weights)\n"
        "many = itertools.islice(itertools.cycle(photos), int(count))\n"
        "began = time.perf_counter()\n"
        "classifier.predict_to(answers, many, workers=int(workers))\n"
        "seconds = time.perf_counter() - began\n"
        "print(json.dumps([seconds, peak_memory()]))\n"
    )
    rows = []
    print(f"{'photos':>8} {'workers':>8} {'seconds':>8} {'photos/s':>9} {'peak MiB':>9}")
    for count in counts:
        for number in workers:
            answers = scratch / f"{count}-{number}.csv"
            done = subprocess.run(  # noqa: S603  this interpreter, on the program above
                [sys.executable, "-c", program, str(weights), str(count), str(number), str(answers), *small],
                check=True,
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parent,
            )
            seconds, peak = json.loads(done.stdout)
            rows.append({"photos": count, "workers": number, "seconds": seconds, "peak_memory": peak})
            print(f"{count:8} {number:8} {seconds:8.1f} {count / seconds:9.0f} {peak >> 20:9}", flush=True)
    return rows


if __name__ == "__main__":
    main()
