"""What a repository on the Hub is called: ``org/name``, or ``org/name@revision``."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from activitynet.errors import ActivityNetError, HubError, StorageError

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


VARIABLE = "ACTIVITYNET_WEIGHTS"
"""The environment variable that names the folder."""


def in_mirror(reference: Reference, *, any_revision: bool = False) -> Path | None:
    """Find a repository's folder in the mirror that ``ACTIVITYNET_WEIGHTS`` names.

    It lies at ``org/name`` or ``name`` for the main branch, and at ``org/name@revision`` or
    ``name@revision`` for any other revision.

    Args:
        reference: The repository.
        any_revision: Take ``org/name`` for another revision as well, since its files' hashes are checked.

    Returns:
        The folder; `None` where the mirror lacks it, or there is no mirror.

    Raises:
        HubError: The variable names no folder.
    """
    root = os.environ.get(VARIABLE)
    if not root:
        return None
    if not Path(root).is_dir():
        raise HubError(f"{VARIABLE} is {root!r}, which is not a folder. Correct or unset it.")
    for folder in candidates(Path(root), reference, any_revision=any_revision):
        if folder.is_dir():
            return folder
    return None


def candidates(root: Path, reference: Reference, *, any_revision: bool) -> list[Path]:
    """Return where in a mirror a repository's folder may lie, the best place first."""
    names = (reference.repository, reference.repository.partition("/")[2])
    pinned = [root / f"{name}@{reference.revision}" for name in names]
    plain = [root / name for name in names]
    return pinned + plain if any_revision or reference.revision == "main" else pinned


def mirror_advice(reference: Reference) -> str:
    """Return a sentence on how to do without the network."""
    name = reference.repository if reference.revision == "main" else str(reference)
    root = os.environ.get(VARIABLE)
    if root:
        return f"{VARIABLE} ({root}) holds no folder {name} either."
    return f"Without a network, set {VARIABLE} to a folder that holds {name}/ with its files."


_UNAUTHORISED, _FORBIDDEN, _TOO_MANY = 401, 403, 429
_BUSY = frozenset({408, _TOO_MANY, 500, 502, 503, 504})
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS})
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


class HubRefusalError(HubError):
    """The Hub did not give what it was asked for.

    Args:
        message: All of it, for people.
        reason: Why, in a few words.
        is_outage: It may do so later: it cannot be reached now, or is too busy.
    """

    def __init__(self, message: str, reason: str, *, is_outage: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.is_outage = is_outage


@contextlib.contextmanager
def reported(reference: Reference, filename: str | None = None, *, doing: str = "get") -> Iterator[None]:
    """Turn whatever the Hub's client raises into one line that names the thing and the remedy.

    Args:
        reference: The repository that is spoken of.
        filename: The file of it.
        doing: What is tried: ``"get"`` or ``"push to"``.

    Raises:
        HubRefusalError: The Hub has no such thing, refuses, or cannot be reached.
        StorageError: A file of the cache cannot be written.
    """
    try:
        yield
    except ActivityNetError:
        raise
    except Exception as error:  # the client's, its HTTP library's and its transport's own errors
        raise _explained(error, reference, filename, doing) from error


def is_outage(error: BaseException) -> bool:
    """Tell whether a fault is of the network or of a busy server, and may be gone later."""
    for link in _chain(error):
        if isinstance(link, OfflineModeIsEnabled):
            return True
        if isinstance(link, HTTPError):
            response = getattr(link, "response", None)
            return response is None or response.status_code in _BUSY
    return False


def is_silence(error: BaseException) -> bool:
    """Tell whether a server was waited for in vain: once is long enough."""
    return any("Timeout" in type(link).__name__ for link in _chain(error))


def waiting_time(response: Any, attempt: int) -> float | None:
    """Return how many seconds to wait before a busy server is asked again; `None` where it is not busy."""
    if response.status_code not in _BUSY:
        return None
    asked = response.headers.get("Retry-After", "").strip()
    return float(asked) if asked.isdigit() else float(2**attempt)


def _explained(error: Exception, reference: Reference, filename: str | None, doing: str) -> ActivityNetError:
    what = f"cannot {doing} {f'{filename!r} of ' if filename else ''}{str(reference)!r}"
    chain = _chain(error)
    disk = next((link for link in chain if isinstance(link, OSError) and link.errno in _DISK), None)
    if disk is not None and not any(isinstance(link, HTTPError) for link in chain):
        place = f" ({disk.filename})" if disk.filename else ""
        return StorageError(
            f"{what}: {disk.strerror}{place}. The cache is {constants.HF_HUB_CACHE!r}: free the disk, or "
            "name another place with HF_HOME."
        )
    reason, advice = _reason(chain, reference, doing)
    return HubRefusalError(f"{what}: {reason}. {advice}", reason, is_outage=is_outage(error))


def _reason(chain: list[BaseException], reference: Reference, doing: str) -> tuple[str, str]:
    """Return why, and what to do."""
    without_network = mirror_advice(reference)
    known: list[tuple[type[BaseException], str, str]] = [
        (
            OfflineModeIsEnabled,
            "offline mode (HF_HUB_OFFLINE) is on, and it is not cached",
            without_network,
        ),
        (GatedRepoError, "its owners ask you to accept terms first", f"Do so on its page, then {_LOG_IN}."),
        (
            RevisionNotFoundError,
            f"the repository has no revision {reference.revision!r}",
            "Check the part behind the @.",
        ),
        (
            RemoteEntryNotFoundError,
            "the repository has no such file",
            "Only safetensors are read, never pickled weights.",
        ),
        (
            RepositoryNotFoundError,
            "the Hub has no such repository, or it is private",
            f"Check the name (no local folder is called so either); for a private one {_LOG_IN}.",
        ),
        (
            FileMetadataError,
            "the answer is not the Hub's",
            "Check HF_ENDPOINT, and whether a proxy or a login page stands between.",
        ),
    ]
    for link in chain:
        for kind, reason, advice in known:
            if isinstance(link, kind):
                return reason, advice
        if isinstance(link, HfHubHTTPError):
            return _status(link.response.status_code, doing)
        if isinstance(link, HTTPError):
            reason = "the server is silent" if is_silence(link) else (_line(link) or type(link).__name__)
            return f"{constants.ENDPOINT} cannot be reached ({reason})", without_network
    if any("xet" in f"{type(link).__module__} {link}".lower() for link in chain):
        return _line(chain[0]), "Try again; for a server that does not speak Xet, set HF_HUB_DISABLE_XET=1."
    return _line(chain[0]) or type(chain[0]).__name__, "Try again."


def _status(status: int, doing: str) -> tuple[str, str]:
    if status == _UNAUTHORISED:
        return "the Hub does not know your token", f"To change it, {_LOG_IN}."
    if status == _FORBIDDEN:
        right = "write there" if doing != "get" else "read it"
        return f"your token may not {right} (403)", f"With one that may, {_LOG_IN}."
    if status == _TOO_MANY:
        return "the Hub has had too many requests from you (429)", "Wait some minutes, or log in."
    if status in _BUSY:
        return f"the Hub has a fault ({status})", "Try again later."
    return f"the Hub answers {status}", "Check the name."


def _chain(error: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


def _line(error: BaseException) -> str:
    """Return an error's first sentence on one line."""
    return " ".join(str(error).split()).partition(". ")[0].rstrip(".")[:200]
