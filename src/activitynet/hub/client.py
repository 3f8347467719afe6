"""A timeout for every call of the Hub's client."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import _http, get_session

from activitynet.errors import HubError, StorageError, WeightsError
from activitynet.hub.faults import HubRefusalError, Reference, is_outage, is_silence, reported, waiting_time

SECONDS = 10.0
"""Seconds that the Hub may be silent while it is asked something."""

_UPLOAD_SECONDS = 60.0  # a commit of many files takes the server a while


def bound_every_call() -> None:
    """Give the Hub's client a timeout for those of its requests that have none.

    It passes one when it downloads. Making a repository, uploading and committing have none, and would wait
    for ever for a server that is silent. What the client or a user's own
    factory sets stays as it is.
    """
    if _fill_in in get_session().event_hooks["request"]:
        return
    # What makes its clients is asked for by a private name, for a client is made anew after some faults.
    make = _http._GLOBAL_CLIENT_FACTORY

    def bounded() -> Any:
        client = make()
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "request": [*hooks["request"], _fill_in]}
        return client

    huggingface_hub.set_client_factory(bounded)


def _fill_in(request: Any) -> None:
    timeout = request.extensions.get("timeout", {})
    for kind in ("connect", "read", "write", "pool"):
        if timeout.get(kind) is None:
            timeout[kind] = _UPLOAD_SECONDS
    request.extensions["timeout"] = timeout


_log = logging.getLogger(__name__)

_TRIES = 3  # of a request that the server was too busy for, or whose connection was reset
_LONGEST_WAIT = 60.0  # seconds that a server may ask for before the user is told instead
_CHUNK = 2**20
_SHA1_DIGITS, _SHA256_DIGITS = 40, 64


def resolve(reference: Reference, filename: str, *, most: int) -> Reference:
    """Find out which commit a branch or tag is at: from the Hub or, where that is out of reach, the cache.

    Args:
        reference: The repository. One that names a commit already comes back with no request.
        filename: A small file of the repository, which the cache then has.
        most: Most bytes that it may have.

    Raises:
        HubError: The Hub has no such repository, revision or file, refuses, or cannot be reached while
            nothing is cached.
        WeightsError: The file has too many bytes.
        StorageError: The cache cannot be written.
    """
    if reference.is_pinned:
        return reference
    try:
        _check_size(reference, filename, _head(reference, filename).size, 0, most)
        path = _download(reference, filename)  # of the branch, so that the cache notes where that is at
    except HubRefusalError as refusal:
        cached = _cached(reference, filename) if refusal.is_outage else None
        if cached is None:
            raise
        pinned = reference.at(_commit_of(cached, filename))
        _log.warning("%s comes from the cache, as it last was (%s)", reference, refusal.reason)
        return pinned
    return reference.at(_commit_of(path, filename))


def fetch(
    reference: Reference, filename: str, *, least: int = 0, most: int, sha256: str | None = None
) -> Path:
    """Return a file of a commit: from the cache with no request, or downloaded into it.

    Args:
        reference: The repository, at a commit (see `resolve`); at a tag, where ``sha256`` is known.
        filename: Its path in the repository.
        least: Fewest bytes that it may have.
        most: Most bytes that it may have; the size is asked for before the download.
        sha256: What its SHA-256 has to be; `None` takes what the Hub says of it.

    Returns:
        The file in the cache, verified.

    Raises:
        HubError: The Hub lacks the file, refuses, cannot be reached, or sends other bytes than it names.
        WeightsError: The repository's file is not of that size or hash.
        StorageError: The cache cannot be written.
    """
    if (cached := _cached(reference, filename)) is not None:
        fault = fault_of(cached, sha256)
        if fault is None:
            _check_size(reference, filename, cached.stat().st_size, least, most)
            return cached
        _settle(reference, filename, cached, sha256)
    _check_size(reference, filename, _head(reference, filename).size, least, most)
    for _ in range(2):  # bytes may be spoilt on the way: once more, then the user is told
        path = _download(reference, filename)
        fault = fault_of(path, sha256)
        if fault is None:
            _check_size(reference, filename, path.stat().st_size, least, most)
            return path
        _settle(reference, filename, path, sha256)
    raise HubError(
        f"cannot get {filename!r} of {str(reference)!r}: what arrives is not the file that the server names "
        f"({fault}). Try again, or over another network."
    )


def fault_of(path: Path, sha256: str | None = None) -> str | None:
    """Say what is wrong with a file, `None` where nothing is.

    Args:
        path: The file.
        sha256: What its SHA-256 has to be; `None` takes the hash that the cache names it by, if any.
    """
    expected = sha256 or _etag(path)
    if expected is None or (found := _digest(path, len(expected))) == expected:
        return None
    return f"its hash is {found[:12]}…, expected {expected[:12]}…"


def cache_folder() -> Path:
    """Return where the Hub's client keeps what it downloads."""
    return Path(huggingface_hub.constants.HF_HUB_CACHE)


def is_cached(reference: Reference, filename: str) -> bool:
    """Tell whether a file of a commit is in the cache."""
    return _cached(reference, filename) is not None


def _head(reference: Reference, filename: str) -> huggingface_hub.HfFileMetadata:
    """Ask for a file's size, hash and commit; patiently where the server is busy."""
    bound_every_call()
    url = huggingface_hub.hf_hub_url(reference.repository, filename, revision=reference.revision)
    for attempt in range(_TRIES):
        with reported(reference, filename):
            try:
                return huggingface_hub.get_hf_file_metadata(url, timeout=SECONDS)
            except HfHubHTTPError as error:
                wait = waiting_time(error.response, attempt)
                if wait is None or wait > _LONGEST_WAIT or attempt == _TRIES - 1:
                    raise
        _log.info("the Hub is busy; asking again in %.0f s", wait)
        time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _download(reference: Reference, filename: str) -> Path:
    bound_every_call()
    for attempt in range(_TRIES):
        with reported(reference, filename):
            try:
                return Path(
                    huggingface_hub.hf_hub_download(
                        reference.repository, filename, revision=reference.revision, etag_timeout=SECONDS
                    )
                )
            except Exception as error:
                if attempt == _TRIES - 1 or is_silence(error) or not is_outage(error):
                    raise
        time.sleep(2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _cached(reference: Reference, filename: str) -> Path | None:
    found = huggingface_hub.try_to_load_from_cache(
        reference.repository, filename, revision=reference.revision
    )
    return Path(found) if isinstance(found, str) else None


def _commit_of(path: Path, filename: str) -> str:
    """Return the commit that a file of the cache is of: the name of its snapshot's folder."""
    return path.parents[filename.count("/")].name


def _check_size(reference: Reference, filename: str, size: int | None, least: int, most: int) -> None:
    # A server that does not tell the size is the user's own choice; then the file itself is measured.
    if size is not None and not least <= size <= most:
        bounds = f"at most {most:,}" if size > most else f"at least {least:,}"
        raise WeightsError(
            f"{filename!r} of {str(reference)!r} has {size:,} bytes, where {bounds} fit what its card "
            "describes. It is not used."
        )


def _settle(reference: Reference, filename: str, path: Path, sha256: str | None) -> None:
    """Decide whose fault a wrong hash is: the cache's file is removed, the repository's is refused."""
    etag = _etag(path)
    if sha256 is not None and etag is not None and _digest(path, len(etag)) == etag:
        raise WeightsError(
            f"{filename!r} of {str(reference)!r} is not the file that its card, or the index of releases, "
            f"names: SHA-256 {_digest(path, _SHA256_DIGITS)[:12]}…, not {sha256[:12]}…. It is not used."
        )
    try:
        for link in _links(path):
            link.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{str(path)!r} in the cache is damaged, and cannot be removed: {error.strerror}. Remove it."
        ) from error


def _links(path: Path) -> list[Path]:
    """Return a file of the cache and what it links to, step by step."""
    links = [path]
    while links[-1].is_symlink():
        links.append(links[-1].parent / os.readlink(links[-1]))  # noqa: PTH115 - one step, not all of them
    return links


def _etag(path: Path) -> str | None:
    """Return the hash that the Hub named a file of the cache by: what its first link is called."""
    if not path.is_symlink():
        return None
    name = Path(os.readlink(path)).name  # noqa: PTH115 - as in _links
    is_hash = len(name) in (_SHA1_DIGITS, _SHA256_DIGITS) and set(name) <= set("0123456789abcdef")
    return name if is_hash else None


def _digest(path: Path, digits: int) -> str:
    """Return a file's SHA-256 (64 digits), or the SHA-1 that git gives it (40 digits)."""
    if digits == _SHA256_DIGITS:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
