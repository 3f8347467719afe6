"""What works here, tried in processes of their own: a crash is an answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NEEDED = {
    "torch": "Install it anew, as https://pytorch.org says: pip install --force-reinstall torch",
    "torchvision": "Install one that belongs to torch: pip install --upgrade torch torchvision",
    "timm": "Install it anew: pip install --force-reinstall timm",
    "photos": "Install the decoders anew: pip install --force-reinstall pillow",
    "networks": "Please report this with all of the above.",
}
"""What the library cannot do without, and the remedy."""

OPTIONAL = ("accelerator", "engine torch", "engine onnxruntime", "engine openvino")

_SECONDS = 120


@dataclass(frozen=True)
class Trial:
    """Something that was tried.

    Attributes:
        name: What.
        fault: Why it does not work; `None` where it does, or where there is nothing to try.
        skipped: Why it was not tried.
        details: What was found out by the way.
        seconds: How long it took.
    """

    name: str
    fault: str | None = None
    skipped: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def summary(self) -> str:
        """What to say of it."""
        if self.fault is not None:
            return f"no: {self.fault}"
        if self.skipped is not None:
            return f"not tried: {self.skipped}"
        told = self.details.get("description")
        return f"yes ({f'{told}, ' if told else ''}{self.seconds:.1f} s)"


def run_trials(names: Sequence[str] = (*NEEDED, *OPTIONAL), *, seconds: float = _SECONDS) -> list[Trial]:
    """Try things one after the other; what ends its process is a fault, and another one tries the rest.

    Args:
        names: What is to be tried.
        seconds: How long a process may take.
    """
    done: list[Trial] = []
    while rest := names[len(done) :]:
        done += _run_some(rest, seconds)
    return done


def _run_some(names: Sequence[str], seconds: float) -> list[Trial]:
    """Try things in one process, and return at least the first of them."""
    command = [sys.executable, "-m", "activitynet.doctor.trying", *names]
    # It imports from where this process does, and from nowhere else.
    paths = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
    variables = {
        "PYTHONPATH": paths,
        "PYTHONSAFEPATH": "1",
        "PYTHONWARNINGS": "ignore",
        "HF_HUB_OFFLINE": "1",
    }
    try:
        ended = subprocess.run(  # noqa: S603  this interpreter and names of ours
            command, capture_output=True, timeout=seconds, env={**os.environ, **variables}, check=False
        )
        said, errors, why = ended.stdout, ended.stderr, _end(ended.returncode)
    except subprocess.TimeoutExpired as late:
        said, errors, why = late.stdout or b"", late.stderr or b"", f"nothing came of it in {seconds:g} s"
    done: list[Trial] = []
    for line in said.decode("utf-8", "replace").splitlines():
        if (trial := _parsed(line, names[len(done)] if len(done) < len(names) else None)) is not None:
            done.append(trial)
    if len(done) < len(names):
        last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        done.append(Trial(names[len(done)], fault=f"{why} ({last})" if last else why))
    return done


def _parsed(line: str, expected: str | None) -> Trial | None:
    """Read a line of the process, which other libraries write into as well."""
    try:
        value = json.loads(line)
        return Trial(**value) if value["name"] == expected else None
    except (ValueError, TypeError, KeyError):
        return None


def _end(code: int) -> str:
    if code < 0:
        try:
            return f"the process was ended by {signal.Signals(-code).name}"
        except ValueError:
            pass
    return f"the process ended with code {code}"
