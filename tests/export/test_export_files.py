from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from activitynet import Classifier, create_model
from activitynet.data.class_folders import open_folder
from activitynet.errors import ModelError
from activitynet.export import FORMATS
from activitynet.weights import Card

CLASSES = ("ä", "b", "c", "d", "e")

# Runs a file with one package and numpy; torch and this library cannot be imported.
ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "activitynet", "onnx"):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Refuse())
engine, path, photos, answers = sys.argv[1:]
import numpy
photos = numpy.load(photos)
if engine == "onnxruntime":
    import onnxruntime
    session = onnxruntime.InferenceSession(path)
    card = session.get_modelmeta().custom_metadata_map["activitynet.card"]
    run = lambda images: session.run(["probabilities"], {"images": images})[0]
else:
    import openvino
    core = openvino.Core()
    model = core.read_model(path)
    card = model.get_rt_info(["activitynet.card"]).value
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    run = lambda images: compiled({"images": images})["probabilities"]
numpy.savez(answers, card=card, **{name: run(photos[name]) for name in photos})
assert "torch" not in sys.modules
"""


def run_alone(path: Path, photos: dict[str, np.ndarray], folder: Path) -> tuple[str, dict[str, np.ndarray]]:
    engine = "onnxruntime" if path.suffix == ".onnx" else "openvino"
    np.savez(folder / "photos.npz", **photos)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, engine, path, folder / "photos.npz", folder / f"{engine}.npz"],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    answers = dict(np.load(folder / f"{engine}.npz"))
    return str(answers.pop("card")), answers


def probabilities(classifier: Classifier, photos: np.ndarray) -> np.ndarray:
    rows = classifier.predict([Image.fromarray(photo) for photo in photos], top=len(CLASSES))
    return np.array([[dict(row.top)[name] for name in CLASSES] for row in rows])


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    model = create_model("test_resnet_se", num_classes=len(CLASSES))
    for part in model.modules():
        if isinstance(part, torch.nn.GroupNorm):
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.normal_(part.bias, std=0.3)
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    classifier = Classifier(model, CLASSES, image_size=48, device="cpu")
    classifier.temperature = 1.7
    return classifier


@pytest.fixture(scope="module")
def exported(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder, made = tmp_path_factory.mktemp("exported"), {}

    def path(form: str) -> Path:
        if form not in made:
            made[form] = classifier.export(folder / f"model{FORMATS[form]}", form)
        return made[form]

    return path


@pytest.fixture(scope="module")
def photos() -> dict[str, np.ndarray]:
    """Batches of different lengths and photos of different sizes, smooth as photos are."""
    batches = {}
    for seed, (count, height, width) in enumerate([(1, 90, 130), (3, 48, 48), (2, 20, 33), (1, 480, 640)]):
        coarse = np.random.default_rng(seed).integers(0, 256, (count, 6, 9, 3), dtype=np.uint8)
        batches[f"{count}x{height}x{width}"] = np.stack(
            [
                np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC))
                for photo in coarse
            ]
        )
    return batches


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_a_file_runs_without_torch_and_agrees(
    form: str,
    classifier: Classifier,
    exported: Callable[[str], Path],
    photos: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    card, answers = run_alone(exported(form), photos, tmp_path)
    assert answers.keys() == photos.keys()
    for name, batch in photos.items():
        expected = probabilities(classifier, batch)
        assert expected.max() > 0.3  # not all alike
        np.testing.assert_allclose(answers[name], expected, atol=1e-4)
    read = Card.from_json(card)
    assert read.classes == CLASSES
    assert read.temperature == 1.7
    assert read.preprocess == classifier.preprocess


def test_an_onnxscript_older_than_torch_is_named_with_its_remedy(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(*args: Any, **options: Any) -> None:
        missing = "onnxscript._framework_apis.torch_9_9"
        raise RuntimeError("step 3") from ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(ModelError, match=r"older than torch .*: pip install --upgrade onnxscript\.$"):
        classifier.export(tmp_path / "model.onnx", format="onnx")


# torch's own reader, where it is an older one.
@pytest.mark.filterwarnings("ignore:The given buffer is not writable:UserWarning")
def test_a_torch_file_agrees(
    classifier: Classifier, exported: Callable[[str], Path], photos: dict[str, np.ndarray]
) -> None:
    extra: dict[str, Any] = {"activitynet.card": ""}
    program = torch.export.load(exported("torch"), extra_files=extra).module()
    for batch in photos.values():
        found = program(torch.from_numpy(batch)).detach().numpy()
        np.testing.assert_allclose(found, probabilities(classifier, batch), atol=1e-4)
    assert json.loads(extra["activitynet.card"])["classes"] == list(CLASSES)


def test_a_file_holds_no_path_of_this_machine(exported: Callable[[str], Path]) -> None:
    data = exported("onnx").read_bytes()
    assert b"/site-packages/" not in data
    assert os.fsencode(Path(__file__).parents[2]) not in data


@pytest.mark.processor
def test_8_bit_files_are_smaller_and_mostly_agree(sample_data: Path, tmp_path: Path) -> None:
    data = open_folder(sample_data)
    torch.manual_seed(0)
    model = create_model("test_resnet_se", num_classes=len(data.classes))
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    classifier = Classifier(model, data.classes, image_size=48, device="cpu")
    path = classifier.export(tmp_path / "small.onnx", calibrate=data)
    assert path.stat().st_size < 0.6 * classifier.export(tmp_path / "plain.onnx").stat().st_size
    photos = [photo.path for photo in data.val]
    small = Classifier.load(path, engine="onnxruntime")
    expected, found = (
        np.array([[dict(row.top)[name] for name in data.classes] for row in each.predict(photos, top=20)])
        for each in (classifier, small)
    )
    assert 0 < np.abs(found - expected).max() < 0.2
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.8
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(path).graph
    whole = [
        onnx.numpy_helper.to_array(each)
        for each in graph.initializer
        if each.data_type == onnx.TensorProto.INT8
    ]
    # Two products of these with activations of 8 bits fit into 16 bits, in which processors without VNNI add.
    assert 0 < max(np.abs(each.astype(int)).max() for each in whole) <= 64
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    weights = [made_by.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    assert weights[0] != "DequantizeLinear"  # what the first layers lose is lost to all
    assert weights[-1] == "DequantizeLinear"


@pytest.mark.parametrize(
    ("name", "form", "message"),
    [
        ("a.onnx", "onx", "Did you mean 'onnx'"),
        ("a.pt", "torch", "extension .pt2"),
        ("a.onnx", "openvino", "extension .xml"),
    ],
)
def test_what_cannot_be_written_is_said_at_once(
    name: str, form: Any, message: str, classifier: Classifier, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        classifier.export(tmp_path / name, form)
    assert not list(tmp_path.iterdir())


def test_8_bits_are_not_for_torch(classifier: Classifier, tmp_path: Path) -> None:
    from activitynet.export import export_model

    card = Card(architecture="x", classes=CLASSES, preprocess=classifier.preprocess)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="onnx and openvino only"):
        export_model(classifier.model, card, tmp_path / "a.pt2", "torch", calibrate=[])


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "openvino"])
def test_a_missing_package_is_named_with_its_remedy(
    package: str, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=rf"needs {package}: pip install 'activitynet\[\w+\]'"):
        classifier.export(tmp_path / "a.xml", "openvino")


@pytest.mark.slow
@pytest.mark.real_photos
def test_500_real_photos_get_the_same_probabilities(real_data: Path, tmp_path: Path) -> None:
    from activitynet.data.decode import decode_image
    from activitynet.zoo.warm_start import load_trunk

    trunk = load_trunk(real_data / "tf_efficientnet_lite0").model
    names = [str(index) for index in range(trunk.num_classes)]
    classifier = Classifier(trunk, names, image_size=128, device="cpu")
    every = sorted((real_data / "activities" / "val").rglob("*.jpg"))
    paths = every[:: len(every) // 500][:500]
    photos = {f"{index:03}": np.asarray(decode_image(path))[None] for index, path in enumerate(paths)}
    expected = np.array(
        [
            [dict(row.top)[name] for name in names]
            for row in classifier.predict(paths, top=len(names), batch_size=16)
        ]
    )
    for form in ("onnx", "openvino"):
        path = classifier.export(tmp_path / f"model{FORMATS[form]}", form)
        _, answers = run_alone(path, photos, tmp_path)
        found = np.concatenate([answers[name] for name in photos])
        off = np.abs(found - expected).max(axis=1)
        assert np.mean(off < 1e-4) >= 0.97  # of the rest, ties in the resize were rounded to the other side
        assert off.max() < 0.01
        assert np.mean(found.argmax(axis=1) == expected.argmax(axis=1)) >= 0.998
