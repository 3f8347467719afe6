"""`train`, `fine-tune`, `distill`, `lr-find` and `recipes`."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Column

import activitynet
from activitynet.cli import options
from activitynet.cli.options import RowPrinter, print_json
from activitynet.data.dataset import slug
from activitynet.errors import printable
from activitynet.serialization.paths import user_path

_RECIPES = "the recipe's"


def training_command(method: Literal["fit", "fine_tune"]) -> Callable[..., None]:
    """Return the `train` or the `fine-tune` command."""

    def command(
        *,
        data: options.Data,
        model: options.Model = "resnet18_se",
        init_from: options.InitFrom = None,
        run: options.Run = None,
        recipe: options.RecipeName = "default" if method == "fit" else "fine_tune",
        settings: options.Settings = None,
        epochs: options.Epochs = None,
        batch_size: Annotated[
            int | None, typer.Option(help="Photos per step.", show_default=_RECIPES)
        ] = None,
        lr: Annotated[float | None, typer.Option(help="Peak learning rate.", show_default=_RECIPES)] = None,
        image_size: options.ImageSize = None,
        classes: options.Classes = None,
        device: options.Device = None,
        seed: options.Seed = 0,
        workers: options.Workers = None,
        track: Annotated[
            list[str] | None,
            typer.Option(
                metavar="NAME",
                help="Log to this tracker (tensorboard, wandb, …); may be repeated.",
                show_default=False,
            ),
        ] = None,
        skip_bad: options.SkipBad = False,
        group_duplicates: options.GroupDuplicates = False,
        cache: options.Cache = None,
        cache_gb: options.CacheGb = 20.0,
        resume: options.Resume = False,
        no_progress: options.NoProgress = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    ) -> None:
        from activitynet.data.scan import skipped_message  # noqa: PLC0415  --help needs no torch

        run = run_folder(run, model, resume=resume)
        changes = options.read_settings(settings)
        classifier = activitynet.Classifier(
            model, options.read_classes(classes), init_from=init_from, image_size=image_size, device=device
        )
        photos = options.open_for(classifier, data, device=device, group_duplicates=group_duplicates)
        learn = classifier.fit if method == "fit" else classifier.fine_tune
        with explaining_resume(run):
            result = learn(
                photos,
                run=run,
                recipe=recipe,
                settings=changes,
                epochs=epochs,
                batch_size=batch_size,
                lr=lr,
                seed=seed,
                workers=workers,
                resume=resume,
                skip_bad=skip_bad,
                cache=cache,
                cache_gb=cache_gb,
                progress=not no_progress,
                track=tuple(track or ()),
            )
        if not options.speaks():
            return
        weights, plots = run / "model", sorted((run / "plots").glob("*.png"))
        best = dict(result.best)
        if as_json:
            print_json(
                {
                    "run": str(run),
                    "weights": str(weights),
                    "plots": [str(plot) for plot in plots],
                    **options.described(photos),
                    "skipped": dict(result.skipped),
                    "best": best,
                    "history": [dict(row) for row in result.history],
                }
            )
            return
        macro_f1, accuracy = best["macro_f1"], best["accuracy"]
        print(f"best epoch {result.best_epoch}: macro-F1 {macro_f1:.3f}, accuracy {accuracy:.3f}")
        if result.skipped:
            print(f"{skipped_message(result.skipped)}: {printable(str(run / 'skipped.jsonl'))}")
        for path in (weights, *plots):  # one per line, not cut, to be copied
            print(printable(str(path)))

    return command


def run_folder(run: Path | None, model: str, *, resume: bool) -> Path:
    """Return the run folder, by default a new one, and print it."""
    if resume and run is None:
        raise typer.BadParameter("it needs --run FOLDER, the run to continue.", param_hint="--resume")
    if run is None:
        if "RANK" in os.environ:  # the clocks of processes differ
            raise typer.BadParameter("name the run of several processes.", param_hint="--run")
        first = Path("runs", f"{slug(model)}-{datetime.now():%Y%m%d-%H%M%S}")
        others = (first.with_name(f"{first.name}-{count}") for count in itertools.count(2))
        run = next(folder for folder in itertools.chain([first], others) if not folder.exists())
    if options.speaks():
        print(f"run folder: {printable(str(run))}", file=sys.stderr)
    return run


@contextlib.contextmanager
def explaining_resume(run: Path) -> Iterator[None]:
    """Print how to continue when the run is interrupted."""
    from activitynet.training.signals import Interrupted  # noqa: PLC0415  --help needs no torch

    try:
        yield
    except Interrupted as stop:
        if options.speaks():
            folder = shlex.quote(printable(str(run)))
            print(f"{stop} Continue with the same command and --run {folder} --resume.", file=sys.stderr)
        raise typer.Exit(128 + stop.signum) from stop


def distill(
    *,
    teacher: Annotated[
        str,
        typer.Argument(
            metavar="TEACHER",
            help="Folder of weights or of an ensemble, or org/name on the Hub.",
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
    device: options.Device = None,
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
    """Train a small model on the predictions of a larger model or an ensemble, and compare both."""
    changes = options.read_settings(settings)
    if "distill.teachers" in changes:
        raise typer.BadParameter("TEACHER names the teacher: leave out distill.teachers.", param_hint="--set")
    teaching = options.load_trained(teacher, device=device)
    student = activitynet.Classifier(
        model, teaching.classes, init_from=init_from, image_size=image_size, device=device
    )
    photos = options.open_for(student, data, device=device, group_duplicates=group_duplicates)
    run = run_folder(run, model, resume=resume)
    learn = student.fit if init_from is None else student.fine_tune
    with explaining_resume(run):
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
    if not options.speaks():
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


def lr_find(
    *,
    data: options.Data,
    model: options.Model = "resnet18_se",
    init_from: options.InitFrom = None,
    recipe: options.RecipeName = "default",
    settings: options.Settings = None,
    image_size: options.ImageSize = None,
    classes: options.Classes = None,
    device: options.Device = None,
    seed: options.Seed = 0,
    workers: options.Workers = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="FILE",
            help="Plot loss against learning rate into this PNG.",
            show_default=False,
        ),
    ] = None,
    skip_bad: options.SkipBad = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print rates, losses and the suggestion as JSON.")
    ] = False,
) -> None:
    """Suggest a learning rate, from a hundred steps at rising rates."""
    classifier = activitynet.Classifier(
        model, options.read_classes(classes), init_from=init_from, image_size=image_size, device=device
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


def recipes(
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="NAME|FILE", help="Print this recipe as TOML; without it, list all recipes."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List recipes, or print one with every field."""
    from activitynet.training.recipe import format_recipe, list_recipes, load_recipe  # noqa: PLC0415  --help needs no torch

    if recipe is not None:
        chosen = load_recipe(recipe)
        if as_json:
            print_json(chosen.to_dict())
        else:
            print(format_recipe(chosen), end="")
        return
    described = {name: load_recipe(name).description for name in list_recipes()}
    if as_json:
        print_json([{"name": name, "description": text} for name, text in described.items()])
        return
    printer = RowPrinter(
        Column("recipe", width=max(map(len, described))), Column("description", ratio=1, overflow="fold")
    )
    for name, text in described.items():
        printer.row(name, text)
