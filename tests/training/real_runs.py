"""Real training runs, in processes of their own, to be killed, signalled and compared."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from activitynet import Classifier
from activitynet.serialization.tensors import read_tensors
from activitynet.training import FitResult
from activitynet.training.checkpoint import read_checkpoint

# A bit of everything that could be forgotten between two processes: chance in every place, parts of a step,
# growing images, statistics of batch norms, averages, snapshots, and a save after every step.
SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 8,
    "grad_accum_steps": 2,
    "resolution_start": 0.5,
    "drop_path_rate": 0.1,
    "sampler": "sqrt",
    "optimizer.lr": 0.003,
    "augment.color": 0.3,
    "augment.noise": 0.05,
    "mix.mixup": 0.3,
    "mix.cutmix": 1.0,
    "mix.probability": 0.4,
    "average.anchor": 0.05,
    "checkpoint.every_steps": 1,
    "checkpoint.epochs": [1],
    "checkpoint.top": 1,
}
MODEL, IMAGE_SIZE, SEED = "test_efficientnet_se", 64, 5
_Result = TypeVar("_Result")
_FEW_CORES = "ignore:This DataLoader will create:UserWarning"  # torch's, on a machine of one core


def write_photos(folder: Path, *, train: Sequence[int] = (40, 20, 9), val: int = 3) -> Path:
    """Write small photos of noise, each class with a tint of its own, and return their folder."""
    noise = np.random.default_rng(0)
    for split, counts in (("train", train), ("val", [val] * len(train))):
        for label, count in enumerate(counts):
            place = folder / split / "abc"[label]
            place.mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 100, (40, 40, 3), dtype=np.uint8)
                pixels[..., label] += 120
                Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def command(
    data: Path, run: Path, settings: dict[str, Any] = SETTINGS, *, model: str = MODEL, workers: int = 2
) -> list[str]:
    """Return the arguments of the command that begins a run, or goes on with it."""
    options = [f"--model={model}", f"--image-size={IMAGE_SIZE}", f"--seed={SEED}", f"--workers={workers}"]
    changes = [f"--set={name}={str(value).replace(chr(39), chr(34))}" for name, value in settings.items()]
    return ["train", str(data), f"--run={run}", "--resume", "--no-progress", *options, *changes]


class Child:
    """The command in a process group of its own.

    What it says goes to a file, for a pipe would stay open as long as its orphans live.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        before: Sequence[str] = ("-m", "activitynet"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by __exit__
        self.process = subprocess.Popen(
            [sys.executable, *before, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": _FEW_CORES, **(environment or {})},
        )
        self.pid = self.process.pid

    @property
    def said(self) -> str:
        """What it has written to stderr so far."""
        self._said.seek(0)
        return self._said.read()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        self._said.close()


def apart(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """Call a function in a process of its own: one that signals itself, or kills the processes it started.

    In the process that runs the tests, a signal that is missed would end all of them, and torch would tell
    of a dead worker again in another test.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def finish(data: Path, run: Path) -> None:
    """Go on with a run to its end.

    Raises:
        RuntimeError: It failed.
    """
    with Child(command(data, run)) as child:
        if code := child.process.wait():
            raise RuntimeError(f"the run ended with {code}: {child.said}")


def learn(data: Path, run: Path | None, settings: dict[str, Any], **options: Any) -> FitResult:
    """Begin a run, or go on with it, in this process: the same as the command of the same settings."""
    model = options.pop("model", MODEL)
    options = {"seed": SEED, "workers": 0, **options}
    classifier = Classifier(model, image_size=IMAGE_SIZE)
    return classifier.fit(data, run=run, settings=settings, resume=run is not None, progress=False, **options)


@dataclass(frozen=True)
class Reference:
    """A run that nothing interrupted."""

    data: Path
    run: Path
    seconds: float


def make_reference(folder: Path) -> Reference:
    """Write photos and train on them, undisturbed."""
    data, run, began = write_photos(folder / "photos"), folder / "whole", time.monotonic()
    finish(data, run)
    return Reference(data, run, time.monotonic() - began)


_shared: list[Reference] = []


def shared_reference(factory: Any) -> Reference:
    """Return one reference for all tests of a session, given its ``tmp_path_factory``."""
    if not _shared:
        _shared.append(make_reference(factory.mktemp("reference")))
    return _shared[0]


def differences(run: Path, other: Path) -> list[str]:
    """Name everything in which two finished runs differ, but for how long they took."""
    found = []
    for name in ("last", "best"):
        folders = [path / "checkpoints" / name for path in (run, other)]
        (tensors, state), (others, other_state) = map(read_checkpoint, folders)
        found += [f"{name}: {tensor}" for tensor in different_tensors(tensors, others)]
        for key in (state.keys() | other_state.keys()) - {"seconds", "waited", "timings"}:
            if state.get(key) != other_state.get(key):
                found.append(f"{name}: {key} {state.get(key)} and {other_state.get(key)}")
    snapshots = [
        sorted(folder.name for folder in (path / "checkpoints").glob("epoch-*")) for path in (run, other)
    ]
    if snapshots[0] != snapshots[1] or not snapshots[0]:
        return [*found, f"snapshots: {snapshots[0]} and {snapshots[1]}"]
    for name in ("model", *(f"checkpoints/{snapshot}" for snapshot in snapshots[0])):
        weights = [read_tensors(path / name / "model.safetensors") for path in (run, other)]
        found += [f"{name}: {tensor}" for tensor in different_tensors(*weights)]
    files = ["metrics.jsonl", "config.json", "photos.txt", "model/config.json"]
    return found + [name for name in files if (run / name).read_bytes() != (other / name).read_bytes()]


def different_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    """Name the tensors that are not the same to the bit, or in one of the two only."""
    return [
        name
        for name in sorted(one.keys() | other.keys())
        if name not in one or name not in other or not torch.equal(one[name], other[name])
    ]


def wait_until(condition: Callable[[], Any], child: Child, *, seconds: float = 120) -> None:
    """Wait for something that a child does.

    Raises:
        RuntimeError: It does not do it, or ends before.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if (code := child.process.poll()) is not None or time.monotonic() > deadline:
            raise RuntimeError(f"it did not come to that (code {code}): {child.said}")
        time.sleep(0.002)


class Saves:
    """Counts the checkpoints that a run saves from now on."""

    def __init__(self, run: Path) -> None:
        self._file = run / "checkpoints" / "last" / "state.safetensors"
        self._last = self._stamp()
        self._seen = 0

    def _stamp(self) -> int:
        return self._file.stat().st_ino if self._file.exists() else 0

    def __call__(self) -> int:
        """Return how many were seen so far; a few may be missed."""
        if (now := self._stamp()) != self._last:
            self._last, self._seen = now, self._seen + 1
        return self._seen


def unfinished_files(run: Path) -> set[Path]:
    """Return what a save that was cut off has left, or one that goes on now is writing."""
    return {
        Path(folder, name)
        for folder, folders, files in os.walk(run)  # passes over what is gone in the meantime
        for name in (*folders, *files)
        if name.startswith(".") and name.endswith((".tmp", ".old"))
    }


@dataclass
class KillCounts:
    """What killing a run came to.

    Attributes:
        kills: Kills that met a living process.
        in_saves: Of them, those that left a half-written file.
        before_first_save: Of them, those before there was any checkpoint.
        resumes: Times that a run with a checkpoint was started again.
        groups: Process groups that were started.
    """

    kills: int = 0
    in_saves: int = 0
    before_first_save: int = 0
    resumes: int = 0
    groups: list[int] = field(default_factory=list)


# When to kill: at one of the first sightings of a file that is being written there, or at any time.
_MOMENTS = [
    *[("anywhere", 1)] * 3,
    *[("checkpoints/last", 4)] * 5,
    *[("metrics", 2), ("timings", 2), ("plots", 2), ("", 8)],
    *[("checkpoints/best", 1), ("checkpoints/.epoch", 1), ("model", 1)],
]


def kill_and_resume(reference: Reference, run: Path, chance: random.Random, counts: KillCounts) -> bool:
    """Start a run or go on with it, and kill it at an instant that ``chance`` draws.

    Returns:
        Whether it came to its end before that.

    Raises:
        RuntimeError: It failed by itself.
    """
    kill = os.killpg if chance.random() < 0.5 else os.kill  # workers die with the run, or have to notice
    place, sightings = chance.choice(_MOMENTS)
    sightings, delay = chance.randint(1, sightings), chance.uniform(0, reference.seconds)
    left_before = unfinished_files(run)
    counts.resumes += (run / "checkpoints/last/state.safetensors").exists()
    with Child(command(reference.data, run)) as child:
        counts.groups.append(child.pid)
        began, seen = time.monotonic(), set(left_before)
        while child.process.poll() is None:
            if place == "anywhere":
                is_time = time.monotonic() - began > delay
            else:
                new = unfinished_files(run) - seen
                sightings -= sum(
                    path.relative_to(run).as_posix().lstrip(".").startswith(place) for path in new
                )
                seen = (seen | new) if new else seen
                is_time = sightings <= 0
            if is_time:
                with contextlib.suppress(ProcessLookupError):
                    kill(child.pid, signal.SIGKILL)
                break
            time.sleep(0.0005)
        code = child.process.wait()
        if code == 0:
            return True
        if code != -signal.SIGKILL:
            raise RuntimeError(f"the run ended by itself with {code}: {child.said}")
    counts.kills += 1
    counts.in_saves += bool(unfinished_files(run) - left_before)
    counts.before_first_save += not (run / "checkpoints/last/state.safetensors").exists()
    return False


def living(groups: Sequence[int], *, patience: float) -> list[int]:
    """Return the process groups in which something is still alive after so many seconds."""
    deadline = time.monotonic() + patience
    while True:
        alive = []
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, 0)
                alive.append(group)
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.1)
