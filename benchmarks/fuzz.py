"""Feed hostile files to everything that reads some, and see that it refuses them in good order.

    python benchmarks/fuzz.py --inputs 300000
    python benchmarks/fuzz.py --target decoder --seed 1 --start 1234 --inputs 1 --keep failures

The first shares its inputs among all targets, the second makes one input again. An input is known by its
target, seed and number. It fails if it ends in anything but a result or an `ActivityNetError` of one clean,
short line that names the file: another exception, a warning, a crash, more than 2 s of processor time, or
300 MiB of memory. Ends with code 1 if one fails. Linux only.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fuzzing.parent import Fuzzer, Result, scratch_folder
from fuzzing.targets import TARGETS

# How fast readers are differs a hundredfold: what a target's inputs cost decides how many it gets.
SHARES = {
    "decoder": 40,
    "tables": 25,
    "mat": 15,
    "card": 20,
    "ensemble": 10,
    "weights": 20,
    "folders": 5,
    "contest": 5,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=10_000, help="how many in all (default: 10000)")
    parser.add_argument("--target", choices=TARGETS, nargs="+", default=list(TARGETS), help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="each target's first input, to go on from")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where failures are kept")
    arguments = parser.parse_args()

    total = sum(SHARES[target] for target in arguments.target)
    rows, faults = [], 0
    with (
        scratch_folder() as scratch,
        Fuzzer(Path(scratch), arguments.keep) as fuzzer,
    ):
        for target in arguments.target:
            count, began = arguments.inputs * SHARES[target] // total, time.monotonic()
            result = fuzzer.run(
                target,
                count,
                seed=arguments.seed,
                first=arguments.start,
                tell=lambda done, target=target, count=count: progress(target, done, count),
            )
            rows.append(row(target, result, time.monotonic() - began))
            faults += len(result.faults)
            for number, fault in list(result.faults.items())[:10]:
                print(f"{target} {number}: {fault.strip().splitlines()[-1][:300]}", file=sys.stderr)
    titles = ("target", "inputs", "accepted", "refused", "failed", "slowest", "growth", "kept", "time")
    for cells in (titles, *rows):
        print(
            f"{cells[0]:<8} {cells[1]:>8} {cells[2]:>8}  {cells[3]:<36}",
            *(f"{cell:>8}" for cell in cells[4:]),
        )
    if faults:
        print(f"{faults} failures are kept in {str(arguments.keep)!r}.", file=sys.stderr)
    return 1 if faults else 0


def progress(target: str, done: int, count: int) -> None:
    if done == count or sys.stderr.isatty():
        print(f"\r{target}: {done:,} of {count:,}", end="\n" if done == count else "", file=sys.stderr)


def row(target: str, result: Result, seconds: float) -> tuple[str, ...]:
    counts = result.counts
    refused = {name: n for name, n in counts.items() if name not in {"accepted", "failed"}}
    return (
        target,
        f"{sum(counts.values()):,}",
        f"{counts['accepted']:,}",
        ", ".join(f"{name} {n:,}" for name, n in sorted(refused.items())) or "-",
        f"{counts['failed']:,}",
        f"{result.slowest:.2f} s",
        f"{result.growth >> 20} MiB",
        f"{result.kept >> 20} MiB",
        f"{seconds:.0f} s",
    )


if __name__ == "__main__":
    sys.exit(main())
