"""A timeout for every call of the Hub's client."""

from __future__ import annotations

from typing import Any

import huggingface_hub
from huggingface_hub.utils import _http, get_session

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
