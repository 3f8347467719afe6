"""What goes wrong in the middle of a run is said in one line, and costs nothing that was learned."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from real_runs import (
    Child,
    Saves,
    apart,
    command,
    differences,
    finish,
    learn,
    shared_reference,
    unfinished_files,
    wait_until,
    write_photos,
)

from activitynet.errors import DataError, TrainingError
from activitynet.training import Event
from activitynet.training.checkpoint import read_checkpoint

QUICK = {"epochs": 1, "batch_size": 8, "checkpoint.epochs": [1]}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="bounds the files of another process")
def test_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import resource

    reference = shared_reference(tmp_path_factory)
    run = tmp_path / "run"
    with Child(command(reference.data, run)) as child:
        saves = Saves(run)
        wait_until(lambda: saves() >= 3, child)
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        assert child.process.wait(timeout=240) == 2, child.said
        lines = child.said.splitlines()
        told = [line for line in lines if not line.startswith("run folder:") and " classes: " not in line]
    assert len(told) == 1
    assert f"error: cannot write '{run}/checkpoints/last/state.safetensors'" in told[0]
    _, state = read_checkpoint(run / "checkpoints" / "last")
    assert state["step"] >= 2
    assert unfinished_files(run) == set()
    finish(reference.data, run)
    assert differences(run, reference.run) == []


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_loss_that_is_not_finite_names_step_rate_and_checkpoint(tmp_path: Path, name: str) -> None:
    data, run = write_photos(tmp_path / "photos"), tmp_path / "run"
    wild = {**QUICK, "epochs": 5, "optimizer.name": name, "optimizer.lr": 1000.0, "optimizer.clip_norm": 0.0}
    wild |= {"schedule.warmup": 0.0, "average.name": "none", "checkpoint.every_steps": 1}
    with pytest.raises(TrainingError) as caught:
        learn(data, run, wild, model="test_resnet_se")
    message = str(caught.value)
    for part in ("step ", "epoch ", "rate ", "Lower the learning rate", str(run / "checkpoints" / "last")):
        assert part in message
    assert "\n" not in message
    read_checkpoint(run / "checkpoints" / "last")  # refuses numbers that are not finite


def error_when_a_worker_dies(data: Path, run: Path) -> str:
    def kill_a_worker(event: Event) -> None:
        if event.kind == "step" and event.step == 2:
            worker = multiprocessing.active_children()[0].pid
            assert worker
            os.kill(worker, signal.SIGKILL)

    with pytest.raises(DataError) as caught:
        learn(data, run, QUICK, workers=2, callbacks=[kill_a_worker])
    return str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="kills a worker")
def test_a_worker_that_dies_is_named_and_what_was_learned_is_saved(tmp_path: Path) -> None:
    data, run = write_photos(tmp_path / "photos"), tmp_path / "run"
    said = apart(error_when_a_worker_dies, data, run)
    assert "a process that loads photos has died" in said
    assert "\n" not in said
    assert read_checkpoint(run / "checkpoints" / "last")[1]["step"] >= 2
    learn(data, run, QUICK)
    learn(data, tmp_path / "whole", QUICK)
    assert differences(run, tmp_path / "whole") == []


def test_other_photos_are_refused_with_the_difference(tmp_path: Path) -> None:
    data, run = write_photos(tmp_path / "photos"), tmp_path / "run"
    learn(data, run, QUICK)
    shutil.move(data, tmp_path / "elsewhere")
    data = tmp_path / "elsewhere"
    before = (run / "metrics.jsonl").read_bytes()
    learn(data, run, QUICK)
    shutil.copy(data / "val/a/0.png", data / "train/a/new.png")
    (data / "val/b/1.png").write_bytes((data / "val/b/2.png").read_bytes())
    with pytest.raises(TrainingError, match="cannot resume") as caught:
        learn(data, run, QUICK)
    assert r"1 photo added (train/a/new.png), 1 changed (val/b/1.png)" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_photo_that_breaks_during_the_run_is_named(tmp_path: Path) -> None:
    from activitynet.errors import ImageError

    data, run = write_photos(tmp_path / "photos"), tmp_path / "run"

    def break_photos(event: Event) -> None:
        if event.kind == "step" and event.step == 1:
            for path in (data / "train").rglob("*.png"):
                path.write_bytes(path.read_bytes()[:50])

    with pytest.raises(ImageError, match=r"train/[abc]/\d+\.png") as caught:
        learn(data, run, QUICK, workers=1, callbacks=[break_photos])
    assert "\n" not in str(caught.value)
    assert read_checkpoint(run / "checkpoints" / "last")[1]["step"] >= 1
