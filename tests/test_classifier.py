from __future__ import annotations

import dataclasses
import inspect
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from activitynet import Classifier, Recipe, create_model
from activitynet.data.augment import Augment
from activitynet.data.class_folders import open_folder
from activitynet.errors import DataError, ImageError, ModelError, StorageError, TrainingError
from activitynet.predictor import EvaluateOptions, PredictOptions
from activitynet.training import Event, FitResult
from activitynet.training.fit import TrainKeywords, TrainOptions

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
    saved = classifier.save(tmp_path / "weights", training_data="painted squares", license="MIT")
    expected = list(classifier.predict(photos / "val"))
    for folder in (saved, run / "model"):
        loaded = Classifier.load(folder)
        assert loaded.classes == classifier.classes
        assert list(loaded.predict(photos / "val")) == expected
    card = json.loads((saved / "config.json").read_text())
    assert (card["training_data"], card["license"]) == ("painted squares", "MIT")
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


@pytest.mark.parametrize("cached", [False, True])
def test_a_resumed_run_ends_in_the_same_weights(cached: bool, photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache" if cached else None

    def fit(run: Path, *, stop: bool = False, resume: bool = False) -> Classifier:
        def callback(event: object) -> None:
            if stop and event.epoch == 2 and event.kind == "step":  # type: ignore[attr-defined]
                raise KeyboardInterrupt

        classifier = Classifier("test_resnet_se", image_size=32)
        classifier.fit(
            photos,
            recipe=RECIPE,
            run=run,
            resume=resume,
            cache=cache,
            workers=0,
            progress=False,
            callbacks=[callback],
        )
        return classifier

    fit(tmp_path / "whole")
    if cache is not None:
        for entry in list(cache.glob("??/*.rgb"))[::2]:
            entry.unlink()  # as when others have filled the cache since
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", stop=True)
    fit(tmp_path / "cut", resume=True)
    whole, cut = ((tmp_path / run / "model/model.safetensors").read_bytes() for run in ("whole", "cut"))
    assert whole == cut
    cache = None if cached else tmp_path / "cache"
    with pytest.raises(TrainingError, match=r"cannot resume .*: cache was .* and is now"):
        fit(tmp_path / "cut", resume=True)


def test_evaluation_does_not_touch_the_cache(
    trained: tuple[Classifier, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Classifier.load(trained[1] / "model")
    history = []
    for cache in (None, tmp_path / "cache"):
        again = Classifier.load(trained[1] / "model")
        result = again.fit(photos, recipe=RECIPE, epochs=0, workers=0, progress=False, cache=cache)
        history.append(result.history)
    assert history[0] == history[1]
    assert list((tmp_path / "cache").glob("??/*.rgb")) == []
    monkeypatch.setattr("activitynet.data.cache.PhotoCache.open", lambda *_: pytest.fail("it was asked"))
    assert loaded.evaluate(photos, workers=0) == trained[0].evaluate(photos, workers=0)
    with pytest.raises(DataError, match="cache_gb must be greater than 0"):
        loaded.fit(photos, epochs=1, workers=0, progress=False, cache=tmp_path / "cache", cache_gb=0)


def test_models_and_data_that_do_not_belong_together_are_refused(photos: Path) -> None:
    with pytest.raises(ModelError, match="no weights yet"):
        Classifier().predict(photos)
    with pytest.raises(ModelError, match="needs pretrained weights"):
        Classifier("test_resnet_se").fine_tune(photos)
    with pytest.raises(ModelError, match="needs class names"):
        Classifier(create_model("test_resnet_se"))
    with pytest.raises(ModelError, match=r"3 outputs.*2 classes"):
        Classifier(create_model("test_resnet_se", num_classes=3), ["a", "b"])
    with pytest.raises(ModelError, match="Did you mean 'test_resnet_se'"):
        Classifier("test_resnet_s")
    with pytest.raises(ModelError, match="Did you mean 'timm/test_resnet'"):
        Classifier("timm/test_resne")
    with pytest.raises(DataError, match="blue_sky"):
        Classifier("test_resnet_se", classes=["red", "green"]).fit(photos, progress=False)
    other = open_folder(photos, classes=["red", "green", "blue sky", "more"])
    with pytest.raises(DataError, match="classes"):
        Classifier("test_resnet_se", classes=["red", "green", "blue sky"]).fit(other, progress=False)


def test_models_that_cannot_learn_are_refused_before_the_data_is_opened() -> None:
    nowhere = "no/such/folder"
    for args, says in (({"in_chans": 1}, "3 channels, but this model takes 1"),):
        with pytest.raises(ModelError, match=says):
            Classifier("test_resnet_se", model_args=args).fit(nowhere)
    for change, says in ((torch.nn.Module.double, "float64"), (torch.nn.Module.half, "float16")):
        model = change(create_model("test_resnet_se", num_classes=3))
        with pytest.raises(ModelError, match=rf"needs float32 weights, .* is {says}"):
            Classifier(model, CLASSES).fit(nowhere)
    with torch.inference_mode():
        model = create_model("test_resnet_se", num_classes=3)
    with pytest.raises(ModelError, match="inference_mode"):
        Classifier(model, CLASSES).fit(nowhere)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_that_are_switched_off_outside_are_on_inside_fit(
    photos: Path, context: Callable[[], AbstractContextManager[None]]
) -> None:
    model = create_model("test_resnet_se", num_classes=3).requires_grad_(False)
    classifier = Classifier(model, CLASSES, image_size=32)
    updated = []

    def note(event: Event) -> None:
        if event.kind == "step":
            updated.append(all(parameter.grad is not None for parameter in model.parameters()))

    with context():
        classifier.fit(photos, recipe=RECIPE, epochs=1, workers=0, progress=False, callbacks=[note])
    assert updated
    assert all(updated)


def test_options_are_one_record_and_unknown_ones_are_refused(photos: Path) -> None:
    fields = {field.name for field in dataclasses.fields(TrainOptions)}
    assert fields == set(TrainKeywords.__annotations__)
    evaluate, predict = (
        set(inspect.signature(method).parameters) for method in (Classifier.evaluate, Classifier.predict)
    )
    assert set(EvaluateOptions.__annotations__) == evaluate - {"self", "data"}
    assert set(PredictOptions.__annotations__) == predict - {"self", "photos", "after"}
    classifier = Classifier("test_resnet_se")
    calls: list[tuple[Callable[..., object], str, str]] = [
        (classifier.fit, "epoch", "epochs"),
        (classifier.fit, "worker", "workers"),
        (classifier.fine_tune, "epoch", "epochs"),
        (classifier.calibrate, "splits", "split"),
        (classifier.collect_outputs, "batchsize", "batch_size"),
        (classifier.predict_one, "topp", "top"),
    ]
    for method, wrong, right in calls:
        with pytest.raises(TypeError, match=rf"^{method.__name__}\(\) .*{wrong!r}\. Did you mean {right!r}"):
            method(photos, **{wrong: 1})


def test_a_resumed_run_draws_the_confusion_matrix_of_the_weights_it_keeps(
    photos: Path, tmp_path: Path
) -> None:
    def fit(run: str, **options: object) -> None:
        Classifier("test_resnet_se", image_size=32).fit(
            photos, recipe=RECIPE, run=tmp_path / run, workers=0, progress=False, **options
        )

    fit("run")
    picture = tmp_path / "run/plots/confusion.png"
    before = picture.read_bytes()
    picture.write_bytes(b"of an earlier epoch: the run was killed before it drew the best one")
    fit("run", resume=True)
    assert picture.read_bytes() == before


def test_a_run_folder_that_is_removed_midway_ends_the_run_in_one_line(photos: Path, tmp_path: Path) -> None:
    def remove(event: Event) -> None:
        if event.kind == "step" and event.epoch == 2:
            shutil.rmtree(tmp_path / "run", ignore_errors=True)

    classifier = Classifier("test_resnet_se", image_size=32)
    with pytest.raises(StorageError, match="was removed or moved during the run"):
        classifier.fit(
            photos, recipe=RECIPE, run=tmp_path / "run", workers=0, progress=False, callbacks=[remove]
        )


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Photos, three of which cannot be read."""
    folder = tmp_path / "broken"
    paint(folder / "train", {"red": 6, "green": 6})
    paint(folder / "val", {"red": 2, "green": 2}, seed=1)
    (folder / "train/red/zero.jpg").write_bytes(b"")
    (folder / "train/green/half.png").write_bytes((folder / "train/green/0 ü.png").read_bytes()[:900])
    (folder / "val/green/text.jpg").write_text("not a photo")
    return folder


def test_broken_photos_stop_everything_before_it_begins_and_all_are_named(
    broken: Path, trained: tuple[Classifier, Path], tmp_path: Path
) -> None:
    classifier = Classifier("test_resnet_se")
    for learn in (
        lambda: classifier.fit(broken, run=tmp_path / "run", progress=False),
        lambda: classifier.find_learning_rate(broken),
    ):
        with pytest.raises(
            DataError, match=r"(?s)3 of 19 photos .*skip_bad=True.*half\.png.*zero\.jpg.*text\.jpg"
        ):
            learn()
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataError, match=r"(?s)1 of 5 photos .*skip_bad=True.*text\.jpg"):
        trained[0].evaluate(open_folder(broken, classes=trained[0].classes))


def test_broken_photos_are_left_out_by_name(
    broken: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"recipe": RECIPE, "epochs": 2, "workers": 0, "progress": False, "skip_bad": True}
    classifier = Classifier("test_resnet_se", image_size=32)
    result = classifier.fit(broken, run=tmp_path / "run", **options)
    assert result.skipped == {"train": 2, "val": 1}
    assert "unreadable photos left out: 3 (2 train, 1 val)" in caplog.messages
    lines = [json.loads(line) for line in (tmp_path / "run/skipped.jsonl").read_text().splitlines()]
    assert [(Path(line["path"]).name, line["split"], line["label"]) for line in lines] == [
        ("half.png", "train", "green"),
        ("zero.jpg", "train", "red"),
        ("text.jpg", "val", "green"),
    ]
    assert all(line["error"] for line in lines)
    card = json.loads((tmp_path / "run/model/config.json").read_text())
    assert card["skipped"] == {"train": 2, "val": 1}
    assert card["training_data"] == "12 photos in 2 classes. Too few to learn: green (6), red (6)."
    assert "Unreadable photos left out: 3" in (tmp_path / "run/model/README.md").read_text()
    saved = Classifier.load(tmp_path / "run/model").save(tmp_path / "again", license="MIT")
    assert json.loads((saved / "config.json").read_text())["skipped"] == {"train": 2, "val": 1}

    scores = classifier.evaluate(broken, workers=0, skip_bad=True)
    assert (scores.photos, [photo.photo.path.name for photo in scores.skipped]) == (4, ["text.jpg"])
    assert classifier.evaluate(broken, split="all", workers=0, skip_bad=True).photos == 16
    assert classifier.find_learning_rate(broken, recipe=RECIPE, workers=0, skip_bad=True).suggestion > 0

    # They take no part: without their files, the weights are the same to the bit.
    for line in lines:
        Path(line["path"]).unlink()
    clean = Classifier("test_resnet_se", image_size=32)
    assert clean.fit(broken, run=tmp_path / "clean", **options).skipped == {}
    assert not (tmp_path / "clean/skipped.jsonl").exists()
    assert json.loads((tmp_path / "clean/model/config.json").read_text())["skipped"] == {}
    weights = [(tmp_path / run / "model/model.safetensors").read_bytes() for run in ("run", "clean")]
    assert weights[0] == weights[1]


def test_a_run_that_left_photos_out_resumes_with_the_same_ones(broken: Path, tmp_path: Path) -> None:
    def fit(run: str, **options: object) -> FitResult:
        def callback(event: object) -> None:
            if options.get("stop") and event.epoch == 2:  # type: ignore[attr-defined]
                raise KeyboardInterrupt

        return Classifier("test_resnet_se", image_size=32).fit(
            broken,
            recipe=RECIPE,
            run=tmp_path / run,
            resume=not options.get("stop"),
            skip_bad=bool(options.get("skip_bad", True)),
            workers=0,
            progress=False,
            callbacks=[callback],
        )

    with pytest.raises(KeyboardInterrupt):
        fit("cut", stop=True)
    with pytest.raises(DataError, match="3 of 19 photos cannot be read"):
        fit("cut", skip_bad=False)
    whole = {name: (broken / name).read_bytes() for name in ("train/red/1 ü.png", "val/green/text.jpg")}
    (broken / "train/red/1 ü.png").write_bytes(b"gone")
    with pytest.raises(TrainingError, match=r"the photos changed: 1 photo no longer readable \(.*1 ü"):
        fit("cut")
    (broken / "train/red/1 ü.png").write_bytes(whole["train/red/1 ü.png"])
    (broken / "val/green/text.jpg").write_bytes(whole["train/red/1 ü.png"])
    with pytest.raises(TrainingError, match=r"1 photo readable again \(val/green/text\.jpg\)"):
        fit("cut")
    (broken / "val/green/text.jpg").write_bytes(whole["val/green/text.jpg"])
    assert fit("cut").skipped == {"train": 2, "val": 1}
    fit("whole")
    weights = [(tmp_path / run / "model/model.safetensors").read_bytes() for run in ("cut", "whole")]
    assert weights[0] == weights[1]


def test_what_is_left_out_may_not_be_all_there_is_of_a_class(broken: Path) -> None:
    for photo in (broken / "val/red").iterdir():
        photo.write_bytes(b"")
    with pytest.raises(DataError, match="none of the 'val' photos of class 'red' can be read"):
        Classifier("test_resnet_se").fit(broken, skip_bad=True, progress=False)


def test_training_needs_photos_to_validate_on(tmp_path: Path) -> None:
    paint(tmp_path, {"red": 1, "green": 1})
    with pytest.raises(DataError, match="no 'val' photos"):
        Classifier("test_resnet_se").fit(tmp_path, progress=False)


def test_evaluate_names_the_split_it_lacks(trained: tuple[Classifier, Path], photos: Path) -> None:
    classifier, _ = trained
    assert classifier.evaluate(photos, split="all", workers=0).photos == 48 + 18
    with pytest.raises(DataError, match="no 'test' photos"):
        classifier.evaluate(photos, split="test")
    with pytest.raises(DataError, match="unknown split 'dev'"):
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


def test_steps_are_cut_into_as_few_parts_as_fit_and_a_resumed_run_keeps_them(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activitynet.training import fit, tune

    options = {
        "recipe": RECIPE,
        "settings": {"grad_accum_steps": 0},
        "epochs": 1,
        "workers": 0,
        "progress": False,
    }
    Classifier("test_resnet_se", image_size=32).fit(photos, run=tmp_path / "roomy", **options)
    assert json.loads((tmp_path / "roomy" / "config.json").read_text())["recipe"]["grad_accum_steps"] == 1
    monkeypatch.setattr(tune, "largest_micro_batch", lambda *_, **__: 3)
    Classifier("test_resnet_se", image_size=32).fit(photos, run=tmp_path / "tight", **options)
    config = (tmp_path / "tight" / "config.json").read_text()
    assert json.loads(config)["recipe"]["grad_accum_steps"] == 4  # of 8 photos, 3 fit: 2 at a time
    monkeypatch.setattr(fit, "auto_grad_accum_steps", lambda *_: pytest.fail("it was settled before"))
    Classifier("test_resnet_se", image_size=32).fit(photos, run=tmp_path / "tight", resume=True, **options)
    assert (tmp_path / "tight" / "config.json").read_text() == config


@pytest.mark.processor
@pytest.mark.parametrize("features", [0.0, 1.0])
def test_a_student_learns_from_a_teacher_alone(
    trained: tuple[Classifier, Path], photos: Path, features: float
) -> None:
    options = {"recipe": RECIPE, "lr": 0.02, "workers": 0, "progress": False}
    teacher = {"distill.teachers": [str(trained[1] / "model")], "distill.weight": 1.0}
    teacher["distill.features"] = features
    # With the whole weight on the teacher, smoothing the labels changes nothing: they are not looked at.
    losses = [
        [
            row["loss"]
            for row in Classifier("test_efficientnet_se", image_size=32)
            .fit(photos, settings={**teacher, **settings}, epochs=2, **options)
            .history
        ]
        for settings in ({}, {"loss.smoothing": 0.9})
    ]
    assert losses[0] == losses[1]
    # It is there after 8 to 10 epochs; the rest is for processors that round otherwise.
    student = Classifier("test_efficientnet_se", image_size=32)
    student.fit(photos, settings=teacher, epochs=20, **options)
    assert student.evaluate(photos, workers=0).macro_f1 > 0.9


def test_a_teacher_that_does_not_recognise_the_photos_is_told_of(
    trained: tuple[Classifier, Path], photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    settings = {"distill.teachers": [str(trained[1] / "model")]}
    for much, level, told in (
        (0.0, "INFO", "of the training photos correctly"),
        (1.0, "WARNING", "learns their errors"),
    ):
        caplog.clear()
        varied = {"augment.color": much, "augment.hue": much / 2, "augment.noise": much}
        student = Classifier("test_resnet_se", image_size=32)
        student.fit(
            photos, recipe=RECIPE, epochs=1, settings={**settings, **varied}, workers=0, progress=False
        )
        (record,) = (record for record in caplog.records if "teachers" in record.message)
        assert (record.levelname, told in record.message) == (level, True)


def test_a_learning_rate_is_found_on_photos(photos: Path, tmp_path: Path) -> None:
    classifier = Classifier("test_efficientnet_se", image_size=32)
    found = classifier.find_learning_rate(photos, recipe=RECIPE, plot=tmp_path / "rates.png", workers=0)
    assert found.rates[0] <= found.suggestion <= found.rates[-1]
    assert (tmp_path / "rates.png").stat().st_size > 0
    assert classifier.classes is None
