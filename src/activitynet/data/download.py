"""Photos from the web, within limits of time and size."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request

from activitynet.errors import ImageError

TIMEOUT = 10.0
"""Seconds that a server may be silent."""

MAX_SECONDS = 60.0
"""Seconds that a download may take in all."""

MAX_BYTES = 50 * 2**20
"""Most bytes that a download may have."""

_CHUNK = 2**16


def is_url(text: str) -> bool:
    """Tell whether a text is an http or https URL."""
    return text.lower().startswith(("http://", "https://"))


def fetch(url: str) -> bytes:
    """Fetch a URL. Redirects are followed to http and https only.

    Raises:
        ImageError: The server cannot be reached, refuses, is too slow or sends too much.
    """
    deadline = time.monotonic() + MAX_SECONDS
    chunks = []
    size = 0
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "activitynet"})  # noqa: S310 - see _opener
        with _opener().open(request, timeout=TIMEOUT) as response:
            while chunk := response.read1(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise ImageError(f"cannot fetch photo {url!r}: it has more than {MAX_BYTES >> 20} MiB.")
                if time.monotonic() > deadline:
                    raise ImageError(f"cannot fetch photo {url!r}: it takes over {MAX_SECONDS:.0f} s.")
                chunks.append(chunk)
    except urllib.error.HTTPError as error:
        error.close()
        raise ImageError(f"cannot fetch photo {url!r}: the server answers {error.code}. Check it.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        raise ImageError(
            f"cannot fetch photo {url!r}: {reason}. Check the address and the network."
        ) from error
    return b"".join(chunks)


def _opener() -> urllib.request.OpenerDirector:
    """Make an opener that knows no scheme but http and https: no file, ftp or data behind a redirect."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener
