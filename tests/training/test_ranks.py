"""Several processes learn what one learns, and only one of them writes; so do several workers."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from real_runs import Child, command, different_tensors, learn, write_photos

from activitynet import Classifier
from activitynet.serialization.tensors import read_tensors
from activitynet.training import Event

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of few cores

# Without batch norms and dropout: each process has statistics and draws of its own.
SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 8,
    "drop_rate": 0.0,
    "precision": "fp32",
    "optimizer.lr": 0.003,
    "augment.color": 0.2,
    "checkpoint.epochs": [1],
}
MODEL = "test_resnet_se"  # group norms

# The command; in a process other than the first it ends at once where something is written into the run.
WATCHED = """
import os, sys
run = next(part for part in sys.argv if part.startswith("--run=")).removeprefix("--run=")

def watch(event, args):
    writes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate")
    if event == "open" and isinstance(args[2], int):
        writes = args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes and any(isinstance(arg, str | os.PathLike) and os.fspath(arg).startswith(run) for arg in args):
        print("rank", os.environ["RANK"], "WROTE", event, args, file=sys.stderr, flush=True)
        os._exit(99)

if os.environ.get("RANK") == os.environ.get("WATCHED_RANK"):
    sys.addaudithook(watch)
from activitynet.cli import main
main()
"""


def learn_on_two(folder: Path, data: Path, run: Path, *options: str, watched: int = 1) -> tuple[int, str]:
    """Go on with a run in two processes; return the exit code and what they said."""
    script = folder / "watched.py"
    script.write_text(WATCHED)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--", str(script)]
    environment = {"WATCHED_RANK": str(watched), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    arguments = [*command(data, run, SETTINGS, model=MODEL, workers=0), *options]
    with Child(arguments, before=launcher, environment=environment) as child:
        return child.process.wait(timeout=300), child.said


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_close(one: Any, other: Any, name: str = "") -> None:
    """Compare JSON values, numbers to 1e-6."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key in one:
            assert_close(one[key], other[key], f"{name}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), name
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_close(left, right, f"{name}[{index}]")
    elif isinstance(one, float) and isinstance(other, float):
        assert math.isclose(one, other, rel_tol=0, abs_tol=1e-6), f"{name}: {one} and {other}"
    else:
        assert one == other, name


def stop_in_epoch(epoch: int) -> Any:
    def callback(event: Event) -> None:
        if event.kind == "step" and event.epoch == epoch:
            raise KeyboardInterrupt

    return callback


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photos, 7 of them to validate on, and what one process learns of them."""
    folder = tmp_path_factory.mktemp("alone")
    data = write_photos(folder / "photos", train=(20, 20, 9))
    (data / "val/a/0.png").unlink()
    (data / "val/c/0.png").unlink()
    learn(data, folder / "run", SETTINGS, model=MODEL)
    return data, folder / "run"


@pytest.mark.slow
def test_two_ranks_learn_what_one_learns_and_one_of_them_writes(
    alone: tuple[Path, Path], tmp_path: Path
) -> None:
    data, run = alone
    code, said = learn_on_two(tmp_path, data, tmp_path / "run")
    assert code == 0, said
    assert_close(metrics(tmp_path / "run"), metrics(run))
    assert metrics(run)[-1]["macro_f1"] > metrics(run)[0]["macro_f1"]  # there was something to learn
    expected, found = (read_tensors(path / "model" / "model.safetensors") for path in (run, tmp_path / "run"))
    for name, tensor in expected.items():
        assert (found[name] - tensor).abs().max() < 1e-4, name
    names = [sorted(path.relative_to(top) for path in top.rglob("*")) for top in (run, tmp_path / "run")]
    assert names[0] == names[1]


@pytest.mark.slow
def test_the_watch_sees_writes_and_a_run_of_one_rank_goes_on_on_two(
    alone: tuple[Path, Path], tmp_path: Path
) -> None:
    data, run = alone
    with pytest.raises(KeyboardInterrupt):
        learn(data, tmp_path / "run", SETTINGS, model=MODEL, callbacks=[stop_in_epoch(2)])
    code, said = learn_on_two(tmp_path, data, tmp_path / "run", watched=0)
    assert code != 0
    assert "rank 0 WROTE" in said
    code, said = learn_on_two(tmp_path, data, tmp_path / "run")
    assert code == 0, said
    assert_close(metrics(tmp_path / "run"), metrics(run))


@pytest.mark.slow
def test_two_ranks_leave_out_the_same_photos(alone: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = tmp_path / "photos", alone[1]
    shutil.copytree(alone[0], data)
    (data / "train/a/broken.png").write_bytes(b"no photo")
    (data / "val/b/broken.png").write_bytes(b"no photo")
    code, said = learn_on_two(tmp_path, data, tmp_path / "run")
    assert code != 0
    assert "2 of 58 photos cannot be read" in said
    assert not (tmp_path / "run").exists()
    code, said = learn_on_two(tmp_path, data, tmp_path / "run", "--skip-bad")
    assert code == 0, said
    assert said.count("unreadable photos left out: 2 (1 train, 1 val)") == 1
    assert_close(metrics(tmp_path / "run"), metrics(run))
    lines = (tmp_path / "run/skipped.jsonl").read_text().splitlines()
    assert [Path(json.loads(line)["path"]).parent.name for line in lines] == ["a", "b"]


def test_any_number_of_workers_gives_the_same_bits(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "photos", train=(9, 5, 4), val=1)
    settings = {**SETTINGS, "resolution_start": 0.5, "mix.cutmix": 1.0, "drop_rate": 0.2}
    learned = []
    for workers in (0, 1, 3):
        classifier = Classifier(MODEL, image_size=64)
        result = classifier.fit(data, settings=settings, workers=workers, progress=False)
        learned.append((classifier.model.state_dict(), result.history))
    for tensors, history in learned[1:]:
        assert different_tensors(tensors, learned[0][0]) == []
        assert history == learned[0][1]
