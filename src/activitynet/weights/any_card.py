"""The card of a folder of weights: of one model, or of an ensemble of models in folders of their own."""

from __future__ import annotations

from activitynet.errors import WeightsError
from activitynet.weights.card import Card
from activitynet.weights.card_fields import MAX_BYTES
from activitynet.weights.ensemble_card import EnsembleCard, is_ensemble_card


def any_card(data: bytes, where: str) -> Card | EnsembleCard:
    """Read a ``config.json``, be it of a model or of an ensemble.

    Args:
        data: The file's bytes.
        where: What it is of, for errors.

    Raises:
        WeightsError: It is the card neither of a model nor of an ensemble.
    """
    if len(data) > MAX_BYTES:
        raise WeightsError(f"{where}: its config.json has more than the {MAX_BYTES} bytes allowed.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WeightsError(f"{where}: its config.json is not UTF-8 text.") from error
    try:
        return (EnsembleCard if is_ensemble_card(text) else Card).from_json(text)
    except WeightsError as error:
        raise WeightsError(f"{where} holds no weights of this library: {error}") from error
