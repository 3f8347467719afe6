"""The page, served until Ctrl-C."""

from __future__ import annotations

import contextlib
import logging
import socket
import webbrowser
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from activitynet.demo.app import make_app
from activitynet.demo.guard import is_local
from activitynet.demo.limits import Limits
from activitynet.errors import DemoError
from activitynet.predictor import Predictor

_log = logging.getLogger(__name__)

PORT = 7860


def serve(
    predictor: Predictor,
    *,
    name: str,
    host: str = "127.0.0.1",
    port: int = PORT,
    limits: Limits | None = None,
    unknown_below: float | None = None,
    open_browser: bool = False,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the page to try a model on, until Ctrl-C.

    Args:
        predictor: As for `make_app`.
        name: As for `make_app`.
        host: Where to listen. At any address but this machine's own, whoever reaches it can use the page.
        port: Where to listen; 0 takes a free one.
        limits: As for `make_app`.
        unknown_below: As for `make_app`.
        open_browser: Open the page in a browser.
        ready: Called with the page's address when it can be opened.

    Raises:
        DemoError: The address cannot be listened at.
    """
    with _listen(host, port) as listening:
        app = make_app(predictor, name=name, limits=limits, unknown_below=unknown_below, host=host)
        address = _address(host, listening.getsockname()[1])
        if not is_local(host):
            _log.warning("whoever can reach this machine can use the page: %s is not its own address.", host)
        with contextlib.suppress(KeyboardInterrupt):  # how it is meant to end
            ready(address)
            if open_browser:
                webbrowser.open(address)
            make_server(app).run(sockets=[listening])


def make_server(app: Starlette) -> uvicorn.Server:
    """Return what serves the page: no proxies trusted, no WebSockets, no log of requests."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DemoError(
            f"cannot listen at {host!r}, port {port}: {reason}. Choose another port, or 0 for a free one."
        ) from error


def _address(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  told apart, not chosen
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
