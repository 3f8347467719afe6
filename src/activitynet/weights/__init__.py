"""What trained models are on disk and on the Hub: folders with a card, tensors and a page to read."""

from activitynet.weights.card import Card
from activitynet.weights.ensemble_card import Averaging, EnsembleCard, Member, Stages
from activitynet.weights.ensemble_store import is_ensemble, load_members, read_ensemble_card, save_ensemble
from activitynet.weights.finding import DEFAULT, find_weights
from activitynet.weights.inventory import KnownWeights, list_weights
from activitynet.weights.sharing import pull_weights, push_weights
from activitynet.weights.store import load_weights, read_card, save_weights

__all__ = [
    "DEFAULT",
    "Averaging",
    "Card",
    "EnsembleCard",
    "KnownWeights",
    "Member",
    "Stages",
    "find_weights",
    "is_ensemble",
    "list_weights",
    "load_members",
    "load_weights",
    "pull_weights",
    "push_weights",
    "read_card",
    "read_ensemble_card",
    "save_ensemble",
    "save_weights",
]
