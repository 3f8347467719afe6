"""`activitynet distill`: what an ensemble or a large model knows, taught to one small model."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column

import activitynet
from activitynet.cli import options
from activitynet.cli.output import RowPrinter, print_json
from activitynet.cli.train import run_folder, saying_how_to_go_on, speaks
from activitynet.errors import printable


def distill(
    *,
    teacher: Annotated[
        str,
        typer.Argument(
            metavar="TEACHER",
            help="Folder of an ensemble or of weights, or org/name on the Hub. All members teach.",
        ),
    ],
    data: options.Data,
    model: options.Model,
    init_from: options.InitFrom = None,
    run: options.Run = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="A name that `activitynet recipes` lists, or a TOML file.",
            show_default="distill; default without --init-from",
        ),
    ] = None,
    settings: options.Settings = None,
    epochs: options.Epochs = None,
    image_size: options.ImageSize = None,
    seed: options.Seed = 0,
    workers: options.Workers = None,
    skip_bad: options.SkipBad = False,
    group_duplicates: options.GroupDuplicates = False,
    cache: options.Cache = None,
    cache_gb: options.CacheGb = 20.0,
    resume: options.Resume = False,
    no_progress: options.NoProgress = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Teach one small model what others say of the training photos, and compare them on those of val."""
    changes = options.read_settings(settings)
    if "distill.teachers" in changes:
        raise typer.BadParameter("TEACHER is who teaches; leave out distill.teachers.", param_hint="--set")
    teaching = options.load_trained(teacher)
    student = activitynet.Classifier(model, teaching.classes, init_from=init_from, image_size=image_size)
    photos = options.open_for(student, data, group_duplicates=group_duplicates)
    run = run_folder(run, model, resume=resume)
    learn = student.fit if init_from is None else student.fine_tune
    with saying_how_to_go_on(run):
        learn(
            photos,
            run=run,
            recipe=recipe or ("default" if init_from is None else "distill"),
            settings={**changes, "distill.teachers": [teacher]},
            epochs=epochs,
            seed=seed,
            workers=workers,
            skip_bad=skip_bad,
            cache=cache,
            cache_gb=cache_gb,
            resume=resume,
            progress=not no_progress,
        )
    if not speaks():
        return
    rows = {}
    for name, predictor in (("teacher", teaching), ("student", student)):
        scores = predictor.evaluate(photos, workers=workers, skip_bad=skip_bad)
        rows[name] = {"macro_f1": scores.macro_f1, "accuracy": scores.accuracy, "macs": predictor.macs()}
    ratio = rows["teacher"]["macs"] / rows["student"]["macs"]
    if as_json:
        print_json({"weights": str(run / "model"), **rows, "times_cheaper": ratio})
        return
    printer = RowPrinter(
        Column("model", width=8),
        *(Column(name, width=9, justify="right") for name in ("macro-F1", "accuracy", "cost")),
    )
    for name, row in rows.items():
        cost = row["macs"] / rows["student"]["macs"]
        printer.row(name, f"{row['macro_f1']:.3f}", f"{row['accuracy']:.3f}", f"{cost:.2f}")
    print(f"the student needs 1/{ratio:.1f} of the teacher's multiply-adds")
    print(printable(str(run / "model")))
