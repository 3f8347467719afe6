"""Names of repositories on the Hub, and local folders that hold their files."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from activitynet.errors import HubError
from activitynet.serialization.paths import user_path

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = re.compile(rf"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,254}")
_COMMIT = re.compile(r"[0-9a-f]{40}")

VARIABLE = "ACTIVITYNET_WEIGHTS"
"""The environment variable that names a folder of weights."""

_CHECKOUT = Path(__file__).parents[3]  # the project's root, if this is a checkout


@dataclasses.dataclass(frozen=True)
class Reference:
    """A repository of models at a revision.

    Attributes:
        repository: ``org/name``.
        revision: A branch, a tag or a commit's 40 hexadecimal digits.

    Raises:
        HubError: The name of the repository or the revision is not valid.
    """

    repository: str
    revision: str = "main"

    def __post_init__(self) -> None:
        name, revision = self.repository, self.revision
        if not _REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
            raise HubError(f"{name!r} is not the name of a repository on the Hub; write org/name.")
        if not _REVISION.fullmatch(revision) or {"", ".", ".."} & set(revision.split("/")):
            raise HubError(
                f"{revision!r} is not the name of a revision; write a branch, a tag or a full commit hash."
            )

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read ``org/name`` or ``org/name@revision``.

        Raises:
            HubError: It is neither.
        """
        repository, at, revision = text.partition("@")
        return cls(repository, revision) if at else cls(repository)

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return is_commit(self.revision)

    def at(self, revision: str) -> Reference:
        """Return the same repository at another revision."""
        return Reference(self.repository, revision)

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"


def is_commit(text: str) -> bool:
    """Return whether a text is a full commit hash: 40 hexadecimal digits."""
    return _COMMIT.fullmatch(text) is not None


def local_folder(reference: Reference, *, any_revision: bool = False) -> Path | None:
    """Find a repository's folder below ``ACTIVITYNET_WEIGHTS``, or in a checkout's ``weights/``.

    Its name is ``org/name`` or ``name`` for the main branch, and ``org/name@revision`` or
    ``name@revision`` for other revisions.

    Args:
        reference: The repository.
        any_revision: Accept ``org/name`` for other revisions too, if the hashes of the files are known.

    Returns:
        The folder; `None` if there is none.

    Raises:
        HubError: The variable does not name a folder.
    """
    named = os.environ.get(VARIABLE)
    roots = [user_path(named)] if named else []
    if roots and not roots[0].is_dir():
        raise HubError(f"{VARIABLE} is {named!r}, which is not a folder. Correct or unset it.")
    # A checkout's weights may be of any version; the hashes of the files tell.
    if any_revision and (_CHECKOUT / "pyproject.toml").is_file():
        roots.append(_CHECKOUT / "weights")
    names = (reference.repository, reference.repository.partition("/")[2])
    suffixes = [f"@{reference.revision}"]
    if any_revision or reference.revision == "main":
        suffixes.append("")
    folders = (root / (name + suffix) for root in roots for suffix in suffixes for name in names)
    return next((folder for folder in folders if folder.is_dir()), None)
