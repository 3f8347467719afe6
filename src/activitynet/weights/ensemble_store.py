"""Ensemble folders: a card, and one weights folder a member."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from activitynet import __version__, atomic
from activitynet.errors import StorageError, WeightsError
from activitynet.weights.card import Card
from activitynet.weights.ensemble_card import EnsembleCard, is_ensemble_card
from activitynet.weights.readme import ensemble_page
from activitynet.weights.store import (
    CARD,
    PAGE,
    PICTURE,
    load_weights,
    parsed_card,
    read_card_text,
    save_weights,
)


def save_ensemble(
    folder: str | os.PathLike[str],
    members: Sequence[tuple[nn.Module, Card]],
    card: EnsembleCard,
    *,
    half: bool = False,
    picture: bytes | None = None,
) -> EnsembleCard:
    """Write an ensemble's members, its card and a page about it, all or nothing.

    Args:
        folder: Where. An ensemble's folder that is there already is replaced; one that holds anything else
            is refused.
        members: Models with their cards, in the order of the ensemble's.
        card: What it is. The members' ``sha256`` and ``library_version`` are filled in.
        half: As for `activitynet.weights.save_weights`.
        picture: Its confusion matrix, as a PNG, for the page.

    Returns:
        The card as it was written.

    Raises:
        WeightsError: A model is not what its card says, or holds numbers that are not finite.
        StorageError: The folder cannot be written.
    """
    folder = Path(folder).resolve()
    if folder.exists() and not is_ensemble(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(
            f"cannot write an ensemble to {str(folder)!r}: it holds other files. Choose a new or empty "
            f"folder."
        )
    with atomic.replaced_folder(folder) as new:
        written = []
        for entry, (model, member) in zip(card.members, members, strict=True):
            saved = save_weights(new / entry.folder, model, member, half=half)
            written.append(dataclasses.replace(entry, sha256=saved.sha256))
        card = dataclasses.replace(card, members=tuple(written), library_version=__version__)
        atomic.write_text(new / CARD, card.to_json())
        page = ensemble_page(card, [member for _, member in members], picture=PICTURE if picture else None)
        atomic.write_text(new / PAGE, page)
        if picture:
            atomic.write_bytes(new / PICTURE, picture)
    return card


def load_members(folder: str | os.PathLike[str]) -> tuple[list[tuple[nn.Module, Card]], EnsembleCard]:
    """Read an ensemble's folder.

    Returns:
        The members in evaluation mode, as float32 on the CPU, with their cards; and the ensemble's card.

    Raises:
        WeightsError: Something is missing, corrupt, of another hash, or not what the card says.
    """
    folder = Path(folder)
    card = read_ensemble_card(folder)
    members = []
    for entry in card.members:
        place = folder / entry.folder
        model, member = load_weights(place)
        if member.sha256 != entry.sha256:
            raise WeightsError(
                f"{str(place)!r} is not the member that the ensemble's card names: its tensors have another "
                f"hash. Copy or download the folder again."
            )
        if set(member.classes) != set(card.classes):
            unlike = sorted(set(member.classes) ^ set(card.classes))[0]
            raise WeightsError(
                f"{str(place)!r} has other classes than its ensemble: {unlike!r} is in one of them only."
            )
        members.append((model, member))
    return members, card


def read_ensemble_card(folder: str | os.PathLike[str]) -> EnsembleCard:
    """Read the card of an ensemble's folder, without its members.

    Raises:
        WeightsError: It is missing, cannot be read or is not valid.
    """
    return parsed_card(folder, EnsembleCard.from_json)


def is_ensemble(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder's card is one of an ensemble, be it valid or not."""
    try:
        return is_ensemble_card(read_card_text(Path(folder) / CARD))
    except WeightsError:
        return False
