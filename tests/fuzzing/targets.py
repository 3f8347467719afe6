"""What is fuzzed: how a hostile input is written, and what reads it."""

from __future__ import annotations

import importlib
import random
import shutil
import traceback
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activitynet.errors import ActivityNetError

LONGEST_MESSAGE = 1_000


@dataclass(frozen=True)
class Target:
    """A reader under test. Its module is loaded when it is needed, so that the others cost nothing.

    Attributes:
        module: Where its functions are.
        write: The name of the one that writes an input below an empty folder, and returns what is to be read.
        read: The name of the one that reads it.
    """

    module: str
    write: str
    read: str

    def function(self, name: str) -> Callable[..., Any]:
        """Return one of its functions."""
        return getattr(importlib.import_module(f"fuzzing.{self.module}"), name)  # type: ignore[no-any-return]


TARGETS = {
    "decoder": Target("photos", "write_photo", "read_photo"),
    "tables": Target("tables", "write_table", "read_table"),
    "mat": Target("mats", "write_mat", "read_mpii"),
    "card": Target("weights", "write_card", "read_only_card"),
    "ensemble": Target("weights", "write_ensemble_card", "read_only_ensemble_card"),
    "weights": Target("weights", "write_weights", "read_weights"),
    "folders": Target("folders", "write_folder", "read_folder"),
    "contest": Target("folders", "write_contest", "read_contest"),
}
_ALL = {**TARGETS, "planted": Target("planted", "write", "read")}  # the last shows what is found


def chance_of(target: str, seed: int, number: int) -> random.Random:
    """What decides of an input: the same for the same seed and number, on every machine."""
    return random.Random(f"{target} {seed} {number}")


def write_input(target: str, seed: int, number: int, folder: Path) -> tuple[Path, random.Random]:
    """Write an input into a folder, which is emptied first; return it, and the chance to read it with."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    chance = chance_of(target, seed, number)
    return _ALL[target].function(_ALL[target].write)(chance, folder), chance


def outcome(target: str, path: Path, chance: random.Random) -> tuple[str, str]:
    """Read an input: what came of it, and what is wrong with that; empty for nothing."""
    try:
        _ALL[target].function(_ALL[target].read)(path, chance)
    except ActivityNetError as error:
        return type(error).__name__, _fault_of(error, path)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "untyped", "".join(traceback.format_exception(error)[-8:])[-3_000:]
    return "accepted", ""


def _fault_of(error: ActivityNetError, path: Path) -> str:
    """What is wrong with a refusal."""
    message = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"it asked for too much memory: {message[:500]!r}"
        cause = cause.__cause__ or cause.__context__
    if repr(str(path))[1:-1] not in message:
        return f"the message does not name {str(path)!r}: {message[:500]!r}"
    if len(message) > LONGEST_MESSAGE:
        return f"the message has {len(message)} characters: {message[:500]!r}"
    unclean = {character for character in message if unicodedata.category(character)[0] == "C"}
    if unclean or len(message.splitlines()) != 1:
        return f"the message is no line of clean text: {message[:500]!r}"
    return ""
