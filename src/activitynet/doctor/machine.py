"""The machine and its Python, as far as the standard library tells."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import activitynet

# What engines choose their kernels by.
_FEATURES = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "amx_int8", "asimd", "fphp", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)


def python() -> dict[str, Any]:
    """Say which Python runs which copy of this library."""
    return {
        "folder": str(Path(activitynet.__file__).parent),
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "interpreter": sys.executable,
        "environment": "a virtual one" if sys.prefix != sys.base_prefix else "the system's",
    }


def machine(*, system: Path = Path("/")) -> dict[str, Any]:
    """Describe the machine, and how much of it this process may use.

    Args:
        system: Where ``proc`` and ``sys`` are.
    """
    compiler = next((name for name in ("c++", "g++", "clang++", "cl") if shutil.which(name)), None)
    return {
        "system": platform.platform(),
        "distribution": _distribution(),
        "processor": _processor(system),
        "features": " ".join(_features(system)) or None,
        "cores": {"all": os.cpu_count(), "usable": _usable_cores(system)},
        "memory": _memory(system),
        "C++ compiler": compiler or "none (compile = true in a recipe needs one)",
    }


def _distribution() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return platform.mac_ver()[0] or None


def _cpu_info(system: Path) -> dict[str, str]:
    """Return what Linux says of the first processor."""
    found: dict[str, str] = {}
    for line in _read(system / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip().lower(), value.strip())
    return found


def _processor(system: Path) -> str:
    known = _cpu_info(system).get("model name")
    return f"{known or platform.processor() or 'unknown'} ({platform.machine()})"


def _features(system: Path) -> list[str]:
    info = _cpu_info(system)
    flags = set((info.get("flags") or info.get("features") or "").split())
    return [feature for feature in _FEATURES if feature in flags]


def _usable_cores(system: Path) -> float | None:
    cores: float | None = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota, _, period = _read(system / "sys/fs/cgroup/cpu.max").partition(" ")
    if cores is not None and quota.isdigit() and period.strip().isdigit():
        cores = min(cores, round(int(quota) / int(period), 2))
    return cores


def _memory(system: Path) -> dict[str, str | None]:
    sizes: dict[str, str | None] = {"all": None, "free": None, "limit": None}
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        sizes["all"] = in_gb(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for line in _read(system / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            sizes["free"] = in_gb(int(value.split()[0]) * 1024)
    limit = _read(system / "sys/fs/cgroup/memory.max").strip()
    sizes["limit"] = in_gb(int(limit)) if limit.isdigit() else None
    return sizes


def in_gb(size: float) -> str:
    """Return a number of bytes for people."""
    return f"{size / 1e9:,.1f} GB"


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
