"""Several models that answer as one: averages, selections, soups and cascades of them."""

from activitynet.ensemble.cascade import fit_cascade
from activitynet.ensemble.ensemble import Ensemble, load_ensemble
from activitynet.ensemble.selection import fit_weights, greedy_selection
from activitynet.ensemble.soup import greedy_soup, uniform_soup

__all__ = [
    "Ensemble",
    "fit_cascade",
    "fit_weights",
    "greedy_selection",
    "greedy_soup",
    "load_ensemble",
    "uniform_soup",
]
