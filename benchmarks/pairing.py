"""Ways to the same end, measured in turns in one run, so that whatever else the machine does is shared."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

Turns = Mapping[str, Sequence[float]]
"""Seconds that each way took, one a turn."""


def timed(run: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def in_turns(ways: Mapping[str, Callable[[], float]], turns: int) -> dict[str, list[float]]:
    """Measure every way once a turn; each tells its own seconds (see `timed`)."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, measure in ways.items():
            seconds[name].append(measure())
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest."""
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def ratios(seconds: Turns, over: str, under: str) -> dict[str, float]:
    """Return the `spread` of one way's seconds over another's, turn by turn."""
    return spread([a / b for a, b in zip(seconds[over], seconds[under], strict=True)])


def compare(title: str, seconds: Turns, ours: str, *, items: int = 0) -> list[dict[str, Any]]:
    """Print a table of all ways, with how many times as fast ours is, and return its rows.

    Args:
        title: What stands above it.
        seconds: As `in_turns` returns them.
        ours: The way that the others are compared with.
        items: How many photos a turn handles: then the table has photos a second, or else seconds.
    """
    unit = "photos/s" if items else "seconds"
    print(f"\n{title}\n{'':44} {unit:>9}  {ours} is so many times as fast")
    rows = []
    for name, taken in seconds.items():
        middle = statistics.median(taken)
        times = ratios(seconds, name, ours)
        rows.append({"way": name, "seconds": list(taken), "times_as_fast": times})
        figure = f"{items / middle:9.1f}" if items else f"{middle:9.3f}"
        print(
            f"{name:44} {figure}  {times['median']:5.2f}  ({times['least']:.2f} to {times['greatest']:.2f})",
            flush=True,
        )
    return rows


def busy() -> float:
    """Return the seconds that all processors spent on programs other than this one since they started."""
    try:
        user, nice, system = (int(part) for part in Path("/proc/stat").read_text().split()[1:4])
    except OSError:
        return 0.0  # not Linux
    own = os.times()
    ours = own.user + own.system + own.children_user + own.children_system
    return (user + nice + system) / os.sysconf("SC_CLK_TCK") - ours


def peak_memory() -> int:
    """Return the most memory that this process has had at once, in bytes."""
    try:
        # Not getrusage's, which in a new process begins with that of the one it was started by.
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
        return 1024 * int(line.split()[1])
    except OSError:  # not Linux
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Others:
    """What other programs took of the processors while something was measured."""

    def __init__(self) -> None:
        self._before, self._began = busy(), time.monotonic()

    def share(self) -> float:
        """Return it, in [0, 1]."""
        passed = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return max(0.0, (busy() - self._before) / passed)

    def tell(self) -> float:
        """Print it, and return it."""
        share = self.share()
        print(f"other programs took {share:.0%} of the processors meanwhile")
        return round(share, 3)


def machine(*packages: str) -> dict[str, Any]:
    """Describe the machine, and the versions of torch and of those packages that are installed."""
    versions = {}
    for name in ("torch", "torchvision", *packages):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **versions,
    }


def write(path: Path | None, results: Any, *packages: str) -> None:
    """Write results with the machine they were measured on as JSON, where a path is given."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(*packages), "results": results}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
