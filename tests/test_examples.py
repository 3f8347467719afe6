from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(name: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )


@pytest.mark.slow
def test_quickstart_names_plots_that_are_there_and_runs_twice(tmp_path: Path) -> None:
    for _ in range(2):
        done = run_example("quickstart.py", "out", "--quick", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        plots = [line.strip() for line in done.stdout.splitlines() if line.endswith(".png")]
        assert {Path(plot).name for plot in plots} == {
            "confusion.png",
            "learning_curves.png",
            "per_class_f1.png",
        }
        for plot in plots:
            with Image.open(tmp_path / plot) as image:
                image.load()
        assert (tmp_path / "out" / "model" / "model.safetensors").is_file()


@pytest.mark.slow
def test_own_photos_end_as_weights(tmp_path: Path, sample_data: Path) -> None:
    from activitynet import Classifier

    start = Classifier("test_resnet_se")
    start.fit(sample_data, epochs=1, progress=False)
    start.save(tmp_path / "start")
    options = ("--model", "test_resnet_se", "--init-from", tmp_path / "start", "--epochs", 1, "--run", "run")
    done = run_example("own_photos.py", sample_data, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "0 photos could not be read." in done.stdout
    assert Classifier.load(tmp_path / "run" / "model").classes == start.classes


@pytest.mark.slow
def test_an_ensemble_its_cascade_and_its_student_are_compared(tmp_path: Path) -> None:
    from activitynet import Classifier, Ensemble

    done = run_example("ensemble_and_distill.py", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = dict(line.split(": macro-F1 ") for line in done.stdout.splitlines()[-3:])
    costs = {name: float(row.split(", ")[1].split()[0]) for name, row in rows.items()}
    assert costs["student"] < costs["cascade"] <= costs["ensemble"]
    teacher = Ensemble.load(tmp_path / "out" / "ensemble")
    assert Classifier.load(tmp_path / "out" / "student").classes == teacher.classes


def test_an_exported_file_answers_with_its_labels(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    done = run_example("export_and_run.py", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = dict(line.split(": ") for line in done.stdout.splitlines())
    assert list(rows) == ["dancing", "running", "walking"]
    assert sum(map(float, rows.values())) == pytest.approx(1, abs=0.01)


def test_own_photos_that_are_missing_are_one_clear_line(tmp_path: Path) -> None:
    done = run_example("own_photos.py", "nowhere", "--model", "test_resnet_se", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "nowhere" in done.stderr
    assert done.stderr.count("\n") == 1
