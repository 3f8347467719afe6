"""What a repository on the Hub is called: ``org/name``, or ``org/name@revision``."""

from __future__ import annotations

import dataclasses
import re

from activitynet.errors import HubError

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = re.compile(rf"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,254}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclasses.dataclass(frozen=True)
class Reference:
    """A repository of models, and which state of it.

    Attributes:
        repository: ``org/name``.
        revision: A branch, a tag or a commit's 40 hexadecimal digits.

    Raises:
        HubError: A name that no repository or revision has.
    """

    repository: str
    revision: str = "main"

    def __post_init__(self) -> None:
        name, revision = self.repository, self.revision
        if not _REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
            raise HubError(f"{name!r} is not the name of a repository on the Hub; write org/name.")
        if not _REVISION.fullmatch(revision) or {"", ".", ".."} & set(revision.split("/")):
            raise HubError(
                f"{revision!r} is not the name of a revision; write a branch, a tag or a whole commit."
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
        return _COMMIT.fullmatch(self.revision) is not None

    def at(self, revision: str) -> Reference:
        """Return another state of the same repository."""
        return Reference(self.repository, revision)

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"
