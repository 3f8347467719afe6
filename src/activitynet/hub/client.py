"""Download files from the Hub through its client, bounded in time and size, verified and cached.

Files are fetched one by one, by name. The client's ``snapshot_download`` lists the whole repository first,
without a bound, and builds paths from whatever commit and hash a server sends.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
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

from activitynet.errors import ActivityNetError, HubError, StorageError, WeightsError, clipped
from activitynet.hub.reference import VARIABLE, Reference, is_commit

SECONDS = 10.0
"""Timeout in seconds of a request for a file's metadata."""

UPLOAD_SECONDS = 60.0
"""Timeout in seconds of other requests, such as a commit of many files."""

_TRIES = 3  # to download a file
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS})
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_REASONS: dict[type[BaseException], tuple[str, str]] = {
    GatedRepoError: ("its owners ask you to accept terms first", f"Do so on its page, then {_LOG_IN}."),
    RevisionNotFoundError: ("the repository has no such revision", "Check the part behind the @."),
    RemoteEntryNotFoundError: (
        "the repository has no such file",
        "Only safetensors are read, never pickled weights.",
    ),
    RepositoryNotFoundError: (
        "the Hub has no such repository, or it is private",
        f"Check the name; for a private one {_LOG_IN}.",
    ),
    FileMetadataError: ("the answer is not the Hub's", "Check HF_ENDPOINT, and proxies or login pages."),
}
_STATUSES = {
    401: ("the Hub does not know your token", f"To change it, {_LOG_IN}."),
    403: ("your token has no right to do that (403)", f"With one that has, {_LOG_IN}."),
    429: ("the Hub has had too many requests from you (429)", "Wait some minutes, or log in."),
}
_log = logging.getLogger(__name__)


class HubRefusalError(HubError):
    """The Hub refused a request, or could not be reached.

    Attributes:
        is_outage: Whether a later request may succeed: the Hub cannot be reached, or is too busy.
        is_busy: Whether the Hub answered that it is too busy.
    """

    is_outage = False
    is_busy = False


def resolve(reference: Reference, filename: str, *, most: int) -> Reference:
    """Find the commit of a branch or tag: on the Hub or, if that cannot be reached, in the cache.

    Args:
        reference: The repository. One at a commit is returned without a request.
        filename: A small file of it, which is cached by this call.
        most: Most bytes allowed.

    Raises:
        HubError: The Hub has no such repository, revision or file, refuses, or cannot be reached while
            nothing is cached.
        WeightsError: The file has too many bytes.
        StorageError: The cache cannot be written.
    """
    if reference.is_pinned:
        return reference
    try:
        path = _download(reference, filename, least=0, most=most, sha256=None)
    except HubRefusalError as refusal:
        cached = _cached(reference, filename) if refusal.is_outage else None
        if cached is None:
            raise
        _log.warning("the Hub cannot be reached: using the cached version of %s", reference)
        path = cached
    return reference.at(path.parents[filename.count("/")].name)  # a snapshot's folder is named by its commit


def fetch(
    reference: Reference, filename: str, *, least: int = 0, most: int, sha256: str | None = None
) -> Path:
    """Return a file of a commit: from the cache without a request, or downloaded into it.

    Args:
        reference: The repository at a commit (see `resolve`), or at a tag if ``sha256`` is given.
        filename: Its path in the repository.
        least: Fewest bytes allowed.
        most: Most bytes allowed. The size is checked before the download.
        sha256: The expected SHA-256, if known.

    Returns:
        The file in the cache.

    Raises:
        HubError: The Hub lacks the file, refuses, cannot be reached, or sends a file of another hash.
        WeightsError: The file has another size or hash.
        StorageError: The cache cannot be written.
    """
    cached = _cached(reference, filename)
    if cached is not None and (sha256 is None or file_hash(cached, sha256) == sha256):
        return cached
    return _download(reference, filename, least=least, most=most, sha256=sha256)


def is_cached(reference: Reference, filename: str) -> bool:
    """Return whether a file of a commit is in the cache."""
    return _cached(reference, filename) is not None


def cache_folder() -> Path:
    """Return the folder of the Hub client's cache."""
    return Path(constants.HF_HUB_CACHE)


def file_hash(path: Path, like: str) -> str:
    """Return a file's SHA-256 or, if ``like`` has 40 digits, git's SHA-1 of it."""
    sha256 = len(like) == 64
    digest = hashlib.sha256() if sha256 else hashlib.sha1(usedforsecurity=False)
    if not sha256:
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def limit_silence() -> None:
    """Set a timeout for requests to which the Hub's client gives none: they could wait for ever."""
    session = huggingface_hub.get_session()
    if session.timeout.read is None:
        session.timeout = UPLOAD_SECONDS


def _cached(reference: Reference, filename: str) -> Path | None:
    found = huggingface_hub.try_to_load_from_cache(
        reference.repository, filename, revision=reference.revision
    )
    return Path(found) if isinstance(found, str) else None


def _download(reference: Reference, filename: str, *, least: int, most: int, sha256: str | None) -> Path:
    limit_silence()
    what = f"{filename!r} of {str(reference)!r}"
    url = huggingface_hub.hf_hub_url(reference.repository, filename, revision=reference.revision)
    with reported(f"get {what}", reference):
        try:
            found = huggingface_hub.get_hf_file_metadata(url, timeout=SECONDS)
        except HfHubHTTPError as error:
            if error.response.status_code not in _BUSY:
                raise
            found = huggingface_hub.get_hf_file_metadata(url, timeout=SECONDS, retry_on_errors=True)
    etag, commit = found.etag or "", found.commit_hash or ""
    # The client builds paths from both: values of a malicious server could lead out of the cache.
    if not (is_commit(etag) or (len(etag) == 64 and set(etag) <= set("0123456789abcdef"))):
        raise HubError(
            f"cannot get {what}: the server's answer has no valid hash ({clipped(etag, 60)!r}). "
            "Check HF_ENDPOINT."
        )
    if not is_commit(commit):
        raise HubError(f"cannot get {what}: the server's answer has no valid commit. Check HF_ENDPOINT.")
    _check_size(what, found.size, least, most)
    expected = sha256 or etag
    for attempt in range(_TRIES):  # the cached file or the download may be damaged
        try:
            with reported(f"get {what}", reference):
                path = Path(
                    huggingface_hub.hf_hub_download(
                        reference.repository,
                        filename,
                        revision=reference.revision,
                        etag_timeout=SECONDS,
                        force_download=attempt > 0,
                    )
                )
        except HubRefusalError as refusal:
            if not refusal.is_busy or attempt == _TRIES - 1:
                raise
            time.sleep(2**attempt)
            continue
        if file_hash(path, expected) == expected:
            _check_size(what, path.stat().st_size, least, most)
            return path
    if sha256 is not None and file_hash(path, etag) == etag:
        raise WeightsError(
            f"{what} is not the file that its card, or the index of releases, names: its SHA-256 is not "
            f"{sha256[:12]}…. It is not used."
        )
    with contextlib.suppress(OSError):
        path.resolve().unlink()
        path.unlink(missing_ok=True)
    raise HubError(
        f"cannot get {what}: the download does not match the hash that the server sent. Try again, or use "
        "another network."
    )


def _check_size(what: str, size: int | None, least: int, most: int) -> None:
    if size is not None and not least <= size <= most:
        bounds = f"at most {most:,}" if size > most else f"at least {least:,}"
        raise WeightsError(
            f"{what} has {size:,} bytes, where {bounds} fit what its card describes. It is not used."
        )


@contextlib.contextmanager
def reported(what: str, reference: Reference) -> Iterator[None]:
    """Turn errors of the Hub's client into one line that names the object and the remedy.

    Args:
        what: The action, such as ``"get 'config.json' of 'org/name@main'"``.
        reference: The repository.

    Raises:
        HubRefusalError: The object does not exist, the Hub refuses, or it cannot be reached.
        StorageError: The cache cannot be written.
    """
    try:
        yield
    except ActivityNetError:
        raise
    except Exception as error:  # of the client, its HTTP library or its transport
        raise _explained(error, what, reference) from error


def _explained(error: Exception, what: str, reference: Reference) -> ActivityNetError:
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    disk = next((link for link in chain if isinstance(link, OSError) and link.errno in _DISK), None)
    if disk is not None and not any(isinstance(link, HTTPError) for link in chain):
        place = f" ({disk.filename})" if disk.filename else ""
        return StorageError(
            f"cannot {what}: {disk.strerror}{place}. The cache is {constants.HF_HUB_CACHE!r}: free the disk, "
            "or name another place with HF_HOME."
        )
    name = str(reference).removesuffix("@main")
    tried = (
        f"{VARIABLE} and the Hub's cache do not hold it either. Without a network, set {VARIABLE} to a "
        f"folder that holds {name}/ with its files."
    )
    text = clipped(str(error) or type(error).__name__, 200).rstrip(".")
    reason, advice, outage = text, "Try again.", False
    for link in chain:
        if isinstance(link, OfflineModeIsEnabled):
            reason, advice, outage = "offline mode (HF_HUB_OFFLINE) is on", tried, True
        elif known := next((known for kind, known in _REASONS.items() if isinstance(link, kind)), None):
            reason, advice = known
        elif isinstance(link, HfHubHTTPError):
            status = link.response.status_code
            outage = status in _BUSY
            other = f"the Hub has a fault ({status})" if outage else f"the Hub answers {status}"
            reason, advice = _STATUSES.get(status, (other, "Try again later."))
        elif isinstance(link, HTTPError):
            silent = any("Timeout" in type(link).__name__ for link in chain)
            text = clipped(str(link) or type(link).__name__, 200).rstrip(".")
            cause = "the server is silent" if silent else text
            reason, advice, outage = f"{constants.ENDPOINT} cannot be reached ({cause})", tried, True
        elif "xet" in f"{type(link).__module__} {link}".lower():
            advice = "Try again; for a server that does not speak Xet, set HF_HUB_DISABLE_XET=1."
            continue
        else:
            continue
        break
    refusal = HubRefusalError(f"cannot {what}: {reason}. {advice}")
    refusal.is_outage = outage
    refusal.is_busy = isinstance(link, HfHubHTTPError) and outage
    return refusal
