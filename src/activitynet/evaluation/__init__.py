"""What a classifier is worth, in numbers and pictures."""

from activitynet.evaluation.metrics import MIN_SUPPORT, ClassScore, Scores, score
from activitynet.evaluation.plots import (
    plot_confusion,
    plot_learning_curves,
    plot_learning_rates,
    plot_per_class_f1,
)

__all__ = [
    "MIN_SUPPORT",
    "ClassScore",
    "Scores",
    "plot_confusion",
    "plot_learning_curves",
    "plot_learning_rates",
    "plot_per_class_f1",
    "score",
]
