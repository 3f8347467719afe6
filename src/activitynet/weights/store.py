"""A network as an untrusted card describes it, made without memory and in bounded time.

A card of a hundred bytes can ask for a network of a million blocks, or for one whose tables fill the memory.
Neither is in proportion to the tensors that came with it, and so neither is a model that they could be of.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from activitynet import __version__
from activitynet.errors import StorageError, WeightsError, clipped, shown
from activitynet.serialization import atomic
from activitynet.serialization.tensors import read_metadata, read_tensors, save_tensors
from activitynet.weights.card import MAX_BYTES, Card, EnsembleCard, is_ensemble_card
from activitynet.weights.model_card import ensemble_page, model_page
from activitynet.zoo import create_model

MAX_ARGUMENT = 2**16
"""Largest number that an argument of a card's architecture may be or hold."""

MAX_TABLES = 2**28
"""Most bytes of what a network keeps and its file does not hold, such as masks of attention."""

_MODULES = 20, 2_000  # that a network may have for each tensor, and besides: most have one or two


def sketch(make: Callable[[], nn.Module], tensors: int) -> nn.Module:
    """Make a network on the meta device, of no more modules than its tensors suggest.

    Args:
        make: Makes it.
        tensors: How many tensors it is to have, at most.

    Raises:
        WeightsError: It has far more modules than these tensors could be of, or what it keeps besides them
            would take far more memory than they do.
        Exception: What ``make`` raises.
    """
    with torch.device("meta"), _at_most(_MODULES[0] * tensors + _MODULES[1]):
        model = make()
    saved = model.state_dict()
    tables = sum(buffer.nbytes for name, buffer in model.named_buffers() if name not in saved)
    if tables > MAX_TABLES:
        raise WeightsError(
            f"it would take {tables >> 20} MiB besides its tensors, and at most {MAX_TABLES >> 20} are given."
        )
    return model


def check_arguments(arguments: Any) -> None:
    """Refuse numbers that no architecture has as an argument.

    Raises:
        WeightsError: There is one.
    """
    if isinstance(arguments, Mapping):
        arguments = list(arguments.values())
    if isinstance(arguments, list):
        for argument in arguments:
            check_arguments(argument)
    elif isinstance(arguments, int | float) and abs(arguments) > MAX_ARGUMENT:
        raise WeightsError(f"its arguments hold {shown(arguments)}, and none may be above {MAX_ARGUMENT}.")


@contextlib.contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Have a network that this thread makes refused as soon as it has more modules than this."""
    thread, left = threading.get_ident(), count

    def registered(*_: object) -> None:
        nonlocal left
        left -= threading.get_ident() == thread
        if left < 0:
            raise WeightsError("it has far more layers than its tensors could be of")

    handle = register_module_module_registration_hook(registered)
    try:
        yield
    finally:
        handle.remove()


_Card = TypeVar("_Card")

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
    """Write a model's tensors, its card and a page about it, all or nothing.

    Args:
        folder: Where. A weights folder that is there already is replaced; one that holds anything else is
            refused.
        model: The model, on any device. Its tensors are checked against the card first.
        card: What it is. ``sha256`` and ``library_version`` are filled in.
        half: Write float16 instead of float32: half the bytes. What is loaded again differs by the rounding.
        picture: Its confusion matrix, as a PNG, for the page. Nothing needs it to load the weights.

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
        WeightsError: Something is missing, corrupt, of another hash, or not what the card says.
    """
    folder = Path(folder)
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
        WeightsError: It is missing, cannot be read or is not valid.
    """
    return parsed_card(folder, Card.from_json)


def parsed_card(folder: str | os.PathLike[str], parse: Callable[[str], _Card]) -> _Card:
    """Read a folder's card, of whatever kind.

    Raises:
        WeightsError: It is missing, cannot be read or is not valid; the message names the file.
    """
    path = Path(folder) / CARD
    text = read_card_text(path)
    try:
        return parse(text)
    except WeightsError as error:
        raise WeightsError(f"{str(path)!r}: {error}") from error


def read_card_text(path: Path) -> str:
    """Return a card's text, no more of it than a card may have.

    Raises:
        WeightsError: It is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1).decode("utf-8")
    except OSError as error:
        raise WeightsError(
            f"cannot read {str(path)!r}: {error.strerror}. A weights folder holds {CARD} and {TENSORS}."
        ) from error
    except UnicodeDecodeError as error:
        raise WeightsError(f"{str(path)!r} is not UTF-8 text. Copy or download it again.") from error


def tensor_bytes(card: Card, where: str) -> tuple[int, int]:
    """Return the fewest and the most bytes that the tensors' file of a card's model may have.

    Args:
        card: The card.
        where: What it is the card of, for errors.

    Raises:
        WeightsError: The card's model cannot be made.
    """
    tensors = _built(card, where, sketched_for=_MOST_TENSORS).state_dict()
    most = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    least = sum(tensor.numel() * _stored_least(tensor) for tensor in tensors.values())
    return least, most + MAX_BYTES + _MOST_HEADER_BYTES * len(tensors)


def _header(card: Card) -> dict[str, str]:
    """Return what the tensors' file says of itself: above all, in which order its outputs are."""
    # One entry, for several would be written in an order that changes from time to time.
    return {"classes": json.dumps(card.classes, ensure_ascii=False)}


def _check_classes(path: Path, card: Card) -> None:
    """Refuse a card whose class names are not those of its tensors, as when two were swapped.

    Tensors that other tools wrote do not name them.
    """
    named = read_metadata(path).get("classes")
    if named is not None and named != _header(card)["classes"]:
        raise WeightsError(
            f"the classes that {str(path)!r} names are not those of its card, in that order. "
            "Use the card and the tensors that belong together."
        )


def _check_place(folder: Path) -> None:
    """Refuse a place where other files would be lost by the replacement of the folder."""
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
            # An empty tensor is refused soon, where the tensors' file has none of that name and shape.
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")
            if sketched_for is None:
                return make()
            check_arguments(card.model_args)
            return sketch(make, sketched_for)
    except Exception as error:  # arguments from an untrusted card can make a factory fail in any way
        raise WeightsError(
            f"{where}: the card's model {shown(card.architecture)} cannot be made: "
            f"{clipped(error) or type(error).__name__}"
        ) from error


def _check_fit(card: Card, found: Mapping[str, torch.Tensor], where: str) -> None:
    """Compare tensors with those of the card's model, by name, shape and type.

    The model is only sketched, so that a card cannot ask for more memory than its tensors' file has.
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
    """Tell whether a file's tensor has a model's shape, and its type or float16 for float32."""
    stored_half = found.dtype == torch.float16 and tensor.dtype == torch.float32
    return found.shape == tensor.shape and (found.dtype == tensor.dtype or stored_half)


def _stored_least(tensor: torch.Tensor) -> int:
    """Return the fewest bytes that an element of a model's tensor takes in a file."""
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
