"""Trained models on disk and on the Hub: folders with a card, tensors and a page."""

from activitynet.weights.card import Averaging, Card, EnsembleCard, Member, Stages
from activitynet.weights.resolve import (
    DEFAULT,
    KnownWeights,
    find_weights,
    list_weights,
    pull_weights,
    push_weights,
)
from activitynet.weights.store import (
    is_ensemble,
    load_members,
    load_weights,
    read_card,
    read_ensemble_card,
    save_ensemble,
    save_weights,
)

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
