"""Several models that answer as one: averages, selections, soups and cascades of them."""

from activitynet.ensemble.cascade import fit_cascade
from activitynet.ensemble.combine import fit_weights, greedy_selection, greedy_soup, uniform_soup
from activitynet.ensemble.ensemble import Ensemble, load_ensemble

__all__ = [
    "Ensemble",
    "fit_cascade",
    "fit_weights",
    "greedy_selection",
    "greedy_soup",
    "load_ensemble",
    "uniform_soup",
]
