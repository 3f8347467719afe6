"""Weights folders: written whole, and read back only if everything in them fits."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from activitynet import __version__, atomic
from activitynet.errors import StorageError, WeightsError
from activitynet.tensors import read_tensors, save_tensors
from activitynet.weights.card import MAX_BYTES, Card
from activitynet.weights.readme import model_page
from activitynet.zoo import create_model

_TENSORS, _CARD, _PAGE = "model.safetensors", "config.json", "README.md"
_NAMED = 3  # tensors of each kind that one message names


def save_weights(folder: str | os.PathLike[str], model: nn.Module, card: Card) -> Card:
    """Write a model's tensors, its card and a page about it, all or nothing.

    Args:
        folder: Where. A weights folder that is there already is replaced; one that holds anything else is
            refused.
        model: The model, on any device. Its tensors are checked against the card first.
        card: What it is. ``sha256`` and ``library_version`` are filled in.

    Returns:
        The card as it was written.

    Raises:
        WeightsError: The model is not what the card says, or holds numbers that are not finite.
        StorageError: The folder cannot be written.
    """
    folder = Path(folder).resolve()
    _check_place(folder)
    tensors = model.state_dict()
    _check_fit(card, tensors, f"the model to be saved in {str(folder)!r}")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"tensor {name!r} of the model to be saved in {str(folder)!r} holds numbers that are not "
                f"finite. The training diverged: lower the learning rate."
            )
    with atomic.replaced_folder(folder) as new:
        sha256 = save_tensors(new / _TENSORS, tensors)
        card = dataclasses.replace(card, sha256=sha256, library_version=__version__)
        atomic.write_text(new / _CARD, card.to_json())
        atomic.write_text(new / _PAGE, model_page(card))
    return card


def load_weights(folder: str | os.PathLike[str]) -> tuple[nn.Module, Card]:
    """Read a weights folder.

    Returns:
        The model in evaluation mode, as float32 on the CPU, and its card.

    Raises:
        WeightsError: Something is missing, corrupt, of another hash, or not what the card says.
    """
    folder = Path(folder)
    card = read_card(folder)
    tensors = read_tensors(folder / _TENSORS, sha256=card.sha256)
    _check_fit(card, tensors, repr(str(folder)))
    model = _built(card, repr(str(folder)))
    model.load_state_dict(tensors, strict=True)
    return model.eval(), card


def read_card(folder: str | os.PathLike[str]) -> Card:
    """Read the card of a weights folder, without its tensors.

    Raises:
        WeightsError: It is missing, cannot be read or is not valid.
    """
    path = Path(folder) / _CARD
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return Card.from_json(data.decode("utf-8"))
    except OSError as error:
        raise WeightsError(
            f"cannot read {str(path)!r}: {error.strerror}. A weights folder holds {_CARD} and {_TENSORS}."
        ) from error
    except UnicodeDecodeError as error:
        raise WeightsError(f"{str(path)!r} is not UTF-8 text. Copy or download it again.") from error
    except WeightsError as error:
        raise WeightsError(f"{str(path)!r}: {error}") from error


def _check_place(folder: Path) -> None:
    """Refuse a place where other files would be lost by the replacement of the folder."""
    try:
        others = [entry.name for entry in folder.iterdir() if entry.name not in (_TENSORS, _CARD, _PAGE)]
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot write weights to {str(folder)!r}: {error.strerror}.") from error
    if others:
        raise StorageError(
            f"cannot write weights to {str(folder)!r}: it holds other files, such as {min(others)!r}. "
            f"Choose a new or empty folder."
        )


def _built(card: Card, where: str) -> nn.Module:
    try:
        model = create_model(
            card.architecture, num_classes=len(card.classes), model_args=dict(card.model_args)
        )
    except Exception as error:  # arguments from an untrusted card can make a factory fail in any way
        raise WeightsError(
            f"{where}: the card's model {card.architecture!r} cannot be made: {error or type(error).__name__}"
        ) from error
    return model.float()


def _check_fit(card: Card, found: Mapping[str, torch.Tensor], where: str) -> None:
    """Compare tensors with those of the card's model, by name, shape and type.

    The model is only sketched (on the meta device), so that a card cannot ask for more memory than its
    tensors' file has.
    """
    with torch.device("meta"):
        expected = _built(card, where).state_dict()
    missing = [repr(name) for name in expected if name not in found]
    extra = [repr(name) for name in found if name not in expected]
    unlike = [
        f"{name!r} is {_described(found[name])} instead of {_described(tensor)}"
        for name, tensor in expected.items()
        if name in found and _described(found[name]) != _described(tensor)
    ]
    faults = [
        f"{len(group)} {kind} ({', '.join(group[:_NAMED])}{', …' if len(group) > _NAMED else ''})"
        for kind, group in (("missing", missing), ("unknown", extra), ("of another shape or type", unlike))
        if group
    ]
    if faults:
        raise WeightsError(
            f"{where} does not fit {card.architecture!r} with {len(card.classes)} classes; tensors: "
            f"{'; '.join(faults)}. Use the card and the tensors that belong together."
        )


def _described(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
