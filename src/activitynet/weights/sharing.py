"""Weights folders to the Hub, and from there to a folder of one's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import huggingface_hub

from activitynet import atomic, hub
from activitynet.errors import StorageError, WeightsError
from activitynet.hub.faults import reported
from activitynet.hub.timeouts import bound_every_call
from activitynet.weights.ensemble_store import is_ensemble, load_members
from activitynet.weights.finding import find_weights
from activitynet.weights.readme import with_place
from activitynet.weights.store import CARD, PAGE, PICTURE, TENSORS, load_weights


def pull_weights(source: str, to: str | os.PathLike[str] | None = None) -> Path:
    """Fetch weights, and check that they load.

    Args:
        source: What `find_weights` takes.
        to: A folder to copy them to, new, empty or of weights; `None` leaves them in the Hub's cache.

    Returns:
        The folder.

    Raises:
        WeightsError: There is no such thing, or it cannot be trusted.
        HubError: The Hub cannot be reached, refuses, or has no such repository.
        StorageError: The cache or the folder cannot be written.
    """
    folder = find_weights(source)
    names = checked_files(folder)
    if to is None:
        return folder
    to = Path(to).resolve()
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

    The token is the one of ``hf auth login`` or ``HF_TOKEN``. The repository is made where there is none,
    and so is the branch.

    Args:
        folder: The folder. It is loaded first, so that only weights that load are published.
        repository: ``org/name``.
        private: Whether a repository that is made is private; `None` leaves it to the account's default.
            One that is there stays as it is.
        revision: The branch to commit to.
        message: The commit's message.

    Returns:
        ``org/name@COMMIT``, which `find_weights` takes, and which never changes.

    Raises:
        WeightsError: The folder is not one of weights, or holds something else as well.
        HubError: The Hub cannot be reached, or refuses.
    """
    folder = Path(folder)
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
    bound_every_call()
    with reported(target, doing="push to"):
        api = huggingface_hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        if revision != "main":
            api.create_branch(repository, branch=revision, exist_ok=True)
        commit = api.create_commit(
            repository, operations, commit_message=message or f"Weights: {folder.name}", revision=revision
        )
    return str(target.at(commit.oid))


def checked_files(folder: Path) -> list[str]:
    """Return the files that make up a weights folder, or an ensemble's, after loading each model in it.

    Raises:
        WeightsError: It is not such a folder, or cannot be trusted.
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
