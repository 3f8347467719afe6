"""A reader with every fault that fuzzing has to find, and inputs that bring them out."""

from __future__ import annotations

import os
import random
import signal
import time
import warnings
from pathlib import Path

from activitynet.errors import DataError

#: What is in a file, and what has to be said of it.
FAULTS = {
    "sound": "",
    "refused": "",
    "crash": "ended the process, with code -11",
    "exit": "ended the process, with code 3",
    "hang": "ended the process, with code -9",
    "slow": "it took 2",
    "grow": "memory grew by ",
    "ask": "too much memory",
    "untyped": "KeyError: 'planted'",
    "deep": "RecursionError",
    "warn": "a warning leaked: ",
    "unnamed": "does not name",
    "two lines": "no line of clean text",
    "control": "no line of clean text",
    "long": "characters",
}


def write(chance: random.Random, folder: Path) -> Path:
    """Write an input of some kind."""
    path = folder / "planted.txt"
    path.write_text(chance.choice(list(FAULTS)))
    return path


def read(path: Path, _: random.Random) -> None:  # noqa: PLR0912 - one thing after another
    """Show the fault that the input asks for."""
    kind, name = path.read_text(), f"cannot read {str(path)!r}"
    if kind == "refused":
        raise DataError(f"{name}.")
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "exit":
        os._exit(3)
    if kind == "hang":
        time.sleep(600)
    if kind == "slow":
        end = time.process_time() + 2.2
        while time.process_time() < end:
            pass
    if kind == "grow":
        bytearray(400 << 20)[:: 1 << 12] = b"x" * (400 << 8)
    if kind == "ask":
        try:
            bytearray(8 << 30)
        except MemoryError as error:
            raise DataError(f"{name}.") from error
    if kind == "untyped":
        raise KeyError("planted")
    if kind == "deep":
        read(path, _) if kind else None
    if kind == "warn":
        warnings.warn("planted", stacklevel=1)
    if kind == "unnamed":
        raise DataError("cannot read it.")
    if kind == "two lines":
        raise DataError(f"{name}:\nit is bad.")
    if kind == "control":
        raise DataError(f"{name}: \x1b[31mit is bad.")
    if kind == "long":
        raise DataError(f"{name}: {'x' * 2_000}")
