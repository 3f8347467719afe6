"""Predict a folder with several processes, on one machine or many, each a share of the photos.

    torchrun --nproc-per-node 2 examples/predict_with_torchrun.py PHOTOS --weights WEIGHTS --output FOLDER
    torchrun --nproc-per-node 2 --max-restarts 3 examples/predict_with_torchrun.py …

Process r of n takes every n-th photo from the r-th on and writes `part-R-of-N.jsonl`. When one of them dies,
torchrun starts all of them anew (`--max-restarts`), and each goes on behind the rows it has: nothing is
predicted twice, and no row is lost. The processes need not talk to one another, so there is no process group.
"""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path

import torch

from activitynet import Classifier
from activitynet.data.inputs import iter_photos


def main() -> None:
    parser = argparse.ArgumentParser(description="Predict a folder with several processes.")
    parser.add_argument("photos")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    arguments = parser.parse_args()

    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cores = max(1, (os.cpu_count() or 1) // int(os.environ["LOCAL_WORLD_SIZE"]))
    torch.set_num_threads(cores)
    classifier = Classifier.load(arguments.weights)
    names = (name for name, _ in iter_photos(arguments.photos))
    share = itertools.islice(names, rank, None, count)
    path = arguments.output / f"part-{rank}-of-{count}.jsonl"
    tally = classifier.predict_to(path, share, workers=cores, resume=True)
    print(
        f"process {rank} of {count}: {tally.kept} rows kept, {tally.predicted} predicted, {tally.failed} bad"
    )


if __name__ == "__main__":
    main()
