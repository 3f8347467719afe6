"""Has hostile inputs read in a process of their own, and in another where one of them ends it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import activitynet
from fuzzing.targets import write_input

_SEARCHED = f"{Path(__file__).resolve().parents[1]}{os.pathsep}{Path(activitynet.__file__).parents[1]}"


@dataclass
class Result:
    """What became of a target's inputs.

    Attributes:
        counts: How many inputs ended how.
        slowest: The most seconds of processor time of an input.
        growth: The most bytes by which memory grew in one.
        kept: The most bytes that the process kept of all before.
        faults: What is wrong, by input.
    """

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    growth: int = 0
    kept: int = 0
    faults: dict[int, str] = field(default_factory=dict)


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a temporary folder, in memory where that can be."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it is ours alone
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


class Fuzzer:
    """The process that reads inputs; a context manager.

    Args:
        scratch: An empty folder, such as `scratch_folder` gives.
        keep: Where inputs that failed are kept, with what is wrong; `None` for nowhere.
        patience: Seconds, by the clock, after which an input is said to hang: many, for a machine that does
            other things besides. What is slow is told by the processor's time.
    """

    def __init__(self, scratch: Path, keep: Path | None = None, *, patience: float = 20.0) -> None:
        self._scratch = scratch
        self._patience = patience
        self._keep = keep
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[bytes] = queue.Queue()

    def __enter__(self) -> Fuzzer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def run(
        self, target: str, count: int, *, seed: int = 0, first: int = 0, tell: Callable[[int], object] = int
    ) -> Result:
        """Have a target's inputs read.

        Args:
            target: One of `fuzzing.targets.TARGETS`.
            count: How many.
            seed: Fixes the inputs, together with their numbers.
            first: The first input's number.
            tell: Is told from time to time how many are done.
        """
        result, end = Result(), first + count
        while first < end:
            first = self._until_it_ends(target, seed, range(first, end), result, tell)
        return result

    def _until_it_ends(
        self, target: str, seed: int, inputs: range, result: Result, tell: Callable[[int], object]
    ) -> int:
        """Read inputs until they are done or one of them ends the process; return the next one's number."""
        first, end = inputs.start, inputs.stop
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(f"{target} {seed} {first} {end}\n".encode())
        process.stdin.flush()
        reported = first
        while reported < end and (told := self._next()) is not None:
            if "fault" in told:
                self._note(target, seed, told["number"], told["fault"], result)
                continue
            reported = told["next"]
            result.counts.update(told["counts"])
            result.slowest = max(result.slowest, told["slowest"])
            result.growth = max(result.growth, told["growth"])
            result.kept = max(result.kept, told["kept"])
            tell(result.counts.total())
        if reported == end:
            return end
        process.communicate()  # closes what led to it and from it
        code, number = process.returncode, self._number()
        self._process = None
        output = (self._scratch / "stderr").read_text(errors="replace")[-2_000:]
        if number < first:
            raise RuntimeError(f"the process ended with code {code} before its first input:\n{output}")
        self._note(target, seed, number, f"it ended the process, with code {code}\n{output}", result)
        # What came between the last report and this is lost with the process, but that it was read.
        failed = sum(reported <= other <= number for other in result.faults)
        result.counts.update({"failed": failed, "read": number + 1 - reported - failed})
        return number + 1

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            (self._scratch / "number").unlink(missing_ok=True)
            with (self._scratch / "stderr").open("wb") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "fuzzing.child", str(self._scratch)],
                    env={
                        **os.environ,
                        "PYTHONPATH": _SEARCHED,
                        "OMP_NUM_THREADS": "1",
                    },
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                )
            assert self._process.stdout is not None
            self._lines = queue.Queue()
            threading.Thread(target=_pass_on, args=(self._process.stdout, self._lines), daemon=True).start()
        return self._process

    def _next(self) -> dict[str, Any] | None:
        """Wait for what the process tells next; `None` where it has ended, if only because it hung."""
        assert self._process is not None
        number, since = self._number(), time.monotonic()
        while True:
            try:
                line = self._lines.get(timeout=0.5)
                return json.loads(line) if line else None
            except queue.Empty:
                now = self._number()
                if now != number or now < 0:
                    number, since = now, time.monotonic()
                elif time.monotonic() - since > self._patience:
                    self._process.kill()

    def _number(self) -> int:
        """Return which input is being read; -1 for none yet."""
        try:
            return int(struct.unpack("<q", (self._scratch / "number").read_bytes())[0])
        except (OSError, struct.error):
            return -1

    def _note(self, target: str, seed: int, number: int, fault: str, result: Result) -> None:
        """Write down what is wrong with an input, and make it again beside that."""
        result.faults[number] = fault
        if self._keep is not None:
            folder = self._keep / f"{target}-{seed}-{number}"
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "input").mkdir(parents=True)
            write_input(target, seed, number, folder / "input")
            (folder / "fault.txt").write_text(fault + "\n", encoding="utf-8", errors="backslashreplace")


def _pass_on(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(b"")
