from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from activitynet import Classifier, Ensemble, create_model
from activitynet.cli.main import run
from activitynet.data.preprocess import Preprocess, Views
from activitynet.errors import ModelError
from activitynet.inference import TTA, augmented, stream_predictions
from activitynet.weights import Card, Stages

CLASSES = ("cook", "dance", "run")


def photos(count: int = 4) -> list[Image.Image]:
    """Smooth photos of different sizes."""
    noise = np.random.default_rng(0)
    made = []
    for index in range(count):
        coarse = Image.fromarray(noise.integers(0, 256, (5, 7, 3), dtype=np.uint8))
        made.append(coarse.resize((150 + 20 * index, 120), Image.Resampling.BICUBIC))
    return made


def network(name: str = "test_resnet_se", seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = create_model(name, num_classes=len(CLASSES)).eval()
    nn.init.normal_(model.get_classifier().weight)  # type: ignore[operator]
    return model


def classifier(size: int = 64, temperature: float = 1.0) -> Classifier:
    made = Classifier(network(), CLASSES, image_size=size, device="cpu")
    made.temperature = temperature
    return made


def ensemble(cascade: Stages | None = None) -> Ensemble:
    members = []
    for name, seed, size, classes in (
        ("test_resnet_se", 0, 64, CLASSES),
        ("test_efficientnet_se", 1, 96, CLASSES[::-1]),
    ):
        preprocess = Preprocess(size=(size, size), resize="squash")
        members.append((network(name, seed), Card(architecture=name, classes=classes, preprocess=preprocess)))
    return Ensemble(members, temperature=1.3, cascade=cascade)


def answers(predictor: Classifier | Ensemble, pictures: list[Image.Image], **options: object) -> np.ndarray:
    rows = predictor.predict(pictures, top=len(CLASSES), **options)  # type: ignore[arg-type]
    return np.array([[dict(row.top)[name] for name in CLASSES] for row in rows])


@pytest.mark.parametrize("make", [lambda: classifier(temperature=1.7), ensemble])
def test_flip_is_the_mean_of_a_photo_and_its_mirror_image(make) -> None:  # type: ignore[no-untyped-def]
    predictor = make()
    mirrored = [Image.fromarray(np.asarray(photo)[:, ::-1].copy()) for photo in photos()]
    expected = (answers(predictor, photos()) + answers(predictor, mirrored)) / 2
    found = answers(predictor, photos(), tta="flip")
    np.testing.assert_allclose(found, expected, atol=2e-3)  # the resize rounds either way
    assert np.abs(found - answers(predictor, photos())).max() > 0.01


def test_looks_are_averaged_as_probabilities_of_the_temperature() -> None:
    preprocess = Preprocess(size=(64, 64), resize="squash")
    model, views = augmented(network(), preprocess, TTA(flip=True, scales=(1.0, 1.5)), temperature=2.0)
    assert isinstance(views, Views)
    assert [view.size for view in views.each] == [(64, 64), (96, 96)]
    images = [view(photos(1)[0])[None] for view in views.each]
    with torch.no_grad():
        plain = network()
        each = [(plain(look) / 2).softmax(dim=1) for image in images for look in (image, image.flip(-1))]
        torch.testing.assert_close(model(images).exp(), torch.stack(each).mean(dim=0))


def test_crops_are_the_corners_and_the_middle() -> None:
    model, larger = augmented(nn.Flatten(), Preprocess(size=(56, 56)), TTA(crops=True))
    assert isinstance(larger, Preprocess)
    assert larger.size == (64, 64)
    assert larger.crop_pct == 1  # of a photo whose middle the model looks at, all of it
    seen: list[torch.Tensor] = []
    model.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[union-attr,operator]
    image = torch.arange(64 * 64).view(1, 1, 64, 64).float()
    model(image)
    assert [crop[0, 0, 0, 0].item() for crop in seen] == [0, 8, 8 * 64, 8 * 64 + 8, 4 * 64 + 4]
    assert {crop.shape for crop in seen} == {(1, 1, 56, 56)}


@pytest.mark.parametrize("ways", ["flip", "crops", TTA(flip=True, scales=(0.5, 1.0, 1.5))])
@pytest.mark.parametrize(
    "make",
    [classifier, ensemble, lambda: ensemble(Stages(threshold=0.5, temperatures=(1.0, 1.0))).cascaded()],
)
def test_the_answer_does_not_depend_on_the_batch(make, ways) -> None:  # type: ignore[no-untyped-def]
    predictor = make()
    found = [answers(predictor, photos(), tta=ways, batch_size=size) for size in (1, 3)]
    np.testing.assert_allclose(found[0].sum(axis=1), 1, atol=1e-5)
    for others in found[1:]:
        np.testing.assert_allclose(others, found[0], atol=1e-5)
    assert np.abs(found[0] - answers(predictor, photos())).max() > 1e-3


def test_memory_holds_one_look_at_a_time() -> None:
    """However many looks there are, the model never sees more than a batch at once."""
    seen: list[int] = []
    model = network()
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    looks, views = augmented(model, Preprocess(size=(224, 224)), TTA.of(("flip", "crops", "scales")))
    list(stream_predictions(looks, photos(2), preprocess=views, classes=CLASSES, batch_size=2))
    assert seen == [2] * 30


def test_training_mode_stays_as_it_was() -> None:
    made = classifier()
    made.predict_one(photos(1)[0], tta="flip")
    assert not any(part.training for part in made.model.modules())


def test_nothing_asked_for_is_nothing_changed() -> None:
    made = classifier(temperature=1.7)
    np.testing.assert_allclose(answers(made, photos(), tta=TTA()), answers(made, photos()), atol=1e-6)


def test_a_cascade_that_asks_all_is_the_ensemble() -> None:
    whole = Ensemble(list(zip(ensemble().members, ensemble().cards, strict=True)))
    whole.cascade = Stages(threshold=1.0, temperatures=(1.0, 1.0))
    np.testing.assert_allclose(
        answers(whole.cascaded(), photos(), tta="flip"),
        answers(whole, photos(), tta="flip"),
        atol=1e-5,  # type: ignore[arg-type]
    )


def test_evaluate_and_the_commands_look_alike(
    sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Classifier("test_resnet_se", image_size=128, device="cpu")
    made.fit(sample_data, epochs=1, workers=0, progress=False)
    folder = str(made.save(tmp_path / "model"))
    scores = made.evaluate(sample_data, tta=("flip", "scales"), workers=0)
    guesses = [row.label for row in made.predict(sample_data / "val", top=1, tta=("flip", "scales"))]
    assert len(guesses) == scores.photos
    per_class = {
        name: sum(column)
        for name, column in zip(made.classes or (), zip(*scores.confusion, strict=True), strict=True)
    }
    assert {name: guesses.count(name) for name in per_class} == per_class
    assert run(["evaluate", folder, str(sample_data), "--json", "--tta", "flip", "--tta", "scales"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {
        **json.loads(json.dumps(scores.to_dict())),
        "ignored": [str(sample_data / "README.txt")],
    }
    photo = str(next(sample_data.rglob("*.jpg")))
    assert run(["predict", photo, "--weights", folder, "--json", "--tta", "crops"]) == 0
    said = json.loads(capsys.readouterr().out)["probability"]
    assert said == pytest.approx(made.predict_one(photo, tta="crops").probability)
    assert run(["predict", photo, "--weights", folder, "--tta", "crop"]) == 2
    assert "crops" in capsys.readouterr().err


def test_an_engine_looks_alike(tmp_path: Path) -> None:
    made = classifier(temperature=1.7)
    quick = Classifier.load(made.save(tmp_path / "model"), engine="torch", precision="fp32", device="cpu")
    ways = TTA(flip=True, crops=True, scales=(1.0, 1.5))
    np.testing.assert_allclose(
        answers(quick, photos(), tta=ways), answers(made, photos(), tta=ways), atol=1e-4
    )


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(ModelError, match=r"'crop'\. Did you mean 'crops'\?"):
        classifier().predict(photos(), tta="crop")
    with pytest.raises(ModelError, match="32 x 32 pixels are too small"):
        classifier(size=32).predict(photos(), tta="scales")
    with pytest.raises(ModelError, match="numbers in"):
        TTA(scales=())
    with pytest.raises(ModelError, match="numbers in"):
        TTA(scales=(math.nan,))
    of_one_size = Classifier("timm/test_vit", CLASSES, device="cpu")
    vit = create_model("timm/test_vit", num_classes=3)
    with pytest.raises(ModelError, match="VisionTransformer has a fixed input size"):
        Classifier(vit, CLASSES, device="cpu").predict(photos(), tta="scales")
    with pytest.raises(ModelError, match="no weights yet"):
        of_one_size.predict(photos(), tta="flip")
