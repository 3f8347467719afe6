"""`activitynet lr-find`: which learning rate to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import activitynet
from activitynet.cli import options
from activitynet.cli.output import print_json
from activitynet.errors import printable


def lr_find(
    *,
    data: options.Data,
    model: options.Model = "resnet18_se",
    init_from: options.InitFrom = None,
    recipe: options.RecipeName = "default",
    settings: options.Settings = None,
    image_size: options.ImageSize = None,
    classes: options.Classes = None,
    seed: options.Seed = 0,
    workers: options.Workers = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the loss over the rates into this PNG.", show_default=False),
    ] = None,
    skip_bad: options.SkipBad = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print rates, losses and suggestion.")] = False,
) -> None:
    """Try rising learning rates for a hundred steps, and suggest one."""
    classifier = activitynet.Classifier(
        model, options.read_classes(classes), init_from=init_from, image_size=image_size
    )
    found = classifier.find_learning_rate(
        data,
        recipe=recipe,
        settings=options.read_settings(settings),
        plot=plot,
        seed=seed,
        workers=workers,
        skip_bad=skip_bad,
    )
    if as_json:
        print_json(
            {
                "suggestion": found.suggestion,
                "rates": list(found.rates),
                "losses": list(found.losses),
            }
        )
        return
    print(f"suggested learning rate: {found.suggestion:.2g}")
    if plot is not None:
        print(printable(str(plot)))
