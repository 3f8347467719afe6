"""What a trained model is on disk: a folder with its card, its tensors and a page to read."""

from activitynet.weights.card import Card
from activitynet.weights.store import load_weights, read_card, save_weights

__all__ = ["Card", "load_weights", "read_card", "save_weights"]
