"""What a classifier is worth, in numbers and pictures."""

from activitynet.evaluation.diagnosis import Comparison, compared
from activitynet.evaluation.metrics import (
    MIN_SUPPORT,
    ClassScore,
    Outputs,
    Scores,
    collect_outputs,
    measured,
    score,
)
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
    "compared",
    "measured",
    "plot_confusion",
    "plot_learning_curves",
    "plot_learning_rates",
    "plot_per_class_f1",
    "score",
]
