"""Options that commands share, and their output: tables for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from activitynet.data.dataset import read_class_names
from activitynet.errors import TrainingError, printable
from activitynet.serialization.paths import user_path

if TYPE_CHECKING:
    from activitynet import Classifier, Ensemble
    from activitynet.data.dataset import PhotoData
    from activitynet.predictor import Predictor


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a JSON value to stdout, in ASCII: nothing in it can harm a terminal or its encoding."""
    print(json.dumps(value, indent=indent, allow_nan=False))


def speaks() -> bool:
    """Tell whether this process prints: of several processes, only the first does."""
    return os.environ.get("RANK", "0") == "0"


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - called while the error is handled; rich itself would end the process here


class RowPrinter:
    """A table that prints each row as soon as it is known.

    Args:
        columns: Each has a fixed width, or a ratio of the rest of the line.
    """

    def __init__(self, *columns: Column) -> None:
        self._columns = columns
        self._expand = any(column.ratio for column in columns)
        # Names may look like markup.
        self._console = _Console(markup=False, emoji=False, highlight=False)
        self._print([str(column.header) for column in columns], style="bold")

    def _print(self, cells: list[str], style: str = "") -> None:
        columns = (column.copy() for column in self._columns)
        grid = Table.grid(*columns, padding=(0, 2, 0, 0), expand=self._expand)
        grid.add_row(*cells, style=style)
        self._console.print(grid)

    def row(self, *cells: str, style: str = "") -> None:
        """Print one row, in color if stdout is a terminal."""
        self._print([printable(cell) for cell in cells], style)


class PhotoProgress:
    """A progress bar with photos per second and the time left, if stderr is a terminal.

    Args:
        photos: Returns all photos; called only to count them.
    """

    def __init__(self, photos: Callable[[], Iterable[object]]) -> None:
        from rich import progress  # noqa: PLC0415  slow to import, rarely needed

        console = Console(stderr=True)
        self._progress = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        total = sum(1 for _ in photos()) if console.is_terminal else None
        self._task = self._progress.add_task("", total=total, rate="")

    def __enter__(self) -> PhotoProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, done: int) -> None:
        """Show how many photos are done, including those of an earlier run."""
        task = self._progress.tasks[self._task]
        if not task.completed:
            self._progress.reset(self._task, completed=done - 1)  # photos of an earlier run do not count
        rate = f"{task.speed:.0f} img/s" if task.speed else ""
        self._progress.update(self._task, completed=done, rate=rate)


class _StderrHandler(logging.Handler):
    """Writes to the current `sys.stderr`, which a live display replaces."""

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(self.format(record)), file=sys.stderr)


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Print the library's log messages, from INFO on, to stderr."""
    logger, handler = logging.getLogger("activitynet"), _StderrHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


Data: TypeAlias = Annotated[
    Path,
    typer.Argument(
        parser=user_path,
        metavar="DATA",
        help="Folder with one folder per class, with or without train/ and val/; a table; tar shards; or "
        "hf://org/name on the Hugging Face Hub.",
    ),
]
Model: TypeAlias = Annotated[
    str, typer.Option(help="Network: a name that `activitynet models` lists, or timm/NAME.")
]
InitFrom: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER", help="Start from these weights: a weights folder, or timm/NAME.", show_default=False
    ),
]
ImageSize: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Side of the network's input, in pixels.", show_default="the network's"),
]
Classes: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        parser=user_path,
        metavar="FILE",
        help="Text file with one class name per line, in the order of the outputs.",
        show_default="from DATA",
    ),
]
RecipeName: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME|FILE", help="A name that `activitynet recipes` lists, or a TOML file.")
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change a field of the recipe (optimizer.lr=3e-4); may be repeated.",
        show_default=False,
    ),
]
Run: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        parser=user_path,
        metavar="FOLDER",
        help="Folder for checkpoints, plots and the trained weights.",
        show_default="runs/MODEL-TIME",
    ),
]
Epochs: TypeAlias = Annotated[
    int | None, typer.Option(help="Passes over the training photos.", show_default="the recipe's")
]
Cache: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        parser=user_path,
        metavar="FOLDER",
        help="Cache decoded training photos here, which loads them faster from the second epoch on.",
        show_default=False,
    ),
]
CacheGb: TypeAlias = Annotated[float, typer.Option(help="Largest size of --cache in gigabytes.")]
Resume: TypeAlias = Annotated[bool, typer.Option("--resume", help="Continue the run in --run.")]
NoProgress: TypeAlias = Annotated[bool, typer.Option("--no-progress", help="Show no live progress.")]
Weights: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="WEIGHTS",
        help="Weights folder, such as RUN/model; org/name on the Hub; an exported file; or default, the "
        "model that comes with the package.",
    ),
]
DefaultWeights: TypeAlias = Annotated[
    str,
    typer.Option(
        "--weights",
        metavar="WEIGHTS",
        help="Weights folder, such as RUN/model; org/name on the Hub; or an exported .onnx or .xml file.",
        show_default="the model that comes with the package",
    ),
]
Cascade: TypeAlias = Annotated[
    bool, typer.Option("--cascade", help="Run only as many members of an ensemble as each photo needs.")
]
EngineName: TypeAlias = Annotated[
    Literal["auto", "torch", "onnxruntime", "openvino"] | None,
    typer.Option(
        "--engine",
        help="Run the network with this engine. auto takes the fastest of those installed, which pays "
        "for many photos: preparing one takes some seconds.",
        show_default="the network as it is; auto for an exported file",
    ),
]
Tta: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--tta",
        metavar="flip|crops|scales",
        help="Average the probabilities of several views of each photo: its mirror image, five crops, "
        "three sizes. May be repeated; each view costs one more pass.",
        show_default=False,
    ),
]
Device: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        help="Run the network on cpu, cuda, cuda:1 or mps.",
        show_default="the accelerator, if there is one",
    ),
]
UnknownBelow: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="P",
        min=0,
        max=1,
        help="Call a photo unknown if its most probable class is less probable; 0 never does.",
        show_default="as calibrated",
    ),
]
Seed: TypeAlias = Annotated[int, typer.Option(help="The same seed gives the same result.")]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(min=0, help="Processes that load photos.", show_default="by the machine's cores"),
]
SkipBad: TypeAlias = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out photos that cannot be read, and print how many.")
]
GroupDuplicates: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--group-duplicates",
        help="Keep near-duplicates on the same side when a share of DATA is held out.",
    ),
]


def load_trained(
    weights: str, *, device: str | None = None, engine: EngineName = None
) -> Classifier | Ensemble:
    """Load a classifier or an ensemble.

    Raises:
        ActivityNetError: The weights cannot be found or trusted, or the device is missing.
    """
    from activitynet import Classifier, Ensemble  # noqa: PLC0415  --help needs no torch
    from activitynet.export import is_exported  # noqa: PLC0415
    from activitynet.weights import find_weights, is_ensemble  # noqa: PLC0415

    place = weights if is_exported(weights) else find_weights(weights)
    if not (isinstance(place, Path) and is_ensemble(place)):
        return Classifier.load(place, device=device, engine=engine)
    if engine is not None:
        raise typer.BadParameter("an ensemble runs as it is, or exported.", param_hint="--engine")
    return Ensemble.load(place, device=device)


def load_predictor(
    weights: str, *, device: str | None = None, engine: EngineName = None, cascade: bool = False
) -> Predictor:
    """Load a classifier, an ensemble, or the cascade of an ensemble.

    Raises:
        ActivityNetError: The weights cannot be found or trusted, or the device is missing.
    """
    from activitynet import Ensemble  # noqa: PLC0415  --help needs no torch

    trained = load_trained(weights, device=device, engine=engine)
    if not cascade:
        return trained
    if isinstance(trained, Ensemble):
        return trained.cascaded()
    raise typer.BadParameter("it takes an ensemble, and this is one model.", param_hint="--cascade")


def open_for(
    predictor: Predictor, data: Path, *, device: str | None, group_duplicates: bool = False
) -> PhotoData:
    """Open the data for a predictor, and print its classes.

    Raises:
        DataError: The data cannot be used, or its near-duplicates cannot be grouped.
        ModelError: The device is missing.
    """
    from activitynet.data.open import open_data  # noqa: PLC0415
    from activitynet.runtime import distributed  # noqa: PLC0415  --help needs no torch
    from activitynet.runtime.devices import resolve_device  # noqa: PLC0415

    distributed.initialize(resolve_device(device))
    opened = distributed.broadcast_from_main(
        lambda: open_data(data, classes=predictor.classes, group_duplicates=group_duplicates)
    )
    print_classes(opened)
    return opened


def print_classes(data: PhotoData) -> None:
    """Print the classes, and how many files and folders were left out, in one line on stderr."""
    if not speaks():
        return
    count = len(data.ignored)
    what = "file or folder" if count == 1 else "files or folders"
    left_out = f" ({count} {what} left out)" if count else ""
    line = Text(printable(f"{len(data.classes)} classes{left_out}: {', '.join(data.classes)}"))
    line.truncate(Console(stderr=True).width, overflow="ellipsis")
    print(line.plain, file=sys.stderr)


def described(data: PhotoData) -> dict[str, Any]:
    """Return the classes and what was left out, as JSON values."""
    return {"classes": list(data.classes), "ignored": [str(path) for path in data.ignored]}


def read_settings(settings: list[str] | None) -> dict[str, Any]:
    """Parse the values of ``--set``, by dotted field.

    Raises:
        TrainingError: A value is not ``FIELD=VALUE``, or a field is set twice.
    """
    from activitynet.training.recipe import parse_setting  # noqa: PLC0415  --help needs no torch

    changes: dict[str, Any] = {}
    for setting in settings or ():
        name, value = parse_setting(setting)
        if name in changes:
            raise TrainingError(f"--set names {name!r} twice; keep one of them.")
        changes[name] = value
    return changes


def read_classes(path: Path | None) -> list[str] | None:
    """Read class names from a text file, one per line; blank lines are ignored.

    Raises:
        DataError: The file cannot be read, is not UTF-8 text, or has no names.
    """
    if path is None:
        return None
    return read_class_names(path)
