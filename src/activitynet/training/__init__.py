"""One readable loop, and what it needs."""

from activitynet.training.events import Callback, Event
from activitynet.training.loop import FitResult, train
from activitynet.training.prepare import computes_in_bf16
from activitynet.training.probe import fit_head
from activitynet.training.progress import LiveProgress
from activitynet.training.recipe import (
    Average,
    Checkpoint,
    Distill,
    Loss,
    Mix,
    Optimizer,
    Recipe,
    Schedule,
)
from activitynet.training.recipe_files import list_recipes, load_recipe
from activitynet.training.run import RunFolder
from activitynet.training.signals import Interrupted

__all__ = [
    "Average",
    "Callback",
    "Checkpoint",
    "Distill",
    "Event",
    "FitResult",
    "Interrupted",
    "LiveProgress",
    "Loss",
    "Mix",
    "Optimizer",
    "Recipe",
    "RunFolder",
    "Schedule",
    "computes_in_bf16",
    "fit_head",
    "list_recipes",
    "load_recipe",
    "train",
]
