"""Kill a training run at random instants, resume it, and compare it with one that nothing disturbed.

    python benchmarks/kill_test.py --kills 25

Half of the kills wait for a file that is being written; half of them take the worker processes along.
Ends with code 1 if a resumed run fails or differs in a single bit.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "training"))

from real_runs import (
    KillCounts,
    differences,
    finish,
    kill_and_resume,
    living,
    make_reference,
    unfinished_files,
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=25, help="how many (default: 25)")
    parser.add_argument("--seed", type=int, default=0, help="fixes what is killed and when, but for chance")
    arguments = parser.parse_args()

    began, chance = time.monotonic(), random.Random(arguments.seed)  # noqa: S311  no secret
    counts, faults, runs = KillCounts(), [], 0
    with tempfile.TemporaryDirectory() as folder:
        reference = make_reference(Path(folder))
        print(f"undisturbed run: {reference.seconds:.0f} s", flush=True)
        while counts.kills < arguments.kills:
            runs += 1
            run = Path(folder) / f"killed-{runs}"
            try:
                while counts.kills < arguments.kills and not kill_and_resume(reference, run, chance, counts):
                    print(f"kill {counts.kills} of {arguments.kills}", flush=True)
                finish(reference.data, run)
            except RuntimeError as error:
                faults.append(f"run {runs}: {error}")
                continue
            faults += [f"run {runs}: {difference}" for difference in differences(run, reference.run)]
            faults += [f"run {runs}: left {path.relative_to(run)}" for path in sorted(unfinished_files(run))]
        orphans = living(counts.groups, patience=30)

    print(f"kills:                   {counts.kills}, of {runs} runs")
    print(f"  in the midst of a save: {counts.in_saves}")
    print(f"  before the first save:  {counts.before_first_save}")
    print(f"resumed from a save:     {counts.resumes}")
    print(f"orphaned processes:      {len(orphans)}")
    print(f"time:                    {time.monotonic() - began:.0f} s")
    print(f"bit-identical:           {'no' if faults else 'yes'}")
    for fault in faults:
        print(f"  {fault}", file=sys.stderr)
    return 1 if faults or orphans else 0


if __name__ == "__main__":
    sys.exit(main())
