"""`audit`, `sample-data` and `doctor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import activitynet
from activitynet.cli import options
from activitynet.cli.options import print_json
from activitynet.errors import printable
from activitynet.serialization.paths import user_path

FOUND = 1
_SHOWN = 5
_BROKEN = 1


def audit(
    *,
    data: options.Data,
    report: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="FILE.html",
            help="Write an HTML report with thumbnails, and FILE.json.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    fix: Annotated[
        Path | None,
        typer.Option(
            parser=user_path,
            metavar="FILE.csv",
            help="Write a table without broken photos and duplicates across splits. No photo is changed.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Find suspicious labels with the features of these weights: a weights folder, or timm/NAME.",
            show_default=False,
        ),
    ] = None,
    image_size: options.ImageSize = None,
    drop_label_issues: Annotated[
        bool,
        typer.Option(
            "--drop-label-issues", help="Also leave training photos with suspicious labels out of --fix."
        ),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Threads or processes that read photos.")] = 2,
) -> int:
    """Find broken photos, duplicates, leaks and wrong labels. The exit code is 1 if there are findings."""
    from activitynet.data.audit import audit as run_audit  # noqa: PLC0415
    from activitynet.data.audit import cleaned, write_report  # noqa: PLC0415
    from activitynet.data.open import open_data  # noqa: PLC0415
    from activitynet.data.tables import write_split  # noqa: PLC0415
    from activitynet.pages import readable  # noqa: PLC0415
    from activitynet.serialization.atomic import write_json  # noqa: PLC0415  --help needs no torch

    for option, path, suffix in (("--report", report, ".html"), ("--fix", fix, ".csv")):
        if path is not None and path.suffix.lower() != suffix:
            raise typer.BadParameter(f"{option} takes a file that ends in {suffix}.")
    if drop_label_issues and (labels is None or fix is None):
        raise typer.BadParameter("--drop-label-issues needs --labels and --fix.")
    if fix is not None and fix.resolve() == data.resolve():
        raise typer.BadParameter("--fix needs another file than DATA.")
    opened = open_data(data)
    options.print_classes(opened)
    found = run_audit(opened, workers=workers)
    if labels is not None:
        from activitynet.evaluation.label_errors import with_label_issues  # noqa: PLC0415  needs torch, unlike the rest

        found = with_label_issues(found, opened, labels, image_size=image_size, workers=workers)
    told = {**found.to_dict(), **options.described(opened)}
    if report is not None:
        write_report(report, found)
        write_json(report.with_suffix(".json"), readable(told))
    if fix is not None:
        fixed = cleaned(opened, found, drop_label_issues=drop_label_issues)
        write_split(fix, fixed, label_issues=found.label_issues() if labels is not None else None)
    if as_json:
        print_json(told)
    else:
        print(f"{found.photos} photos, {len(found.findings)} findings")
        for kind, count in found.counts().items():
            print(f"{kind}: {count}")
            for finding in [finding for finding in found.findings if finding.kind == kind][:_SHOWN]:
                where = f" {finding.photos[0].path}" if finding.photos else ""
                print(printable(f"  {finding.message}{where}"))
    return 0 if found.clean else FOUND


def sample_data(
    folder: Annotated[Path, typer.Argument(parser=user_path, metavar="DIR", help="Folder to draw into.")],
    train_per_class: Annotated[int, typer.Option(min=1, help="Training drawings of each class.")] = 40,
    val_per_class: Annotated[int, typer.Option(min=0, help="Validation drawings of each class.")] = 10,
    size: Annotated[int, typer.Option(help="Side of the drawings in pixels.")] = 128,
    seed: Annotated[int, typer.Option(help="The same seed gives the same drawings.")] = 0,
) -> None:
    """Draw a small data set: pictograms of 20 activities, not photos."""
    path = activitynet.draw_sample_data(
        folder, train_per_class=train_per_class, val_per_class=val_per_class, size=size, seed=seed
    )
    print(f"drawn: {printable(str(path))}")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not connect to the Hub.")] = False,
) -> int:
    """Print the environment for a bug report, without secrets, and test what works."""
    from activitynet.doctor import diagnose  # noqa: PLC0415  --help needs none of it

    found = diagnose(offline=offline)
    if as_json:
        print_json(found.to_dict())
    else:
        print(found.to_text())
    for problem in found.problems:
        print(f"error: {problem.what} {problem.remedy}", file=sys.stderr)
    return _BROKEN if found.problems else 0
