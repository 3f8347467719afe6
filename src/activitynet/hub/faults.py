"""What can go wrong between here and the Hub, in words."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
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
from activitynet.hub.mirror import mirror_advice
from activitynet.hub.reference import Reference

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
