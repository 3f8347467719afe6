"""What a classifier is worth, in numbers and pictures."""

from activitynet.evaluation.diagnosis import Comparison, compare
from activitynet.evaluation.metrics import MIN_SUPPORT, ClassScore, Scores, measure, score
from activitynet.evaluation.outputs import Outputs, collect_outputs
from activitynet.evaluation.plots import (
    plot_confusion,
    plot_learning_curves,
    plot_learning_rates,
    plot_per_class_f1,
)
from activitynet.evaluation.stats import Estimate

__all__ = [
    "MIN_SUPPORT",
    "ClassScore",
    "Comparison",
    "Estimate",
    "Outputs",
    "Scores",
    "collect_outputs",
    "compare",
    "measure",
    "plot_confusion",
    "plot_learning_curves",
    "plot_learning_rates",
    "plot_per_class_f1",
    "score",
]
