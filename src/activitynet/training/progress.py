"""A run as it happens, in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from activitynet.training.events import Event


class LiveProgress:
    """Shows loss, rate, images a second and time left while a run goes, and one line an epoch.

    Where the output is not a terminal, only the lines are written.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task("training", total=None, facts="")

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if event.kind == "start":
            self.progress.update(self.task, total=event.steps, completed=event.step)
            self.progress.start()
        elif event.kind == "step":
            self.progress.update(
                self.task,
                completed=event.step,
                description=f"epoch {event.epoch}/{event.epochs}",
                facts=f"loss {event.loss:.3f}  rate {event.lr:.1e}  {event.images_per_second:.0f} img/s",
            )
        elif event.kind == "epoch":
            self.console.print(_line(event), highlight=False, markup=False, soft_wrap=True)
        else:
            self.close()

    def close(self) -> None:
        """Give the terminal back."""
        self.progress.stop()


def _line(event: Event) -> str:
    scores = event.scores or {}
    where = f"epoch {event.epoch:>3}/{event.epochs}" if event.epoch else "before training"
    loss = (
        f"  loss {event.loss:.3f}  rate {event.lr:.1e}  {event.images_per_second:.0f} img/s"
        if event.loss
        else ""
    )
    return (
        f"{where}{loss}  macro-F1 {scores.get('macro_f1', 0):.3f}  accuracy {scores.get('accuracy', 0):.3f}"
        f"{'  best so far' if event.best else ''}"
    )
