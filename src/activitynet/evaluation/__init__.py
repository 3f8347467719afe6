"""What a classifier is worth, in numbers and pictures."""

from activitynet.evaluation.answers import Answers, ask
from activitynet.evaluation.bootstrap import Estimate
from activitynet.evaluation.comparison import Comparison, compared
from activitynet.evaluation.measures import measured
from activitynet.evaluation.metrics import MIN_SUPPORT, ClassScore, Scores, score
from activitynet.evaluation.plots import (
    plot_confusion,
    plot_learning_curves,
    plot_learning_rates,
    plot_per_class_f1,
)

__all__ = [
    "MIN_SUPPORT",
    "Answers",
    "ClassScore",
    "Comparison",
    "Estimate",
    "Scores",
    "ask",
    "compared",
    "measured",
    "plot_confusion",
    "plot_learning_curves",
    "plot_learning_rates",
    "plot_per_class_f1",
    "score",
]
