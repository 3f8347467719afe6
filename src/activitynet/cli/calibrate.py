"""`activitynet calibrate`: probabilities that can be believed, and when to say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from activitynet.cli import options
from activitynet.cli.output import print_json
from activitynet.errors import printable


def calibrate(
    *,
    weights: options.Weights,
    data: options.Data,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where to write the weights folder.")],
    split: Annotated[str, typer.Option(help="Photos not learned from: val, test, or all.")] = "val",
    method: Annotated[
        Literal["temperature", "vector"],
        typer.Option(help="temperature never changes the class that is named; vector mends each class."),
    ] = "temperature",
    risk: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Call photos unknown below the probability at which so few answers are wrong (0.1).",
            show_default=False,
        ),
    ] = None,
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was fitted as JSON.")] = False,
) -> None:
    """Fit a temperature (or vector scaling) on labelled photos, and write weights that have it."""
    from activitynet import Classifier, ranks  # noqa: PLC0415  --help needs no torch
    from activitynet.weights import find_weights  # noqa: PLC0415

    classifier = Classifier.load(find_weights(weights))
    found = classifier.calibrate(
        data, split=split, method=method, risk=risk, workers=workers, skip_bad=skip_bad
    )
    if not ranks.is_main():
        return
    classifier.save(to)
    if as_json:
        print_json(found.to_dict())
        return
    print(f"{printable(str(to))}: {found.summary()}")
