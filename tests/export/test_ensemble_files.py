"""An ensemble as one file, with members of other sizes and class orders, and their preprocessing, inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from activitynet import Classifier, Ensemble, create_model
from activitynet.cli.main import run
from activitynet.data.preprocess import Preprocess
from activitynet.errors import ModelError, WeightsError
from activitynet.export import FORMATS, Contents, openvino_core
from activitynet.inference import TTA
from activitynet.weights import Card, EnsembleCard, Stages

CLASSES = ("cook", "dance", "run")


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    members = []
    for seed, (name, size, resize, order, temperature) in enumerate(
        [
            ("test_resnet_se", 48, "squash", (0, 1, 2), 1.0),
            ("test_efficientnet_se", 64, "crop", (2, 0, 1), 1.7),
        ]
    ):
        torch.manual_seed(seed)
        model = create_model(name, num_classes=len(CLASSES)).eval()
        torch.nn.init.normal_(model.get_classifier().weight)  # type: ignore[operator]
        card = Card(
            architecture=name,
            classes=tuple(CLASSES[index] for index in order),
            preprocess=Preprocess(size=(size, size), resize=resize),  # type: ignore[arg-type]
            temperature=temperature,
        )
        members.append((model, card))
    stages = Stages(threshold=0.9, temperatures=(1.0, 1.0))
    return Ensemble(members, classes=CLASSES, weights=[1, 2], temperature=1.3, cascade=stages)


@pytest.fixture(scope="module")
def folder(ensemble: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensemble.save(tmp_path_factory.mktemp("saved") / "both")


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Files of each format, written once, by the command."""
    place, made = tmp_path_factory.mktemp("exported"), {}

    def path(form: Any) -> Path:
        if form not in made:
            made[form] = place / f"both{FORMATS[form]}"
            assert run(["export", str(folder), str(made[form])]) == 0
        return made[form]

    return path


@pytest.fixture(scope="module")
def drawings(sample_data: Path) -> list[Path]:
    return sorted((sample_data / "val").rglob("*.*"))[::4]


def answers(predictor: Classifier | Ensemble, photos: Any, **options: Any) -> np.ndarray:
    rows = predictor.predict(photos, top=len(CLASSES), **options)
    return np.array([[dict(row.top)[name] for name in CLASSES] for row in rows])


def alone(path: Path, photos: list[np.ndarray]) -> np.ndarray:
    """What a file says of photos with nothing but its engine."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        return np.concatenate(
            [session.run(["probabilities"], {"images": photo[None]})[0] for photo in photos]
        )
    if path.suffix == ".xml":
        compiled = openvino_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return np.concatenate([compiled({"images": photo[None]})["probabilities"] for photo in photos])
    module = torch.export.load(path).module()
    return np.concatenate([module(torch.from_numpy(photo)[None]).detach().numpy() for photo in photos])


# torch's own reader, where it is an older one.
@pytest.mark.filterwarnings("ignore:The given buffer is not writable:UserWarning")
@pytest.mark.parametrize("form", ["onnx", "openvino", "torch"])
def test_a_file_says_what_the_ensemble_says(
    form: str, ensemble: Ensemble, exported: Callable[[str], Path], drawings: list[Path]
) -> None:
    photos = [np.array(Image.open(path).convert("RGB")) for path in drawings]
    photos += [np.array(Image.open(drawings[0]).convert("RGB").resize((90, 130)))]  # of another size
    expected = answers(ensemble, [Image.fromarray(photo) for photo in photos])
    assert np.ptp(expected, axis=0).max() > 0.05  # not all alike
    np.testing.assert_allclose(alone(exported(form), photos), expected, atol=1e-4)


def test_labels_are_in_the_metadata(exported: Callable[[str], Path]) -> None:
    import onnxruntime

    metadata = onnxruntime.InferenceSession(exported("onnx")).get_modelmeta().custom_metadata_map
    assert tuple(json.loads(metadata["activitynet.card"])["classes"]) == CLASSES
    assert [view["size"] for view in json.loads(metadata["activitynet.views"])] == [[48, 48], [64, 64]]


@pytest.mark.parametrize(
    ("form", "engine"), [("onnx", "onnxruntime"), ("onnx", "openvino"), ("openvino", "openvino")]
)
def test_a_file_loads_behind_the_same_predict(
    form: str, engine: Any, ensemble: Ensemble, exported: Callable[[str], Path], drawings: list[Path]
) -> None:
    loaded = Classifier.load(exported(form), engine=engine, precision="fp32")
    assert loaded.classes == CLASSES
    assert loaded.temperature == 1.3
    for options in ({"batch_size": 3}, {"tta": ("flip", "crops")}):
        np.testing.assert_allclose(
            answers(loaded, drawings, **options), answers(ensemble, drawings, **options), atol=1e-4
        )
    with pytest.raises(ModelError, match="has a fixed input size"):
        loaded.predict(drawings, tta=TTA(scales=(1.0, 1.5)))
    with pytest.raises(ModelError, match="which only predicts"):
        loaded.export("again.onnx")


def test_commands(
    ensemble: Ensemble,
    exported: Callable[[str], Path],
    drawings: list[Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, photo = exported("onnx"), str(drawings[0])
    capsys.readouterr()
    assert run(["predict", photo, "--weights", str(path), "--engine", "onnxruntime", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["probability"] == pytest.approx(ensemble.predict_one(photo).probability, abs=1e-4)
    assert run(["predict", photo, "--weights", str(path), "--cascade"]) == 2
    assert "it takes an ensemble" in capsys.readouterr().err
    with pytest.raises(ModelError, match=r"load it with Classifier\.load"):
        Ensemble.load(path)


def test_what_a_file_says_of_itself_is_checked(ensemble: Ensemble) -> None:
    contents = Contents(ensemble.card(), ensemble.preprocess)
    metadata = contents.to_metadata()
    read = Contents.from_metadata(metadata.get, Path("a.onnx"))
    assert isinstance(read.card, EnsembleCard)
    assert read == contents
    for views in (None, "", "[]", "{}", '[{"size": [1, 1]}]', '[{"size": 1, "size": 2}]', "[" * 9999):
        changed = {**metadata, "activitynet.views": views}
        with pytest.raises(WeightsError, match=r"'activitynet\.views' in 'a\.onnx' (is|must|lacks)"):
            Contents.from_metadata(changed.get, Path("a.onnx"))
    with pytest.raises(WeightsError, match="has no card"):
        Contents.from_metadata({}.get, Path("a.onnx"))
