from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from activitynet import Classifier, create_model
from activitynet.errors import ModelError, WeightsError
from activitynet.inference import engines
from activitynet.inference.engines import Engine, openvino_has_bf16

ENGINES = ("torch", "onnxruntime", "openvino")
CLASSES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = create_model("test_efficientnet_se", num_classes=len(CLASSES))
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    classifier = Classifier(model, CLASSES, image_size=64, device="cpu")
    classifier.temperature = 0.8
    return classifier.save(tmp_path_factory.mktemp("weights") / "model")


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    classifier = Classifier.load(folder, device="cpu")
    return {
        form: classifier.export(folder.parent / name, form)  # type: ignore[arg-type]
        for form, name in (("onnx", "m.onnx"), ("openvino", "m.xml"))
    }


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    chance = np.random.default_rng(0)
    return [
        Image.fromarray(chance.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((70 + index, 50))
        for index in range(5)
    ]


def answers(classifier: Classifier, photos: list[Image.Image], **options: Any) -> np.ndarray:
    rows = classifier.predict(photos, top=len(CLASSES), **options)
    return np.array([[dict(row.top)[name] for name in CLASSES] for row in rows])


@pytest.mark.processor
@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_networks_answers(
    engine: Any, folder: Path, photos: list[Image.Image]
) -> None:
    plain = Classifier.load(folder, device="cpu")
    expected = answers(plain, photos)
    exact = Classifier.load(folder, device="cpu", engine=engine, precision="fp32")
    assert exact.engine == f"{engine} fp32"
    for batch_size in (1, 3):
        np.testing.assert_allclose(answers(exact, photos, batch_size=batch_size), expected, atol=1e-5)
    if engine == "torch" or (engine == "openvino" and openvino_has_bf16()):
        rough = Classifier.load(folder, device="cpu", engine=engine, precision="bf16")
        found = answers(rough, photos)
        assert rough.engine == f"{engine} bf16"
        np.testing.assert_allclose(found, expected, atol=0.03)
        assert not np.allclose(found, expected, atol=1e-7)


@pytest.mark.processor
def test_openvino_says_bfloat16_only_where_the_processor_computes_in_it(
    folder: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = files["openvino"]
    engine = Classifier.load(file).model
    compiled = engine._request.get_compiled_model()  # type: ignore[operator, union-attr]
    runs_in = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    assert engine.description == f"openvino {'bf16' if runs_in == 'bf16' else 'fp32'}"
    monkeypatch.setattr(engines, "openvino_has_bf16", lambda: False)
    assert Classifier.load(file).engine == "openvino fp32"
    with pytest.raises(ModelError, match="openvino has no bfloat16 on this processor"):
        Classifier.load(file, engine="openvino", precision="bf16")
    assert Classifier.load(folder, device="cpu", engine="auto", precision="bf16").engine == "torch bf16"
    for file in files.values():
        with pytest.raises(ModelError, match=r"no bfloat16 on this processor with .*openvino; choose fp32"):
            Classifier.load(file, precision="bf16")


_SIGNALLED = """
import os, signal, sys, threading
from activitynet import Classifier

signal.signal(signal.SIGINT, lambda *_: print("handled"))
loaded = [Classifier.load(sys.argv[1], engine="openvino")]
elsewhere = threading.Thread(target=loaded.clear)  # as the garbage collector may
elsewhere.start()
elsewhere.join()
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.skipif(os.name != "posix", reason="no such signals here")
def test_a_signal_is_handled_after_an_engine_has_ended_in_another_thread(files: dict[str, Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SIGNALLED, files["openvino"]], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@pytest.mark.parametrize(
    ("form", "engine"), [("onnx", "onnxruntime"), ("onnx", "openvino"), ("openvino", "openvino")]
)
def test_an_exported_file_answers_as_its_weights(
    form: str, engine: Any, folder: Path, files: dict[str, Path], photos: list[Image.Image]
) -> None:
    expected = answers(Classifier.load(folder, device="cpu"), photos)
    loaded = Classifier.load(files[form], engine=engine, precision="fp32")
    assert loaded.classes == CLASSES
    assert loaded.temperature == 0.8
    np.testing.assert_allclose(answers(loaded, photos), expected, atol=1e-5)


def test_auto_takes_one_that_is_installed_and_says_which(
    folder: Path, files: dict[str, Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO, logger="activitynet"):
        engine = Classifier.load(folder, device="cpu", engine="auto").engine
        assert engine.split()[0] in ENGINES
        assert f"engine: {engine}" in caplog.text
        assert all(name in caplog.text for name in ENGINES)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in ("onnx", "openvino") else find(name)
    )
    assert Classifier.load(folder, device="cpu", engine="auto").engine.startswith("torch")
    assert Classifier.load(files["onnx"]).engine == "onnxruntime fp32"


@pytest.mark.parametrize(("form", "engine"), [("onnx", "torch"), ("openvino", "onnxruntime")])
def test_an_engine_that_cannot_run_a_file_is_refused(form: str, engine: Any, files: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match=f"{engine} does not run"):
        Classifier.load(files[form], engine=engine)


def test_unknown_engines_and_precisions_get_a_suggestion(folder: Path) -> None:
    with pytest.raises(ModelError, match="Did you mean 'openvino'"):
        Classifier.load(folder, engine="openvin")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="Choose from: fp32, bf16"):
        Classifier.load(folder, engine="torch", precision="int3")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="no bfloat16"):
        Classifier.load(folder, device="cpu", engine="onnxruntime", precision="bf16")
    with pytest.raises(ModelError, match="precision belongs to an engine"):
        Classifier.load(folder, precision="fp32")


def test_an_engine_only_predicts(folder: Path, sample_data: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(folder, device="cpu", engine="torch")
    with pytest.raises(ModelError, match="only predicts"):
        classifier.save(tmp_path / "again")
    with pytest.raises(ModelError, match="only predicts"):
        classifier.export(tmp_path / "again.onnx")
    drawn = Classifier(create_model("test_resnet_se", num_classes=20), [f"{i}" for i in range(20)])
    assert drawn.engine == "torch fp32"


def test_a_file_that_is_missing_foreign_or_reads_others_is_refused(
    files: dict[str, Path], tmp_path: Path
) -> None:
    import onnx

    def refused(path: Path, message: str, kind: type[Exception] = WeightsError) -> None:
        with pytest.raises(kind, match=message):
            Classifier.load(path)

    refused(tmp_path / "absent.onnx", "cannot read")
    refused(tmp_path / "absent.xml", "there is no file")
    refused(tmp_path / "absent.pkl", "A weights folder holds")
    refused(tmp_path / "model.pt2", "unpickling", ModelError)
    for name in ("junk.onnx", "junk.xml", "junk.bin"):
        (tmp_path / name).write_bytes(b"\xff\x00junk")
    refused(tmp_path / "junk.onnx", "is not an ONNX file")
    refused(tmp_path / "junk.xml", "is not an OpenVINO model")

    model = onnx.load(files["onnx"])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    refused(tmp_path / "foreign.onnx", "has no card")

    model = onnx.load(files["onnx"])
    tensor = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    (tmp_path / "escapes.onnx").write_bytes(model.SerializeToString())
    refused(tmp_path / "escapes.onnx", "tensors in other files")

    model = onnx.load(files["onnx"])
    model.graph.node.extend([onnx.helper.make_node("Constant", [], ["hidden"], value=tensor)])
    (tmp_path / "hides.onnx").write_bytes(model.SerializeToString())
    refused(tmp_path / "hides.onnx", "tensors in other files")


@pytest.mark.parametrize("package", ["onnxruntime", "openvino"])
def test_a_missing_engine_is_named_with_its_remedy(
    package: Any, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=rf"needs {package}: pip install 'activitynet\[\w+\]'"):
        Classifier.load(files["onnx"], engine=package)


class Clocked(Engine):
    """Takes so long, and longer when another engine was the last to run, as real ones do."""

    last: Clocked | None = None

    def __init__(self, description: str, seconds: float, after_another: float, clock: list[float]) -> None:
        super().__init__()
        self.description, self.num_classes = description, 3
        self.seconds, self.after_another, self.clock = seconds, after_another, clock

    def forward(self, pixels: Any) -> torch.Tensor:
        self.clock[0] += self.seconds if Clocked.last is self else self.after_another
        Clocked.last = self
        return torch.zeros(len(pixels), 3)


def test_auto_takes_what_is_fastest_when_it_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    steady, fast = Clocked("steady", 2.0, 2.0, clock), Clocked("fast", 1.0, 3.0, clock)
    monkeypatch.setattr(engines.time, "perf_counter", lambda: clock[0])
    rates = engines._rates([steady, fast], [(8, 8)])
    assert rates["fast"] == 2 * rates["steady"]
