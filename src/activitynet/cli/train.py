"""`activitynet train` and `activitynet fine-tune`: the same options over two methods."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

import activitynet
from activitynet.cli.output import print_json, printable
from activitynet.data.activities import slug
from activitynet.errors import DataError

_RECIPES = "the recipe's"


def training_command(method: Literal["fit", "fine_tune"]) -> Callable[..., None]:
    """Return the command over one of the classifier's ways to learn."""

    def command(
        *,
        data: Annotated[
            Path,
            typer.Argument(
                metavar="DATA", help="Folder with one folder a class, split into train/ and val/ or not."
            ),
        ],
        model: Annotated[
            str, typer.Option(help="Network: a name that `activitynet models` lists, or timm/NAME.")
        ] = "resnet18_se",
        init_from: Annotated[
            str | None,
            typer.Option(
                metavar="FOLDER",
                help="Start from these weights: a weights folder, or timm/NAME.",
                show_default=False,
            ),
        ] = None,
        run: Annotated[
            Path | None,
            typer.Option(
                metavar="FOLDER",
                help="Folder for checkpoints, plots and the trained weights.",
                show_default="runs/MODEL-TIME",
            ),
        ] = None,
        epochs: Annotated[
            int | None, typer.Option(help="Passes over the training photos.", show_default=_RECIPES)
        ] = None,
        batch_size: Annotated[int | None, typer.Option(help="Photos a step.", show_default=_RECIPES)] = None,
        lr: Annotated[float | None, typer.Option(help="Peak learning rate.", show_default=_RECIPES)] = None,
        image_size: Annotated[
            int | None,
            typer.Option(
                help="Side in pixels of the image the network looks at.", show_default="the network's"
            ),
        ] = None,
        classes: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="Text file with a class name a line, in the order of the outputs.",
                show_default="from DATA",
            ),
        ] = None,
        seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0,
        workers: Annotated[
            int | None,
            typer.Option(min=0, help="Processes that load photos.", show_default="by the machine's cores"),
        ] = None,
        resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --run.")] = False,
        no_progress: Annotated[bool, typer.Option("--no-progress", help="Show no live progress.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    ) -> None:
        if resume and run is None:
            raise typer.BadParameter("it needs --run FOLDER, the run to go on with.", param_hint="--resume")
        if run is None:
            run = Path("runs") / f"{slug(model)}-{datetime.now():%Y%m%d-%H%M%S}"
        print(f"run folder: {printable(str(run))}", file=sys.stderr)
        classifier = activitynet.Classifier(
            model,
            None if classes is None else read_classes(classes),
            init_from=init_from,
            image_size=image_size,
        )
        learn = classifier.fit if method == "fit" else classifier.fine_tune
        result = learn(
            data,
            run=run,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            seed=seed,
            workers=workers,
            resume=resume,
            progress=not no_progress,
        )
        weights, plots = run / "model", sorted((run / "plots").glob("*.png"))
        best = dict(result.best)
        if as_json:
            print_json(
                {
                    "run": str(run),
                    "weights": str(weights),
                    "plots": [str(plot) for plot in plots],
                    "best": best,
                    "history": [dict(row) for row in result.history],
                }
            )
            return
        macro_f1, accuracy = best["macro_f1"], best["accuracy"]
        print(f"best epoch {result.best_epoch}: macro-F1 {macro_f1:.3f}, accuracy {accuracy:.3f}")
        for path in (weights, *plots):  # one a line and whole, to be copied
            print(printable(str(path)))

    return command


def read_classes(path: Path) -> list[str]:
    """Read class names from a text file, one a line; blank lines are passed over.

    Raises:
        DataError: The file cannot be read, is not UTF-8 text, or names nothing.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read class names from {str(path)!r}: {error}.") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"{str(path)!r} names no classes; write one name a line.")
    return names
