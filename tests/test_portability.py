"""The package imports, trains, resumes and predicts without the modules that only POSIX systems have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from activitynet import draw_sample_data

PROGRAM = """
import os, signal, sys

for name in ("fcntl", "resource", "termios", "tty", "pwd", "grp"):
    sys.modules[name] = None
BLOCKED = {
    os: ("fork", "getuid", "geteuid", "mkfifo", "O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY", "pread", "pwrite",
         "sched_getaffinity", "killpg", "setsid"),
    signal: ("SIGCHLD", "SIGKILL", "SIGALRM", "SIGHUP", "SIGPIPE", "setitimer"),
}
import activitynet

folder, run, cache = sys.argv[1:]


def imports():
    import importlib, pkgutil

    for module in pkgutil.walk_packages(activitynet.__path__, "activitynet."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def fit(**options):
    classifier = activitynet.Classifier("test_efficientnet_se", image_size=32)
    recipe = activitynet.Recipe(epochs=2, batch_size=8)
    classifier.fit(folder, recipe=recipe, run=run, cache=cache, workers=0, progress=False, **options)
    return classifier


def stop(event):
    if event.kind == "epoch":
        raise InterruptedError


imports()
import torch, accelerate, sklearn.linear_model, matplotlib.pyplot  # which use some of these at import

for module, names in BLOCKED.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
try:
    fit(callbacks=[stop])
except InterruptedError:
    print("stopped")
classifier = fit(resume=True)
(prediction, *_) = classifier.predict(folder)
print(prediction.error, len(classifier.classes))
"""


@pytest.mark.slow
def test_nothing_needs_a_posix_system(tmp_path: Path) -> None:
    data = tmp_path / "data"
    draw_sample_data(data, train_per_class=6, val_per_class=2, size=48, classes=["running", "dancing"])
    program = [sys.executable, "-c", PROGRAM, data, tmp_path / "run", tmp_path / "cache"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "stopped\nNone 2\n"
    assert list((tmp_path / "cache").glob("??/*.rgb"))
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in metrics] == [0, 1, 2]
