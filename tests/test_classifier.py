from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from activitynet import Classifier, Recipe, create_model
from activitynet.data.augment import Augment
from activitynet.data.photos import open_folder
from activitynet.errors import DataError, ImageError, ModelError, TrainingError

CLASSES = ("blue sky", "green", "red")
RECIPE = Recipe(epochs=3, batch_size=8, augment=Augment(color=0.0))


def paint(folder: Path, classes: dict[str, int], seed: int = 0) -> None:
    noise = np.random.default_rng(seed)
    channel = {"red": 0, "green": 1, "blue_sky": 2}
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = noise.integers(0, 120, (48, 48, 3), dtype=np.uint8)
            pixels[..., channel[name]] += 130
            Image.fromarray(pixels).save(folder / name / f"{index} ü.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    paint(folder / "train", {"red": 16, "green": 16, "blue_sky": 16})
    paint(folder / "val", {"red": 5, "green": 6, "blue_sky": 7}, seed=1)
    return folder


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Path]:
    classifier = Classifier("test_efficientnet_se", image_size=32)
    run = tmp_path_factory.mktemp("runs") / "run"
    classifier.fit(photos, recipe=RECIPE, epochs=12, lr=0.01, run=run, workers=0, progress=False)
    return classifier, run


def test_it_learns_and_writes_a_whole_run(trained: tuple[Classifier, Path], photos: Path) -> None:
    classifier, run = trained
    scores = classifier.evaluate(photos, workers=0)
    assert scores.macro_f1 > 0.9
    assert scores.photos == 18
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert scores.macro_f1 == max(row["macro_f1"] for row in metrics)
    assert json.loads((run / "config.json").read_text())["classes"] == ["blue_sky", "green", "red"]
    for name in (
        "plots/learning_curves.png",
        "plots/confusion.png",
        "model/model.safetensors",
        "model/README.md",
    ):
        assert (run / name).stat().st_size > 0
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last", "best"}


def test_saved_and_loaded_says_the_same(
    trained: tuple[Classifier, Path], photos: Path, tmp_path: Path
) -> None:
    classifier, run = trained
    saved = classifier.save(tmp_path / "weights", training_data="painted squares", licence="MIT")
    expected = list(classifier.predict(photos / "val"))
    for folder in (saved, run / "model"):
        loaded = Classifier.load(folder)
        assert loaded.classes == classifier.classes
        assert list(loaded.predict(photos / "val")) == expected
    card = json.loads((saved / "config.json").read_text())
    assert (card["training_data"], card["licence"]) == ("painted squares", "MIT")
    assert Classifier.load(saved).save(tmp_path / "again")
    assert (tmp_path / "again/config.json").read_text() == (saved / "config.json").read_text()


def test_predict_agrees_with_evaluate_to_the_last_photo(
    trained: tuple[Classifier, Path], photos: Path
) -> None:
    classifier, _ = trained
    assert classifier.classes is not None
    scores = classifier.evaluate(photos, batch_size=5, workers=1)
    counts = np.zeros((3, 3), dtype=int)
    for prediction in classifier.predict(photos / "val", batch_size=7):
        truth = classifier.classes.index(Path(prediction.source).parent.name)
        counts[truth, classifier.classes.index(str(prediction.label))] += 1
    assert counts.tolist() == [list(row) for row in scores.confusion]


def test_given_classes_keep_their_order_and_their_place(photos: Path) -> None:
    classifier = Classifier("test_resnet_se", classes=["red", "purple", "blue sky", "green"], image_size=32)
    classifier.fit(photos, recipe=RECIPE, epochs=1, workers=0, progress=False)
    scores = classifier.evaluate(photos, workers=0)
    assert [entry.name for entry in scores.classes] == ["red", "purple", "blue sky", "green"]
    assert [entry.support for entry in scores.classes] == [5, 0, 7, 6]
    assert len(scores.scored) == 3


def test_fine_tuning_never_ends_below_the_fitted_head(trained: tuple[Classifier, Path], photos: Path) -> None:
    _, run = trained
    classifier = Classifier("test_efficientnet_se", init_from=run / "model", image_size=32)
    result = classifier.fine_tune(photos, epochs=1, lr=10.0, workers=0, progress=False)
    assert result.history[0]["epoch"] == 0
    assert result.best["macro_f1"] >= result.history[0]["macro_f1"] > 0.8
    assert classifier.evaluate(photos, workers=0).macro_f1 == result.best["macro_f1"]


def test_a_loaded_classifier_goes_on_learning(trained: tuple[Classifier, Path], photos: Path) -> None:
    loaded = Classifier.load(trained[1] / "model")
    result = loaded.fit(photos, recipe=RECIPE, epochs=1, lr=1e-4, workers=0, progress=False)
    assert result.history[0]["macro_f1"] > 0.9


def test_a_resumed_run_ends_in_the_same_weights(photos: Path, tmp_path: Path) -> None:
    def fit(run: Path, *, stop: bool = False, resume: bool = False) -> Classifier:
        def callback(event: object) -> None:
            if stop and event.epoch == 2 and event.kind == "step":  # type: ignore[attr-defined]
                raise KeyboardInterrupt

        classifier = Classifier("test_resnet_se", image_size=32)
        classifier.fit(
            photos, recipe=RECIPE, run=run, resume=resume, workers=0, progress=False, callbacks=[callback]
        )
        return classifier

    fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", stop=True)
    fit(tmp_path / "cut", resume=True)
    whole, cut = ((tmp_path / run / "model/model.safetensors").read_bytes() for run in ("whole", "cut"))
    assert whole == cut


def test_models_and_data_that_do_not_belong_together_are_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no weights yet"):
        Classifier().predict(photos)
    with pytest.raises(ModelError, match="needs pretrained weights"):
        Classifier("test_resnet_se").fine_tune(photos)
    with pytest.raises(ModelError, match="name the classes"):
        Classifier(create_model("test_resnet_se"))
    with pytest.raises(ModelError, match=r"3 outputs.*2 classes"):
        Classifier(create_model("test_resnet_se", num_classes=3), ["a", "b"])
    with pytest.raises(ModelError, match="Did you mean 'test_resnet_se'"):
        Classifier("test_resnet_s").fit(photos, run=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataError, match="blue_sky"):
        Classifier("test_resnet_se", classes=["red", "green"]).fit(photos, progress=False)
    other = open_folder(photos, classes=["red", "green", "blue sky", "more"])
    with pytest.raises(DataError, match="classes"):
        Classifier("test_resnet_se", classes=["red", "green", "blue sky"]).fit(other, progress=False)


def test_broken_photos_stop_a_run_before_it_begins_and_all_are_named(tmp_path: Path) -> None:
    paint(tmp_path / "train", {"red": 4, "green": 4})
    paint(tmp_path / "val", {"red": 2, "green": 2})
    (tmp_path / "train/red/zero.jpg").write_bytes(b"")
    (tmp_path / "val/green/text.jpg").write_text("not a photo")
    with pytest.raises(DataError, match=r"(?s)2 .*zero\.jpg.*text\.jpg"):
        Classifier("test_resnet_se").fit(tmp_path, run=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_training_needs_photos_to_validate_on(tmp_path: Path) -> None:
    paint(tmp_path, {"red": 1, "green": 1})
    with pytest.raises(DataError, match="no 'val' photos"):
        Classifier("test_resnet_se").fit(tmp_path, progress=False)


def test_evaluate_names_the_split_it_lacks(trained: tuple[Classifier, Path], photos: Path) -> None:
    classifier, _ = trained
    assert classifier.evaluate(photos, split="all", workers=0).photos == 48 + 18
    with pytest.raises(DataError, match="no 'test' photos"):
        classifier.evaluate(photos, split="test")
    with pytest.raises(DataError, match="no split 'dev'"):
        classifier.evaluate(photos, split="dev")


def test_predict_one(trained: tuple[Classifier, Path], photos: Path) -> None:
    classifier, _ = trained
    assert classifier.predict_one(Image.new("RGB", (50, 40), (250, 20, 20))).label == "red"
    with pytest.raises(ImageError, match="one photo"):
        classifier.predict_one(photos / "val")
    with pytest.raises(ImageError, match=r"nowhere\.jpg"):
        classifier.predict_one("nowhere.jpg")


def test_a_run_is_not_overwritten(trained: tuple[Classifier, Path], photos: Path) -> None:
    with pytest.raises(TrainingError, match="already holds a run"):
        Classifier("test_efficientnet_se").fit(photos, run=trained[1], progress=False)


def test_a_model_of_ones_own(photos: Path, tmp_path: Path) -> None:
    model = create_model("test_resnet_se", num_classes=3)
    classifier = Classifier(model, ["blue sky", "green", "red"], image_size=32)
    classifier.fit(photos, recipe=RECIPE, epochs=1, workers=0, progress=False)
    assert classifier.model is model
    assert classifier.save(tmp_path / "weights") == tmp_path / "weights"
    del model.architecture
    with pytest.raises(ModelError, match="register_model"):
        classifier.save(tmp_path / "again")


@pytest.mark.real_photos
@pytest.mark.slow
def test_frozen_features_alone_tell_real_activities(real_data: Path, tmp_path: Path) -> None:
    """The head that fine-tuning starts from, on a twelfth of the photos: well above chance, and stable."""
    data = open_folder(real_data / "activities")
    few = type(data)(classes=data.classes, train=data.train[::12], val=data.val[::6], test=(), ignored=())
    classifier = Classifier(
        "timm/tf_efficientnet_lite0", init_from=real_data / "tf_efficientnet_lite0", image_size=128
    )
    result = classifier.fine_tune(few, epochs=0, progress=False)
    assert len(data.classes) == 20
    assert result.best["accuracy"] > 0.5
