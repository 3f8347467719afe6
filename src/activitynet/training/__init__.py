"""One readable loop, and what it needs."""

from activitynet.training.events import Callback, Event
from activitynet.training.loop import FitResult, computes_in_bf16, train
from activitynet.training.probe import fit_head
from activitynet.training.progress import LiveProgress
from activitynet.training.recipe import DEFAULT, FINE_TUNE, Loss, Optimizer, Recipe, Schedule
from activitynet.training.run import RunFolder

__all__ = [
    "DEFAULT",
    "FINE_TUNE",
    "Callback",
    "Event",
    "FitResult",
    "LiveProgress",
    "Loss",
    "Optimizer",
    "Recipe",
    "RunFolder",
    "Schedule",
    "computes_in_bf16",
    "fit_head",
    "train",
]
