"""Predict a folder on a Ray cluster; a worker that dies is replaced, and its photos are predicted again.

    python examples/predict_with_ray.py PHOTOS --weights WEIGHTS --output FOLDER --actors 2

It needs Ray: pip install 'ray[data]'. Photos and weights have to be where every machine sees them. Each actor
loads the weights once; blocks of photos' names go to whichever is free; rows come back as Parquet files in
FOLDER. A photo that cannot be read is a row with its error. Ray Data keeps no order: sort by `source`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import ray

from activitynet.data.inputs import iter_photos
from activitynet.errors import printable

BLOCK = 64


class Predict:
    """An actor of the cluster: one classifier, for as many blocks as come."""

    def __init__(self, weights: str) -> None:
        from activitynet import Classifier  # noqa: PLC0415  in the actor

        self.classifier = Classifier.load(weights)

    def __call__(self, block: dict[str, Any]) -> dict[str, list[Any]]:
        """Return the columns of `Prediction.to_dict`, with the guesses as JSON."""
        rows = list(self.classifier.predict(list(block["source"])))
        return {
            "source": [printable(row.source) for row in rows],
            "label": [row.label or "" for row in rows],
            "probability": [row.probability or 0.0 for row in rows],
            "top": [json.dumps(row.top) for row in rows],
            "error": [row.error or "" for row in rows],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="Predict a folder on a Ray cluster.")
    parser.add_argument("photos")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--output", type=Path, required=True, help="a folder for Parquet files")
    parser.add_argument("--actors", type=int, default=2)
    arguments = parser.parse_args()

    names = [{"source": name} for name, _ in iter_photos(arguments.photos)]
    blocks = ray.data.from_items(names, override_num_blocks=max(1, len(names) // BLOCK))
    predicted = blocks.map_batches(
        Predict,
        fn_constructor_args=(arguments.weights,),
        batch_size=BLOCK,
        compute=ray.data.ActorPoolStrategy(size=arguments.actors),
        num_cpus=1,
        max_restarts=-1,  # of an actor that dies
        max_task_retries=-1,  # of the block that it had
    )
    predicted.write_parquet(str(arguments.output.resolve()))
    print(f"{len(names)} photos: {arguments.output}")


if __name__ == "__main__":
    main()
