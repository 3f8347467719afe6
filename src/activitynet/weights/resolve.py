"""Find weights by name, list them, pull them and push them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import CacheNotFound, HfHubHTTPError

from activitynet import hub
from activitynet.errors import HubError, StorageError, WeightsError, did_you_mean
from activitynet.hub.client import SECONDS, limit_silence, reported
from activitynet.serialization import atomic
from activitynet.serialization.paths import user_path
from activitynet.serialization.records import MAX_BYTES, read_bounded
from activitynet.weights.card import Card, read_any_card
from activitynet.weights.model_card import with_place
from activitynet.weights.store import (
    CARD,
    PAGE,
    PICTURE,
    TENSORS,
    is_ensemble,
    load_members,
    load_weights,
    read_card,
    tensor_bytes,
)


@dataclasses.dataclass(frozen=True)
class KnownWeights:
    """Weights that can be loaded by a name.

    Attributes:
        name: What `find_weights` takes.
        source: Where they come from: ``org/name@commit``, or a folder of the package or the mirror.
        classes: Number of classes.
        size: Bytes of their files.
        cached: Whether they load without network access.
        license: Their license; empty if unknown.
    """

    name: str
    source: str
    classes: int
    size: int
    cached: bool
    license: str


def list_weights() -> list[KnownWeights]:
    """List the default weights, released ones, and other weights of this library in the Hub's cache.

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
    return KnownWeights(DEFAULT, str(folder), len(card.classes), size, cached=True, license=card.license)


def _released(release: hub.Release) -> KnownWeights:
    local = hub.local_folder(release.reference, any_revision=True)
    return KnownWeights(
        name=release.name,
        source=str(local or release.reference),
        classes=len(release.classes),
        size=release.size,
        cached=local is not None or all(hub.is_cached(release.reference, name) for name in release.files),
        license=release.license,
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
    """Return the weights in a cached revision; `None` if they are not of this library."""
    source = f"{repository}@{revision.commit_hash}"
    try:
        card = read_any_card(read_bounded(Path(revision.snapshot_path) / CARD), what=source)
    except (OSError, WeightsError):
        return None
    branches = sorted(revision.refs)
    name = repository if "main" in branches else f"{repository}@{[*branches, revision.commit_hash][0]}"
    return KnownWeights(
        name, source, len(card.classes), revision.size_on_disk, cached=True, license=card.license
    )


DEFAULT = "default"
"""The name of the small model that comes with the package."""

_DEFAULT_FOLDER = Path(__file__).with_name("default")


def find_weights(source: str | os.PathLike[str]) -> Path:
    """Return the folder of named weights. Download them if necessary.

    Args:
        source: ``"default"``, the model that comes with the package (``"./default"`` is a folder of that
            name); a folder; the name of released weights; or a repository on the Hub, ``org/name`` or
            ``org/name@revision``. Names are looked up below ``ACTIVITYNET_WEIGHTS``, in a checkout's
            ``weights/``, in the Hub's cache, and on the Hub, in that order. Paths are never looked up on the
            Hub; ``a/b`` is a path if there is a folder ``a``.

    Returns:
        A weights folder, or an ensemble's. Files from the Hub are verified by their hashes; do not change
        them.

    Raises:
        WeightsError: The weights cannot be found, or cannot be trusted.
        HubError: The Hub cannot be reached, refuses, or has no such repository.
        StorageError: The Hub's cache cannot be written.
    """
    if source == DEFAULT:
        return _DEFAULT_FOLDER
    folder = user_path(source)
    if not isinstance(source, str) or folder.is_dir():
        return folder
    for release in hub.list_releases():
        if release.name == source:
            return hub.fetch_release(release)
    reference = _reference(source, folder)
    return hub.local_folder(reference) or _fetched(reference)


def _reference(source: str, folder: Path) -> hub.Reference:
    """Return the repository that a text names, unless it looks like the path of a missing folder."""
    beside = [str(entry) for entry in folder.parent.iterdir()] if folder.parent.is_dir() else []
    beside += [DEFAULT, *(release.name for release in hub.list_releases())]
    missing = "is not a folder" if folder.exists() else "is not here: there is no folder of that name"
    message = f"{str(folder)!r} {missing}.{did_you_mean(str(folder), beside)}"
    try:
        reference = hub.Reference.parse(source)
    except HubError as error:
        if "@" in source:
            raise
        raise WeightsError(f"{message} On the Hub, names are org/name.") from error
    if "@" not in source and (folder.exists() or folder.parent.is_dir()):
        raise WeightsError(
            f"{message} If the Hub's repository of that name is meant, write {source + '@main'!r}."
        )
    return reference


def _fetched(reference: hub.Reference) -> Path:
    """Fetch the files that a repository's card names, and no others; return its folder in the cache."""
    pinned = hub.resolve(reference, CARD, most=MAX_BYTES)
    folder = _fetch_parts(pinned).parent
    # Loading does not need the page.
    with contextlib.suppress(HubError, WeightsError):
        hub.fetch(pinned, PAGE, most=MAX_BYTES)
    return folder


def _fetch_parts(reference: hub.Reference, folder: str = "") -> Path:
    where = repr(f"{reference}/{folder}" if folder else str(reference))
    config = hub.fetch(reference, folder + CARD, most=MAX_BYTES)
    card = read_any_card(config.read_bytes(), what=where)
    if isinstance(card, Card):
        if not card.sha256:
            raise WeightsError(f"{where}: its card names no SHA-256 of the tensors. It is not used.")
        least, most = tensor_bytes(card, where)
        hub.fetch(reference, folder + TENSORS, least=least, most=most, sha256=card.sha256)
    elif folder:
        raise WeightsError(f"{where} is an ensemble inside an ensemble, which is not supported.")
    else:
        for member in card.members:
            _fetch_parts(reference, f"{member.folder}/")
    return config


def pull_weights(source: str, to: str | os.PathLike[str] | None = None) -> Path:
    """Fetch weights, and check that they load.

    Args:
        source: What `find_weights` takes.
        to: A folder to copy them to: a new or empty one, or a weights folder. `None` leaves them in the
            Hub's cache.

    Returns:
        The folder.

    Raises:
        WeightsError: The weights cannot be found, or cannot be trusted.
        HubError: The Hub cannot be reached, refuses, or has no such repository.
        StorageError: The cache or the folder cannot be written.
    """
    folder = find_weights(source)
    names = checked_files(folder)
    if to is None:
        return folder
    to = user_path(to).resolve()
    others = sorted({entry.name for entry in to.iterdir()} if to.is_dir() else set())
    if stray := [name for name in others if name not in {file.partition("/")[0] for file in names}]:
        raise StorageError(
            f"cannot write weights to {str(to)!r}: it holds other files, such as {stray[0]!r}. "
            "Choose a new or empty folder."
        )
    with atomic.replaced_folder(to) as new:
        for name in names:
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, new / name)
    return to


def push_weights(
    folder: str | os.PathLike[str],
    repository: str,
    *,
    private: bool | None = None,
    revision: str = "main",
    message: str | None = None,
) -> str:
    """Publish a weights folder, or an ensemble's, as one commit of a repository on the Hub.

    The token is that of ``hf auth login`` or ``HF_TOKEN``. Repository and branch are created if missing.

    Args:
        folder: The folder. It is loaded first, so that only weights that load are published.
        repository: ``org/name``.
        private: Whether a new repository is private; `None` takes the account's default. An existing
            repository is not changed.
        revision: The branch to commit to.
        message: The commit's message.

    Returns:
        ``org/name@COMMIT``, a permanent name for `find_weights`.

    Raises:
        WeightsError: The folder is not a weights folder, or holds other files.
        HubError: The Hub cannot be reached, or refuses.
    """
    folder = user_path(folder)
    target = hub.Reference(repository, revision)
    if target.is_pinned:
        raise WeightsError(f"weights are pushed to a branch, and {revision!r} is a commit; name a branch.")
    names = checked_files(folder)
    strays = sorted(
        path
        for file in folder.rglob("*")
        if not file.is_dir() and (path := file.relative_to(folder).as_posix()) not in names
    )
    if strays:
        raise WeightsError(
            f"{str(folder)!r} holds other files, such as {strays[0]!r}, which are not part of the weights. "
            "Move them away."
        )
    contents: dict[str, bytes | Path] = {name: folder / name for name in names}
    if PAGE in contents:
        contents[PAGE] = with_place((folder / PAGE).read_text("utf-8"), repository).encode("utf-8")
    operations = [
        huggingface_hub.CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        for name, content in contents.items()
    ]
    limit_silence()
    with reported(f"push to {str(target)!r}", target):
        api = huggingface_hub.HfApi()
        _make_repository(api, repository, private)
        if revision != "main":
            api.create_branch(repository, branch=revision, exist_ok=True)
        commit = api.create_commit(
            repository, operations, commit_message=message or f"Weights: {folder.name}", revision=revision
        )
    return str(target.at(commit.oid))


def _make_repository(api: huggingface_hub.HfApi, repository: str, private: bool | None) -> None:
    """Create a repository unless it exists. The client's ``exist_ok`` may wait without a timeout."""
    try:
        api.create_repo(repository, private=private)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):  # a token may have the right to write, but not to create
            try:
                api.model_info(repository, timeout=SECONDS)
            except HfHubHTTPError:
                raise error from None
        elif status != 409:
            raise


def checked_files(folder: Path) -> list[str]:
    """Load each model of a weights folder or an ensemble's, and return the names of the folder's files.

    Raises:
        WeightsError: It is not a weights folder, or cannot be trusted.
    """
    if not is_ensemble(folder):
        load_weights(folder)
        names = [CARD, TENSORS]
    else:
        _, card = load_members(folder)
        inside = (
            f"{member.folder}/{name}" for member in card.members for name in (CARD, TENSORS, PAGE, PICTURE)
        )
        names = [CARD, *(name for name in inside if (folder / name).is_file())]
    return names + [name for name in (PAGE, PICTURE) if (folder / name).is_file()]
