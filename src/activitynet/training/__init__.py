"""Training: recipes, the training loop, callbacks and run folders."""

from activitynet.training.callbacks import Callback, Event, LiveProgress
from activitynet.training.loop import FitResult, train
from activitynet.training.recipe import (
    Average,
    Checkpoint,
    Distill,
    Loss,
    Mix,
    Optimizer,
    Recipe,
    Schedule,
    list_recipes,
    load_recipe,
)
from activitynet.training.run import RunFolder
from activitynet.training.signals import Interrupted
from activitynet.training.step import computes_in_bf16

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
    "list_recipes",
    "load_recipe",
    "train",
]
