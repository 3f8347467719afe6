"""What a reader of the guides has before the first block: photos, and weights where a page takes some."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from activitynet import Recipe
from activitynet.data.dataset import ACTIVITIES, slug
from fuzzing.mats import release

#: The weights and runs that a page takes for granted.
GIVEN = {
    "predict.md": ["runs/mine/model"],
    "evaluate.md": ["runs/mine/model", "runs/other/model", "runs/old/model", "runs/new/model"],
    "export.md": ["runs/mine/model"],
    "faq.md": ["runs/mine/model"],
    "ensembles.md": ["other/weights"],
}
CLASSES = sorted(slug(activity) for activity in ACTIVITIES)[:6]
GIVEN_RUNS = {"ensembles.md": ["runs/a", "runs/b", "runs/c"]}


def few_classes(drawn: Path, folder: Path) -> Path:
    """Copy six of the drawn classes."""
    for place in sorted(drawn.glob("*/*/")):
        if place.name in CLASSES:
            shutil.copytree(place, folder / place.parent.name / place.name)
    return folder


def make_start(folder: Path, classes: list[str]) -> Path:
    """Save weights of a small network that has learned nothing."""
    import torch

    from activitynet import Classifier, create_model

    torch.manual_seed(0)
    model = create_model("test_resnet_se", num_classes=len(classes))
    return Classifier(model, classes, image_size=64).save(folder)


def make_run(photos: Path, folder: Path) -> Path:
    """Train for one epoch."""
    from activitynet import Classifier

    classifier = Classifier("test_resnet_se", image_size=64)
    settings = {"checkpoint.epochs": [1]}
    classifier.fit(photos, run=folder, recipe="quick", epochs=1, settings=settings, workers=0, progress=False)
    return folder


def furnish(home: Path, page: str, photos: Path, start: Path, run: Path) -> None:
    """Put into an empty folder what the page begins with."""
    for name in ("photos", "data"):
        shutil.copytree(photos, home / name)
    some = sorted(path for path in (photos / "val").rglob("*") if path.is_file())
    (home / "holiday").mkdir()
    (home / "albums" / "2024").mkdir(parents=True)
    for name in ("photo.jpg", "holiday.jpg", "holiday/a.jpg", "albums/2024/b.png"):
        shutil.copy(some[0], home / name)
    shutil.copytree(start, home / "start")
    for name in GIVEN.get(page, []):
        shutil.copytree(run / "model", home / name)
    for name in GIVEN_RUNS.get(page, []):
        shutil.copytree(run, home / name)
    rows = [
        f"{path.relative_to(home)},{path.parent.name}"
        for path in sorted((home / "photos").rglob("*"))
        if path.is_file()
    ]
    (home / "photos.csv").write_text("\n".join(["path,label", *rows]))
    shutil.copytree(photos / "train", home / "pile")
    _lay_out_contest(home / "contest", photos)
    _lay_out_mpii(home / "mpii", photos)
    if page == "export.md":
        _save_ensemble(run / "model", home / "mine" / "ensemble")


def _lay_out_contest(folder: Path, photos: Path) -> None:
    """Write the contest's folder: photos by number, answers, categories."""
    answers, number = [], 0
    for split, place in (("train", "img_train"), ("val", "img_test")):
        (folder / place).mkdir(parents=True)
        for label, activity in enumerate(ACTIVITIES):
            for photo in sorted((photos / split / slug(activity)).glob("*")):
                number += 1
                shutil.copy(photo, folder / place / f"{number}{photo.suffix}")
                answers += [f"{number},{label}"] if split == "train" else []
    (folder / "train_answers.csv").write_text("\n".join(["img_id,target_feature", *answers]))
    categories = [f"{index},{name}" for index, name in enumerate(ACTIVITIES)]
    (folder / "activity_categories.csv").write_text("\n".join(["id,category", *categories]))


def _lay_out_mpii(folder: Path, photos: Path) -> None:
    """Write a file with the structs of MPII's, each photo a video of its own, and the images beside it."""
    paths = sorted(path for path in (photos / "train").rglob("*") if path.is_file())
    (folder / "images").mkdir(parents=True)
    names = [f"{number}{path.suffix}" for number, path in enumerate(paths)]
    for name, path in zip(names, paths, strict=True):
        shutil.copy(path, folder / "images" / name)
    activities = {slug(activity): activity for activity in ACTIVITIES}
    categories = [activities[path.parent.name] for path in paths]
    place = folder / "mpii_human_pose_v1_u12_2" / "mpii_human_pose_v1_u12_1.mat"
    place.parent.mkdir()
    place.write_bytes(release(names, categories, list(range(1, len(names) + 1)), [1] * len(names)))


def _save_ensemble(weights: Path, folder: Path) -> None:
    from activitynet import Ensemble
    from activitynet.weights import load_weights

    Ensemble([load_weights(weights), load_weights(weights)]).save(folder)


_graphs: dict[tuple[str, str], Any] = {}


def _remembered(model: Any, sizes: Any) -> Any:
    """Make a network's graph, once for each network and size: it takes seconds, and pages share weights."""
    from activitynet.export import network_graph

    tensors = b"".join(value.contiguous().numpy().tobytes() for value in model.state_dict().values())
    key = (hashlib.sha256(tensors).hexdigest(), str(sizes))
    if key not in _graphs:
        _graphs[key] = network_graph(model, sizes)
    return _graphs[key]


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every training take one epoch of small batches, load photos in this process, and draw no plots."""
    from activitynet import classifier, predictor
    from activitynet.inference import engines
    from activitynet.training import fit

    resolve = classifier.resolve_recipe

    def one_epoch(*arguments: Any, **options: Any) -> Recipe:
        return resolve(*arguments, **options).override(
            {"epochs": 1, "batch_size": 4, "checkpoint.epochs": []}
        )

    monkeypatch.setattr(classifier, "resolve_recipe", one_epoch)
    monkeypatch.setattr(engines, "network_graph", _remembered)
    for module in (predictor, fit):
        monkeypatch.setattr(module, "default_workers", lambda: 0)
    for plot in ("plot_learning_curves", "plot_per_class_f1", "plot_confusion"):
        monkeypatch.setattr(fit, plot, lambda *_, **__: None)
