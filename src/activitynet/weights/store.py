"""Read and write weights folders: a model's tensors, card and page, or an ensemble's card and members."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from activitynet import __version__
from activitynet.errors import StorageError, WeightsError, clipped, shown
from activitynet.serialization import atomic
from activitynet.serialization.paths import user_path
from activitynet.serialization.records import MAX_BYTES, read_bounded
from activitynet.serialization.tensors import read_metadata, read_tensors, save_tensors
from activitynet.weights.card import Card, EnsembleCard, is_ensemble_card, read_any_card
from activitynet.weights.model_card import ensemble_page, model_page
from activitynet.zoo import create_model
from activitynet.zoo.sketch import check_arguments, sketch

TENSORS, CARD, PAGE = "model.safetensors", "config.json", "README.md"
PICTURE = "confusion_matrix.png"
_MOST_HEADER_BYTES = 1024  # for each tensor, in the head of a safetensors file
_MOST_TENSORS = 2000  # of a model whose tensors are not here yet
_NAMED = 3  # tensors of each kind that one message names


def save_weights(
    folder: str | os.PathLike[str],
    model: nn.Module,
    card: Card,
    *,
    half: bool = False,
    picture: bytes | None = None,
) -> Card:
    """Write a model's tensors, card and page, all or nothing.

    Args:
        folder: Where to write. An existing weights folder is replaced; a folder with other files is refused.
        model: The model, on any device. Its tensors are checked against the card first.
        card: Its card. ``sha256`` and ``library_version`` are filled in.
        half: Write float16 instead of float32, in half the bytes. Weights are rounded.
        picture: Its confusion matrix, as a PNG, for the page.

    Returns:
        The card that was written.

    Raises:
        WeightsError: The model does not match the card, or has weights that are not finite.
        StorageError: The folder cannot be written.
    """
    folder = user_path(folder).resolve()
    _check_place(folder)
    tensors = model.state_dict()
    _check_fit(card, tensors, f"the model to be saved in {str(folder)!r}")
    if half:
        single = {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.float32}
        tensors = {**tensors, **{name: tensor.half() for name, tensor in single.items()}}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"tensor {name!r} of the model to be saved in {str(folder)!r} holds numbers that are not "
                f"finite{' in float16' if half else ''}. The training diverged: lower the learning rate."
            )
    with atomic.replaced_folder(folder) as new:
        sha256 = save_tensors(new / TENSORS, tensors, metadata=_header(card))
        card = dataclasses.replace(card, sha256=sha256, library_version=__version__)
        atomic.write_text(new / CARD, card.to_json())
        atomic.write_text(new / PAGE, model_page(card, picture=PICTURE if picture else None))
        if picture:
            atomic.write_bytes(new / PICTURE, picture)
    return card


def load_weights(folder: str | os.PathLike[str]) -> tuple[nn.Module, Card]:
    """Read a weights folder.

    Returns:
        The model in evaluation mode, as float32 on the CPU, and its card.

    Raises:
        WeightsError: A file is missing, corrupt, has another hash, or does not match the card.
    """
    folder = user_path(folder)
    card = read_card(folder)
    tensors = read_tensors(folder / TENSORS, sha256=card.sha256)
    _check_fit(card, tensors, repr(str(folder)))
    _check_classes(folder / TENSORS, card)
    model = _built(card, repr(str(folder)))
    model.load_state_dict(tensors, strict=True)
    return model.eval(), card


def read_card(folder: str | os.PathLike[str]) -> Card:
    """Read the card of a weights folder, without its tensors.

    Raises:
        WeightsError: It is missing, cannot be read, is not valid, or is an ensemble's.
    """
    card = read_folder_card(folder)
    if isinstance(card, EnsembleCard):
        raise WeightsError(
            f"{str(folder)!r} is an ensemble, not one model: use load_ensemble or Ensemble.load."
        )
    return card


def read_ensemble_card(folder: str | os.PathLike[str]) -> EnsembleCard:
    """Read the card of an ensemble's folder, without its members.

    Raises:
        WeightsError: It is missing, cannot be read, is not valid, or is a single model's.
    """
    card = read_folder_card(folder)
    if isinstance(card, Card):
        raise WeightsError(f"{str(folder)!r} is one model, not an ensemble: use Classifier.load.")
    return card


def read_folder_card(folder: str | os.PathLike[str]) -> Card | EnsembleCard:
    """Read the card of a folder, a model's or an ensemble's.

    Raises:
        WeightsError: It is missing, cannot be read or is not valid; the message names the file.
    """
    path = user_path(folder) / CARD
    return read_any_card(_card_bytes(path), what=f"card {str(path)!r}")


def is_ensemble(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder's card is an ensemble's, valid or not."""
    try:
        return is_ensemble_card(_card_bytes(user_path(folder) / CARD))
    except WeightsError:
        return False


def _card_bytes(path: Path) -> bytes:
    try:
        return read_bounded(path)
    except OSError as error:
        raise WeightsError(
            f"cannot read {str(path)!r}: {error.strerror}. A weights folder holds {CARD} and {TENSORS}."
        ) from error


def tensor_bytes(card: Card, where: str) -> tuple[int, int]:
    """Return the least and the greatest size in bytes of the file of tensors of a card's model.

    Args:
        card: The card.
        where: Name of the card's folder in errors.

    Raises:
        WeightsError: The card's model cannot be created.
    """
    tensors = _built(card, where, sketched_for=_MOST_TENSORS).state_dict()
    most = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    least = sum(tensor.numel() * _stored_least(tensor) for tensor in tensors.values())
    return least, most + MAX_BYTES + _MOST_HEADER_BYTES * len(tensors)


def _header(card: Card) -> dict[str, str]:
    """Return the metadata of the file of tensors: the classes, in the order of the outputs."""
    # One entry only: the order of several would vary, and with it the hash of the file.
    return {"classes": json.dumps(card.classes, ensure_ascii=False)}


def _check_classes(path: Path, card: Card) -> None:
    """Refuse a card whose classes differ from those in the file of tensors, such as a card of another model.

    Files that other tools wrote do not name the classes.
    """
    named = read_metadata(path).get("classes")
    if named is not None and named != _header(card)["classes"]:
        raise WeightsError(
            f"the classes in {str(path)!r} differ from those of its card. "
            "Use the card and the tensors that belong together."
        )


def _check_place(folder: Path) -> None:
    """Refuse a folder with other files, which would be lost when the folder is replaced."""
    try:
        others = [
            entry.name for entry in folder.iterdir() if entry.name not in (TENSORS, CARD, PAGE, PICTURE)
        ]
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot write weights to {str(folder)!r}: {error.strerror}.") from error
    if others:
        raise StorageError(
            f"cannot write weights to {str(folder)!r}: it holds other files, such as {min(others)!r}. "
            f"Choose a new or empty folder."
        )


def _built(card: Card, where: str, *, sketched_for: int | None = None) -> nn.Module:
    def make() -> nn.Module:
        return create_model(
            card.architecture, num_classes=len(card.classes), model_args=dict(card.model_args)
        ).float()

    try:
        with warnings.catch_warnings():
            # An empty tensor is refused later, unless the file has one of the same name and shape.
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")
            if sketched_for is None:
                return make()
            check_arguments(card.model_args)
            return sketch(make, sketched_for)
    except Exception as error:  # arguments from an untrusted card can raise any error
        raise WeightsError(
            f"{where}: the card's model {shown(card.architecture)} cannot be made: "
            f"{clipped(error) or type(error).__name__}"
        ) from error


def _check_fit(card: Card, found: Mapping[str, torch.Tensor], where: str) -> None:
    """Compare tensors with those of the card's model, by name, shape and type.

    The model is made on the meta device, so that an untrusted card cannot allocate memory.
    """
    expected = _built(card, where, sketched_for=len(found)).state_dict()
    missing = [repr(name) for name in expected if name not in found]
    extra = [shown(name) for name in found if name not in expected]
    unlike = [
        f"{name!r} is {_described(found[name])} instead of {_described(tensor)}"
        for name, tensor in expected.items()
        if name in found and not _holds(found[name], tensor)
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


def _holds(found: torch.Tensor, tensor: torch.Tensor) -> bool:
    """Return whether a stored tensor has the shape of a model's, and its type (or float16 for float32)."""
    stored_half = found.dtype == torch.float16 and tensor.dtype == torch.float32
    return found.shape == tensor.shape and (found.dtype == tensor.dtype or stored_half)


def _stored_least(tensor: torch.Tensor) -> int:
    """Return the least number of bytes that an element of a model's tensor takes in a file."""
    return 2 if tensor.dtype == torch.float32 else tensor.element_size()


def _described(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {shown(tuple(tensor.shape))}"


def save_ensemble(
    folder: str | os.PathLike[str],
    members: Sequence[tuple[nn.Module, Card]],
    card: EnsembleCard,
    *,
    half: bool = False,
    picture: bytes | None = None,
) -> EnsembleCard:
    """Write an ensemble's members, card and page, all or nothing.

    Args:
        folder: Where to write. An existing ensemble's folder is replaced; a folder with other files is
            refused.
        members: Models with their cards, in the order of ``card.members``.
        card: The ensemble's card. The members' ``sha256`` and ``library_version`` are filled in.
        half: Write float16 instead of float32.
        picture: Its confusion matrix, as a PNG, for the page.

    Returns:
        The card that was written.

    Raises:
        WeightsError: A model does not match its card, or has weights that are not finite.
        StorageError: The folder cannot be written.
    """
    folder = user_path(folder).resolve()
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
        WeightsError: A file is missing, corrupt, has another hash, or does not match the card.
    """
    folder = user_path(folder)
    card = read_ensemble_card(folder)
    members = []
    for entry in card.members:
        place = folder / entry.folder
        model, member = load_weights(place)
        if member.sha256 != entry.sha256:
            raise WeightsError(
                f"{str(place)!r} is not the member named in the ensemble's card: its hash differs. Copy or "
                f"download the folder again."
            )
        if set(member.classes) != set(card.classes):
            unlike = sorted(set(member.classes) ^ set(card.classes))[0]
            raise WeightsError(
                f"{str(place)!r} has other classes than its ensemble: {unlike!r} is in one of them only."
            )
        members.append((model, member))
    return members, card
