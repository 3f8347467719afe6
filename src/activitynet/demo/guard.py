"""Who may talk to the page: this machine's own pages, by an address that nobody else can give it."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    # Not no-referrer: with that, browsers hide the origin of the page's own forms, too.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Refuses what other sites send, and tells browsers to load nothing from elsewhere and keep nothing.

    A site that a browser shows can post to this machine, which its ``Origin`` tells; and it can have its own
    name lead to this machine (DNS rebinding), which the ``Host`` tells.

    Args:
        app: What is guarded.
        host: The name or address that is listened at.
    """

    def __init__(self, app: ASGIApp, *, host: str) -> None:
        self._app = app
        self._host = host.lower()
        self._is_local = is_local(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        answer = self._app if refusal is None else PlainTextResponse(refusal + "\n", status_code=403)
        await answer(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        address = headers.get("host", "")
        if not self._knows(address):
            return f"Refused: {address!r} is not this page's address. Open the one that the command printed."
        if method in ("GET", "HEAD"):
            return None
        origin = headers.get("origin")
        foreign = (
            headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
            if origin is None
            else origin.partition("://")[2] != address
        )
        if foreign:
            return f"Refused: this was sent by another site ({origin or 'unnamed'}). Send it from this page."
        return None

    def _knows(self, address: str) -> bool:
        try:
            name = urlsplit(f"//{address}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self._host):
            return True
        try:
            ip = ipaddress.ip_address(name)
        except ValueError:
            return not self._is_local and name == socket.gethostname().lower()
        return ip.is_loopback or not self._is_local


def is_local(host: str) -> bool:
    """Return whether only this machine can reach a name or address that is listened at."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
