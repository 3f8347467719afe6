"""Which weights there are: the package's, released ones, and what the Hub's cache holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import CacheNotFound

from activitynet import hub
from activitynet.errors import WeightsError
from activitynet.weights.any_card import any_card
from activitynet.weights.finding import DEFAULT, find_weights
from activitynet.weights.store import CARD, read_card


@dataclasses.dataclass(frozen=True)
class KnownWeights:
    """Weights that can be loaded by a name.

    Attributes:
        name: What `find_weights` takes.
        source: Where they come from: ``org/name@commit``, or a folder of the package or the mirror.
        classes: How many classes they tell apart.
        size: Bytes of their files.
        cached: Whether they load without a network.
        licence: Under which licence they may be used; empty where it is not known.
    """

    name: str
    source: str
    classes: int
    size: int
    cached: bool
    licence: str


def list_weights() -> list[KnownWeights]:
    """List the package's own weights, released ones, and what else of this library's the Hub's cache holds.

    Raises:
        WeightsError: The index of released weights is not valid.
    """
    releases = hub.list_releases()
    known = [_released(release) for release in releases]
    pinned = {str(release.reference) for release in releases}
    return [_own(), *known] + [entry for entry in _cached() if not {entry.name, entry.source} & pinned]


def _own() -> KnownWeights:
    folder = find_weights(DEFAULT)
    card = read_card(folder)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return KnownWeights(DEFAULT, str(folder), len(card.classes), size, cached=True, licence=card.licence)


def _released(release: hub.Release) -> KnownWeights:
    mirrored = hub.in_mirror(release.reference, any_revision=True)
    return KnownWeights(
        name=release.name,
        source=str(mirrored or release.reference),
        classes=len(release.classes),
        size=release.size,
        cached=mirrored is not None or all(hub.is_cached(release.reference, name) for name in release.files),
        licence=release.licence,
    )


def _cached() -> list[KnownWeights]:
    try:
        repositories = huggingface_hub.scan_cache_dir(hub.cache_folder()).repos
    except (CacheNotFound, OSError):
        return []
    found = [
        entry
        for repository in repositories
        if repository.repo_type == "model"
        for revision in repository.revisions
        if (entry := _entry(repository.repo_id, revision)) is not None
    ]
    return sorted(found, key=lambda entry: entry.name)


def _entry(repository: str, revision: huggingface_hub.CachedRevisionInfo) -> KnownWeights | None:
    """Return what a revision of the cache is, `None` where it is not this library's."""
    source = f"{repository}@{revision.commit_hash}"
    try:
        card = any_card((Path(revision.snapshot_path) / CARD).read_bytes(), source)
    except (OSError, WeightsError):
        return None
    branches = sorted(revision.refs)
    name = repository if "main" in branches else f"{repository}@{[*branches, revision.commit_hash][0]}"
    return KnownWeights(
        name, source, len(card.classes), revision.size_on_disk, cached=True, licence=card.licence
    )
