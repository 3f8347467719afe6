from __future__ import annotations

import json
from pathlib import Path

import pytest

from activitynet import Classifier, Ensemble
from activitynet.cli.main import run
from activitynet.data.open import open_data
from activitynet.weights import load_weights


@pytest.fixture(scope="module")
def teacher(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble of two fitted heads, whose classes are in another order than the folders'."""
    root = tmp_path_factory.mktemp("teacher")
    classes = open_data(sample_data).classes[::-1]
    members = []
    for seed in (0, 1):
        classifier = Classifier("test_resnet_se", classes, image_size=32, device="cpu")
        data = open_data(sample_data, classes=classes)
        classifier.fit(data, epochs=1, seed=seed, workers=0, progress=False)
        members.append(load_weights(classifier.save(root / f"{seed}")))
    return Ensemble(members).save(root / "both")


def options(folder: Path, *more: str) -> list[str]:
    fixed = [
        "--model",
        "test_resnet_se",
        "--image-size",
        "32",
        "--epochs",
        "1",
        "--workers",
        "0",
        "--no-progress",
    ]
    return [*fixed, "--run", str(folder), *more]


def test_a_student_is_taught_and_compared(
    teacher: Path, sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["distill", str(teacher), str(sample_data), *options(tmp_path / "run", "--json")]) == 0
    report = json.loads(capsys.readouterr().out)
    student, teaching = Classifier.load(report["weights"]), Ensemble.load(teacher)
    assert student.classes == teaching.classes
    for name, predictor in (("student", student), ("teacher", teaching)):
        assert report[name]["macro_f1"] == predictor.evaluate(sample_data, workers=0).macro_f1
        assert report[name]["macs"] == predictor.macs()
    assert report["times_cheaper"] == pytest.approx(2)
    _, card = load_weights(report["weights"])
    assert card.recipe["distill"]["teachers"] == [str(teacher)]


def test_a_pretrained_student_learns_by_the_recipe_for_it(
    teacher: Path, sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    member = next(path for path in sorted(teacher.iterdir()) if path.is_dir())
    more = options(tmp_path / "run", "--init-from", str(member), "--set", "distill.temperature=3")
    more += ["--cache", str(tmp_path / "cache")]
    assert run(["distill", str(teacher), str(sample_data), *more]) == 0
    out = capsys.readouterr().out
    for word in ("teacher", "student", "macro-F1", "2.00", "needs 1/2.0", str(tmp_path / "run" / "model")):
        assert word in out
    recipe = json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]
    expected = {"teachers": [str(teacher)], "weight": 0.7, "temperature": 3.0, "features": 0.0}
    assert recipe["distill"] == expected
    assert recipe["fit_head"]
    assert list((tmp_path / "cache").rglob("*.rgb"))


def test_what_cannot_be_taught(
    teacher: Path, sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "data" / "train" / "no such activity"
    other.mkdir(parents=True)
    (other / "a.jpg").write_bytes(next(sample_data.rglob("*.jpg")).read_bytes())
    more = options(tmp_path / "run")
    assert run(["distill", str(teacher), str(tmp_path / "data"), *more]) == 2
    assert "no such activity" in capsys.readouterr().err
    assert run(["distill", str(tmp_path / "none"), str(sample_data), *more]) == 2
    assert "there is no folder" in capsys.readouterr().err
    more += ["--set", "distill.teachers=['x']"]
    assert run(["distill", str(teacher), str(sample_data), *more]) == 2
    assert "TEACHER names the teacher" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
