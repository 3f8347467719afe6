"""Wall time until the validation photos score macro-F1 0.80, from one ImageNet backbone, ours and peers.

    python benchmarks/time_to_f1.py DATA --backbone FOLDER --minutes 40 --seeds 0 1 2 --json curves.json

FOLDER holds timm's ``config.json`` and ``model.safetensors`` of the backbone. The peers are a plain timm loop
(AdamW, cosine with warm-up, RandomResizedCrop and mirroring, all layers) and, where it is installed, fastai's
``fine_tune`` with its own augmentation. Every run is a process of its own, seed by seed in turns, with the
same photos. The clock starts when the libraries are loaded and counts all that follows, validation included.
The score is `activitynet.evaluation.score`'s for everyone: macro-F1 over the classes with at least 30
validation photos. A run ends after its epochs or its minutes, with ``--until-target`` when it is there.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from pairing import Others, write
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from activitynet import Classifier
from activitynet.data.dataset import Photo, PhotoData
from activitynet.data.open import open_data
from activitynet.evaluation import score


class Curve:
    """The scores of one run against the minutes, and when it has to end."""

    def __init__(self, classes: Sequence[str], minutes: float, target: float = math.inf) -> None:
        self.classes, self.limit, self.target = classes, minutes, target
        self.points: list[tuple[float, float, float]] = []
        self._began = time.monotonic()

    def minutes(self) -> float:
        """Return the minutes since the run began."""
        return (time.monotonic() - self._began) / 60

    def over(self) -> bool:
        """Tell whether the run has used up its minutes, or is where it should get."""
        return self.minutes() >= self.limit or any(f1 >= self.target for _, f1, _ in self.points)

    def add(self, macro_f1: float, accuracy: float) -> None:
        """Take down a validation's scores, now."""
        self.points.append((round(self.minutes(), 3), macro_f1, accuracy))
        print(
            f"  {self.minutes():6.1f} min  macro-F1 {macro_f1:.3f}  accuracy {accuracy:.3f}", file=sys.stderr
        )

    def add_scored(self, truth: Any, guesses: Any) -> None:
        """Score guesses, and take that down."""
        scores = score(np.asarray(truth), np.asarray(guesses), self.classes)
        self.add(scores.macro_f1, scores.accuracy)


class TimeIsUpError(Exception):
    """Ends a run from within a callback."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="(default: all that are installed)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--minutes", type=float, default=40, help="cap of a run (default: 40)")
    parser.add_argument("--epochs", type=int, default=8, help="of the plain loop and of fastai (default: 8)")
    parser.add_argument("--our-epochs", type=int, help="(default: the recipe's)")
    parser.add_argument("--size", type=int, help="the peers' images (default: the backbone's)")
    parser.add_argument("--batch", type=int, default=64, help="photos a step of the peers (default: 64)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--target", type=float, default=0.80)
    parser.add_argument("--until-target", action="store_true", help="end a run when it is there")
    parser.add_argument("--json", type=Path, help="write the curves here too")
    parser.add_argument("--child", nargs=2, metavar=("WAY", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, seed = arguments.child
        torch.manual_seed(int(seed))
        data = open_data(arguments.data)
        target = arguments.target if arguments.until_target else math.inf
        curve = Curve(data.classes, arguments.minutes, target)
        WAYS[way](data, curve, int(seed), arguments)
        print(json.dumps(curve.points))
        return

    others, runs = Others(), []
    for seed in arguments.seeds:
        for way in arguments.ways or installed_ways():
            print(f"{way}, seed {seed}", file=sys.stderr)
            done = subprocess.run(  # noqa: S603  this very program
                [sys.executable, __file__, *sys.argv[1:], "--child", way, str(seed)],
                check=True,
                stdout=subprocess.PIPE,
            )
            points = json.loads(done.stdout.splitlines()[-1])
            reached = next((minutes for minutes, f1, _ in points if f1 >= arguments.target), None)
            best = max((f1 for _, f1, _ in points), default=0.0)
            runs.append({"way": way, "seed": seed, "points": points, "reached": reached, "best": best})
            # After each, since a run is long.
            write(arguments.json, {"target": arguments.target, "runs": runs}, "timm", "fastai")
    report(runs, arguments.target)
    write(
        arguments.json,
        {"target": arguments.target, "runs": runs, "others": others.tell()},
        "timm",
        "fastai",
    )


def report(runs: list[dict[str, Any]], target: float) -> None:
    print(f"\n{'':20} minutes to macro-F1 {target}, seed by seed        best, median and range")
    for way in dict.fromkeys(run["way"] for run in runs):
        mine = [run for run in runs if run["way"] == way]
        reached = [f"{run['reached']:.1f}" if run["reached"] is not None else "never" for run in mine]
        best = sorted(run["best"] for run in mine)
        middle = f"{statistics.median(best):.3f}  ({best[0]:.3f} to {best[-1]:.3f})"
        print(f"{way:20} {', '.join(reached):40} {middle}")


def ours(data: PhotoData, curve: Curve, seed: int, arguments: argparse.Namespace) -> None:
    name = "timm/" + json.loads((arguments.backbone / "config.json").read_text())["architecture"]

    def watch(event: Any) -> None:
        if event.kind == "epoch":
            curve.add(event.scores["macro_f1"], event.scores["accuracy"])
        if curve.over():
            raise TimeIsUpError

    classifier = Classifier(name, init_from=arguments.backbone)
    try:
        classifier.fine_tune(
            data,
            epochs=arguments.our_epochs,
            seed=seed,
            workers=arguments.workers,
            progress=False,
            callbacks=[watch],
        )
    except TimeIsUpError:
        return


def backbone(folder: Path, classes: int) -> torch.nn.Module:
    """Return timm's network with the backbone's weights, and a new classifier."""
    name = json.loads((folder / "config.json").read_text())["architecture"]
    return timm.create_model(
        name,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(folder / "model.safetensors")},
        num_classes=classes,
    )


class _Photos(Dataset):
    def __init__(self, photos: Sequence[Photo], look: Callable[[Image.Image], torch.Tensor]) -> None:
        self.photos, self.look = photos, look

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.photos[index].path) as image:
            return self.look(image.convert("RGB")), self.photos[index].label


def plain_loop(data: PhotoData, curve: Curve, seed: int, arguments: argparse.Namespace) -> None:
    model = backbone(arguments.backbone, len(data.classes))
    config = model.pretrained_cfg
    size = arguments.size or config["input_size"][-1]
    finish = [
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(config["mean"]), list(config["std"])),
    ]
    crop = v2.RandomResizedCrop(size, scale=(0.35, 1.0))
    train = _Photos(data.train, v2.Compose([crop, v2.RandomHorizontalFlip(), *finish]))
    val = _Photos(data.val, v2.Compose([v2.Resize(round(size / 0.875)), v2.CenterCrop(size), *finish]))
    loader = DataLoader(
        train,
        arguments.batch,
        shuffle=True,
        drop_last=len(train) >= arguments.batch,
        num_workers=arguments.workers,
        persistent_workers=arguments.workers > 0,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    steps = arguments.epochs * len(loader)
    warm_up = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, 0.5 * (1 + math.cos(math.pi * step / steps)))
    )
    for _ in range(arguments.epochs):
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels, label_smoothing=0.1).backward()
            optimizer.step()
            schedule.step()
            if curve.over():
                return
        model.eval()
        truth, guesses = [], []
        with torch.inference_mode():
            for images, labels in DataLoader(val, arguments.batch, num_workers=arguments.workers):
                truth += labels.tolist()
                guesses += model(images).argmax(dim=1).tolist()
        curve.add_scored(truth, guesses)


def fastai(data: PhotoData, curve: Curve, seed: int, arguments: argparse.Namespace) -> None:
    from fastai.vision import all as vision  # noqa: PLC0415  may be missing

    class Watch(vision.Callback):
        def after_batch(self) -> None:
            if self.training and curve.over():
                raise vision.CancelFitException

        def after_epoch(self) -> None:
            curve.add(*self.learn.recorder.log[3:5])

    def macro_f1(guesses: torch.Tensor, truth: torch.Tensor) -> float:
        return score(truth.numpy(), guesses.numpy(), data.classes).macro_f1

    config = json.loads((arguments.backbone / "config.json").read_text())
    network = backbone(arguments.backbone, 0)
    size = arguments.size or network.pretrained_cfg["input_size"][-1]
    items = [*data.train, *data.val]
    stats = vision.Normalize.from_stats(
        network.pretrained_cfg["mean"], network.pretrained_cfg["std"], cuda=False
    )
    loaders = vision.DataBlock(
        blocks=(vision.ImageBlock, vision.CategoryBlock(vocab=list(range(len(data.classes))), sort=False)),
        get_x=lambda photo: photo.path,
        get_y=lambda photo: photo.label,
        splitter=vision.IndexSplitter(range(len(data.train), len(items))),
        item_tfms=vision.Resize(size),
        batch_tfms=[*vision.aug_transforms(), stats],
    ).dataloaders(items, bs=min(arguments.batch, len(data.train)), num_workers=arguments.workers)
    learner = vision.vision_learner(
        loaders,
        config["architecture"],
        pretrained=False,
        normalize=False,
        metrics=[vision.AccumMetric(macro_f1, dim_argmax=-1, flatten=True), vision.accuracy],
    )
    learner.model[0].model.load_state_dict(network.state_dict())
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(arguments.epochs - 1, cbs=[Watch()])


WAYS: dict[str, Callable[[PhotoData, Curve, int, argparse.Namespace], None]] = {
    "activitynet": ours,
    "plain timm loop": plain_loop,
    "fastai fine_tune": fastai,
}


def installed_ways() -> list[str]:
    """Return the ways whose libraries are installed here, and name the other."""
    if find_spec("fastai") is None:
        print("left out: fastai fine_tune, for fastai is not installed", file=sys.stderr)
        return [way for way in WAYS if way != "fastai fine_tune"]
    return list(WAYS)


if __name__ == "__main__":
    main()
