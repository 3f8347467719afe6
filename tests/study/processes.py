"""The command in processes of their own, which kill themselves where told, or wait for each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STUDY = """
model = "test_resnet_se"
image_size = 32
recipe = "quick"
epochs = 1
seeds = [0, 1]
[data]
photos_per_class = 2
val_photos_per_class = 1
[axes]
optimizer.lr = [1e-3, 6e-3, 2e-2]
"""

# Kills its process, as from outside, right after the n-th call of a function.
KILLER = """
import importlib, os, signal, sys
module, _, name = sys.argv[1].partition(":")
*owner, name = name.split(".")
place = importlib.import_module(module)
for part in owner:
    place = getattr(place, part)
calls, before = int(sys.argv[2]), getattr(place, name)
def dying(*arguments, **options):
    global calls
    result = before(*arguments, **options)
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(place, name, dying)
from activitynet.cli.main import run
sys.exit(run(sys.argv[3:]))
"""

# Begins when all of several processes are ready to.
TOGETHER = """
import sys, time
from pathlib import Path
import activitynet.study, activitynet.classifier, optuna
place, count, me = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
(place / f"ready-{me}").touch()
while len(list(place.glob("ready-*"))) < count:
    time.sleep(0.01)
from activitynet.cli.main import run
sys.exit(run(sys.argv[4:]))
"""


def options(study: Path, data: Path, run: Path, *more: object) -> list[str]:
    """Return the arguments of the command."""
    return [
        "study",
        str(study),
        str(data),
        "--run",
        str(run),
        "--workers=0",
        "--no-progress",
        *map(str, more),
    ]


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program of Python with arguments."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )


def finish(processes: Sequence[subprocess.Popen[str]], code: int = 0) -> list[str]:
    """Wait for processes, and return what each has said on stderr.

    Raises:
        RuntimeError: One ended in another way.
    """
    said = []
    for process in processes:
        _, errors = process.communicate(timeout=600)
        if process.returncode != code:
            raise RuntimeError(f"it ended with {process.returncode}: {errors}")
        said.append(errors)
    return said


PLAIN = "import sys; from activitynet.cli.main import run; sys.exit(run(sys.argv[1:]))"


def trials(run: Path) -> list[Any]:
    """Return every trial in Optuna's record, those that a killed process has left among them."""
    import optuna

    journal = optuna.storages.journal.JournalFileBackend(str(run / "journal.log"))
    study = optuna.load_study(study_name="small", storage=optuna.storages.JournalStorage(journal))
    return study.get_trials()


def table(run: Path) -> list[dict[str, Any]]:
    """Return the rows of a study's result, but for how long they took."""
    rows = json.loads((run / "study.json").read_text("utf-8"))["rows"]
    for row in rows:
        for name in ("seconds", "images_per_second"):
            del row[name]
        for one in row["runs"]:
            del one["seconds"], one["images_per_second"]
    return rows
