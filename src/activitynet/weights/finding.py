"""Weights by whatever name: those of the package, a folder, released ones, or a repository on the Hub."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from activitynet import hub
from activitynet.errors import HubError, WeightsError, did_you_mean
from activitynet.weights.any_card import any_card
from activitynet.weights.card import Card
from activitynet.weights.card_fields import MAX_BYTES
from activitynet.weights.store import CARD, PAGE, TENSORS, tensor_bytes

DEFAULT = "default"
"""The name of the small model that comes with the package."""

_DEFAULT_FOLDER = Path(__file__).with_name("default")


def find_weights(source: str | os.PathLike[str]) -> Path:
    """Return the folder that a name of weights stands for, downloaded first where it has to be.

    Args:
        source: In this order: ``"default"``, the model that comes with the package (``"./default"`` is a
            folder of that name); a folder that exists; the name of released weights; a repository on the
            Hub, ``org/name`` or ``org/name@revision``, which the folder of ``ACTIVITYNET_WEIGHTS`` may hold
            as well. A name whose first part is a folder here is never looked for on the Hub, unless it has a
            revision.

    Returns:
        A weights folder, or an ensemble's. Of the Hub's, the hashes are verified; all of it is read only.

    Raises:
        WeightsError: There is no such thing, or it cannot be trusted.
        HubError: The Hub cannot be reached, refuses, or has no such repository.
        StorageError: The Hub's cache cannot be written.
    """
    if source == DEFAULT:
        return _DEFAULT_FOLDER
    folder = Path(source)
    if not isinstance(source, str) or folder.is_dir():
        return folder
    release = next((release for release in hub.list_releases() if release.name == source), None)
    if release is not None:
        return hub.fetch_release(release)
    reference = reference_of(source)
    return hub.in_mirror(reference) or _fetched(reference)


def reference_of(source: str) -> hub.Reference:
    """Return the repository that a text names, unless it looks like a folder that is not there.

    Raises:
        WeightsError: It does.
    """
    folder = Path(source)
    try:
        reference = hub.Reference.parse(source)
    except HubError as error:
        if "@" in source:
            raise
        raise WeightsError(f"{_not_here(folder)} On the Hub, names are org/name.") from error
    if "@" not in source and (folder.exists() or folder.parent.is_dir()):
        raise WeightsError(
            f"{_not_here(folder)} If the Hub's repository of that name is meant, write {source + '@main'!r}."
        )
    return reference


def _fetched(reference: hub.Reference) -> Path:
    """Return a repository's folder in the cache, with all that its card names, and nothing else, fetched."""
    pinned = hub.resolve(reference, CARD, most=MAX_BYTES)
    folder = _fetch_parts(pinned).parent
    # The page is for people: weights without one are as good.
    with contextlib.suppress(HubError, WeightsError):
        hub.fetch(pinned, PAGE, most=MAX_BYTES)
    return folder


def _fetch_parts(reference: hub.Reference, folder: str = "") -> Path:
    where = repr(f"{reference}/{folder}" if folder else str(reference))
    config = hub.fetch(reference, folder + CARD, most=MAX_BYTES)
    card = any_card(config.read_bytes(), where)
    if isinstance(card, Card):
        if not card.sha256:
            raise WeightsError(f"{where}: its card names no SHA-256 of the tensors. It is not used.")
        least, most = tensor_bytes(card, where)
        hub.fetch(reference, folder + TENSORS, least=least, most=most, sha256=card.sha256)
    elif folder:
        raise WeightsError(f"{where} is an ensemble inside one, which is not read.")
    else:
        for member in card.members:
            _fetch_parts(reference, f"{member.folder}/")
    return config


def _not_here(folder: Path) -> str:
    try:
        beside = [str(entry) for entry in folder.parent.iterdir() if entry.is_dir()]
    except OSError:
        beside = []
    beside += [release.name for release in hub.list_releases()]
    kind = "is not a folder" if folder.exists() else "there is no folder"
    what = f"{str(folder)!r} {kind}." if folder.exists() else f"{kind} {str(folder)!r}."
    return what + did_you_mean(str(folder), beside)
