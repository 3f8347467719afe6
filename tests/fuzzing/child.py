"""The process that reads hostile inputs; whatever becomes of it, its parent knows of which input.

    echo "decoder 0 0 1000" | python -m fuzzing.child FOLDER

It writes a line of JSON for each fault, and from time to time one with what it has counted. The number of
the input that is being read stands in the file ``number`` of the folder, the input in its folder ``input``.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import resource
import struct
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

REPORT_EVERY = 500
WARM_UP = 20  # inputs that may load libraries, and are not measured
MOST_SECONDS = 2.0
MOST_GROWTH = 300 << 20
ADDRESS_SPACE = 3 << 29  # that an input may ask for, whether it is used or not


def main(folder: Path) -> None:
    """Do jobs until there are no more: each a line with a target, a seed, the first input and the end."""
    leaked: list[str] = []
    warnings.simplefilter("always")  # before the library is imported, which has a filter of its own
    warnings.showwarning = lambda message, category, filename, line, *_: leaked.append(  # type: ignore[assignment]
        f"{filename}:{line}: {category.__name__}: {message}"
    )
    (folder / "input").mkdir(exist_ok=True)
    with (folder / "number").open("wb+") as file:
        file.write(struct.pack("<q", -1))
        file.flush()
        current = mmap.mmap(file.fileno(), 8)
    for line in sys.stdin:
        target, *numbers = line.split()
        seed, first, end = map(int, numbers)
        _read_inputs(target, seed, range(first, end), folder / "input", current=current, leaked=leaked)


def _read_inputs(
    target: str, seed: int, inputs: range, place: Path, *, current: mmap.mmap, leaked: list[str]
) -> None:
    from fuzzing.targets import outcome, write_input

    _limit_memory(None)  # for the libraries that the target may load
    current[:] = struct.pack("<q", -1)
    for number in range(-WARM_UP if target != "planted" else 0, 0):
        outcome(target, *write_input(target, seed, number, place))
    gc.collect()
    _limit_memory(ADDRESS_SPACE)
    counts: Counter[str] = Counter()
    slowest, most, begin = 0.0, 0, _resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory is measured from here
    for number in inputs:
        current[:] = struct.pack("<q", number)
        path, chance = write_input(target, seed, number, place)
        leaked.clear()
        before, peak_before, clock = _resident(), _peak(), time.process_time()
        what, fault = outcome(target, path, chance)
        seconds, peak_after = time.process_time() - clock, _peak()
        growth = peak_after - before if peak_after > peak_before else 0
        if not fault and leaked:
            fault = f"a warning leaked: {leaked[0][:500]}"
        if not fault and seconds > MOST_SECONDS:
            fault = f"it took {seconds:.1f} s"
        if not fault and growth > MOST_GROWTH:
            fault = f"memory grew by {growth >> 20} MiB"
        counts["failed" if fault else what] += 1
        slowest, most = max(slowest, seconds), max(most, growth)
        if fault:
            _tell({"number": number, "fault": fault})
        if (number + 1 - inputs.start) % REPORT_EVERY == 0 or number + 1 == inputs.stop:
            kept = _resident() - begin
            _tell({"next": number + 1, "counts": counts, "slowest": slowest, "growth": most, "kept": kept})
            counts = Counter()


def _limit_memory(more: int | None) -> None:
    """Let this process ask for so many more bytes of addresses, or for as many as there are."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(os.pread(_statm, 100, 0).split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (hard if more is None else used + more, hard))


_statm = os.open("/proc/self/statm", os.O_RDONLY)
_status = os.open("/proc/self/status", os.O_RDONLY)


def _resident() -> int:
    return int(os.pread(_statm, 100, 0).split()[1]) * resource.getpagesize()


def _peak() -> int:
    # Not getrusage, which keeps the peak of the process that began this one.
    status = os.pread(_status, 4_000, 0)
    return int(status[status.index(b"VmHWM:") + 6 :].split(maxsplit=1)[0]) << 10


def _tell(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
