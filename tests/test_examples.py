from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import threading
import urllib.error
import urllib.request
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


@pytest.mark.slow
def test_a_study_compares_losses_and_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    for _ in range(2):  # the second time, nothing is left to be trained
        done = run_example("study.py", "out", "--quick", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "4 of 4 configurations are complete" in done.stdout
        assert (tmp_path / "out" / "run" / "study.html").is_file()


def test_an_exported_file_answers_with_its_labels(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    done = run_example("export_and_run.py", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = dict(line.split(": ") for line in done.stdout.splitlines())
    assert list(rows) == ["dancing", "running", "walking"]
    assert sum(map(float, rows.values())) == pytest.approx(1, abs=0.01)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from activitynet import Classifier, create_model

    torch.manual_seed(0)
    classifier = Classifier(
        create_model("test_resnet_se", num_classes=2), ["running", "walking"], image_size=32
    )
    return classifier.save(tmp_path_factory.mktemp("weights") / "w")


@pytest.fixture
def many(tmp_path: Path, sample_data: Path) -> Path:
    """Photos enough to be killed between, one of them broken."""
    folder = tmp_path / "photos"
    folder.mkdir()
    drawn = sorted(path for path in sample_data.rglob("*") if path.is_file() and path.suffix != ".txt")
    for index in range(400):
        (folder / f"{index:03d}{drawn[index % 40].suffix}").symlink_to(drawn[index % 40])
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


def expected(weights: Path, photos: Path) -> dict[str, str | None]:
    from activitynet import Classifier

    return {row.source: row.label for row in Classifier.load(weights).predict(photos)}


# Runs an example, and ends the first process that has predicted 40 photos, once.
KILLER = """
import os, pathlib, runpy, signal, sys
from activitynet.inference import PredictionFile
write, mark = PredictionFile.write, pathlib.Path(sys.argv.pop(1))
def write_and_die(file, prediction):
    write(file, prediction)
    if file.tally.predicted == 40:
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
PredictionFile.write = write_and_die
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@pytest.mark.slow
def test_torchrun_predicts_each_photo_once_though_a_worker_is_killed(
    tmp_path: Path, weights: Path, many: Path
) -> None:
    (tmp_path / "killer.py").write_text(KILLER)
    example = EXAMPLES / "predict_with_torchrun.py"
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "2"]
    done = subprocess.run(
        [
            *(sys.executable, *launch, str(tmp_path / "killer.py"), str(tmp_path / "mark"), str(example)),
            *(str(many), "--weights", str(weights), "--output", str(tmp_path / "out")),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mark").exists(), "nothing was killed"
    parts = sorted((tmp_path / "out").iterdir())
    assert [part.name for part in parts] == ["part-0-of-2.jsonl", "part-1-of-2.jsonl"]
    rows = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert {row["source"]: row["label"] for row in rows} == expected(weights, many)
    assert len(rows) == 401


@pytest.mark.slow
def test_ray_predicts_each_photo_once_though_a_worker_is_killed(
    tmp_path: Path, weights: Path, many: Path
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'ray[data]'")
    from pyarrow import parquet

    # The first actor that has begun its second block dies, as by a fault of its machine.
    text = (EXAMPLES / "predict_with_ray.py").read_text("utf-8")
    dying = text.replace(
        "        rows = list(",
        f"        self.blocks = getattr(self, 'blocks', 0) + 1\n"
        f"        mark = Path({str(tmp_path / 'mark')!r})\n"
        "        if self.blocks == 2 and not mark.exists():\n"
        "            mark.touch()\n"
        "            __import__('os')._exit(1)\n"
        "        rows = list(",
    )
    assert dying != text
    (tmp_path / "dying.py").write_text(dying, "utf-8")
    done = subprocess.run(
        [
            *(sys.executable, str(tmp_path / "dying.py"), str(many), "--weights", str(weights)),
            *("--output", str(tmp_path / "out"), "--actors", "1"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mark").exists(), "nothing was killed"
    rows = parquet.read_table(tmp_path / "out").to_pylist()
    assert {row["source"]: row["label"] or None for row in rows} == expected(weights, many)
    assert len(rows) == 401


def run_here(name: str, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run an example in this process, which has torch already."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_timm_answers_as_we_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_here("timm_in_and_out.py", tmp_path / "out", monkeypatch=monkeypatch)
    same, ours = capsys.readouterr().out.splitlines()
    assert same.endswith("timm: True")
    assert int(ours.split()[-2].replace(",", "")) > 11_000_000


def test_a_callback_listens_and_an_own_loss_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from activitynet import Classifier

    run_here("own_loss_and_callback.py", tmp_path / "out", monkeypatch=monkeypatch)
    said = capsys.readouterr().out
    assert "epoch 1/1: macro-F1 " in said
    assert "own loss: " in said
    assert len(Classifier.load(tmp_path / "out" / "model").classes or ()) == 20


def test_bulk_prediction_goes_on_behind_what_is_there(
    tmp_path: Path,
    weights: Path,
    sample_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.csv"
    arguments = (sample_data / "val", "--weights", weights, "--output", output)
    run_here("bulk_prediction.py", *arguments, monkeypatch=monkeypatch)
    assert "0 rows were there, 40 are new, 0 photos" in capsys.readouterr().out
    whole = output.read_bytes()
    output.write_bytes(b"".join(whole.splitlines(keepends=True)[:11]) + b"half a ro")
    run_here("bulk_prediction.py", *arguments, monkeypatch=monkeypatch)
    assert "10 rows were there, 30 are new, 0 photos" in capsys.readouterr().out
    assert output.read_bytes() == whole


def test_an_exported_file_is_served(tmp_path: Path, weights: Path, sample_data: Path) -> None:
    pytest.importorskip("onnxruntime")
    from activitynet import Classifier

    classifier = Classifier.load(weights)
    file = classifier.export(tmp_path / "model.onnx")
    photo = next(path for path in (sample_data / "val").rglob("*") if path.is_file())
    example = runpy.run_path(str(EXAMPLES / "export_and_serve.py"))
    with example["make_server"](file, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            answers = json.load(urllib.request.urlopen(address, photo.read_bytes()))
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(address, b"no photo")
        finally:
            server.shutdown()
            thread.join()
    expected = classifier.predict_one(photo)
    assert next(iter(answers)) == expected.label
    assert answers[expected.label] == pytest.approx(expected.probability, abs=1e-4)


def test_each_example_is_short_and_has_a_test() -> None:
    tests = Path(__file__).read_text("utf-8") + (Path(__file__).parent / "hub/test_hub_example.py").read_text(
        "utf-8"
    )
    for example in EXAMPLES.glob("*.py"):
        assert example.name in tests
        assert len(example.read_text("utf-8").splitlines()) <= 70, example.name


def test_own_photos_that_are_missing_are_one_clear_line(tmp_path: Path) -> None:
    done = run_example("own_photos.py", "nowhere", "--model", "test_resnet_se", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "nowhere" in done.stderr
    assert done.stderr.count("\n") == 1
