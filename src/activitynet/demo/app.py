"""The page and what is behind it, as an ASGI application."""

from __future__ import annotations

from http import HTTPStatus
from importlib import resources
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from activitynet.demo.answering import Answer, Answering
from activitynet.demo.guard import Guard, is_local
from activitynet.demo.limits import Limits
from activitynet.demo.receiving import receive_form
from activitynet.errors import printable
from activitynet.pages import page_templates, readable
from activitynet.predictor import Predictor

_AT_ONCE = 8
"""Uploads that are in memory at a time; others wait before they are received."""


def make_app(
    predictor: Predictor,
    *,
    name: str,
    limits: Limits | None = None,
    unknown_below: float | None = None,
    host: str = "127.0.0.1",
) -> Starlette:
    """Return the page to try a model on, for any ASGI server.

    Requests may come at once: they are received side by side, and the model answers one after the other.

    Args:
        predictor: What answers: a classifier, an ensemble, or what was exported of them.
        name: What the page calls it.
        limits: How much an upload may be; `None` takes the defaults.
        unknown_below: What the page proposes as for `Predictor.predict`; `None` takes what was calibrated.
        host: The name or address at which a server listens; requests to other names are refused.
    """
    page = _Page(predictor, name, limits or Limits(), unknown_below, open_to_others=not is_local(host))
    app = Starlette(
        routes=[
            Route("/", page.answer, methods=["GET", "POST"]),
            Route("/demo.css", _file("text/css", "pages/style.css", "demo/demo.css")),
            Route("/demo.js", _file("text/javascript", "demo/demo.js")),
        ],
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={HTTPException: page.refuse, Exception: page.fail},
    )
    app.router.redirect_slashes = False
    return app


class _Page:
    def __init__(
        self,
        predictor: Predictor,
        name: str,
        limits: Limits,
        unknown_below: float | None,
        *,
        open_to_others: bool,
    ) -> None:
        self._answering = Answering(predictor, max_pixels=limits.pixels)
        self._limits = limits
        self._unknown_below = predictor.unknown_below if unknown_below is None else unknown_below
        self._answering.warm_up()
        self._receiving = anyio.Semaphore(_AT_ONCE)
        self._asking = anyio.CapacityLimiter(1)  # the model is used by one thread at a time
        environment = page_templates("activitynet.demo")
        environment.filters["printable"] = printable
        self._template = environment.get_template("demo.html")
        self._facts = {
            "name": name,
            "what": self._answering.what(),
            "classes": predictor.classes,
            "temperature": predictor.temperature,
            "calibrated": self._answering.calibrated,
            "quick": self._answering.explains_quickly,
            "limits": limits,
            "open_to_others": open_to_others,
        }

    def _html(
        self,
        status: int = HTTPStatus.OK,
        *,
        answer: Answer | None = None,
        trouble: str | None = None,
        heat: bool | None = None,
        headers: Any = None,
    ) -> HTMLResponse:
        values = {
            "answer": answer,
            "trouble": trouble,
            "heat": self._answering.explains_quickly if heat is None else heat,
            "unknown_below": self._unknown_below if answer is None else answer.unknown_below,
        }
        content = readable(self._template.render(self._facts | values))
        return HTMLResponse(content, status_code=status, headers=headers)

    async def answer(self, request: Request) -> Response:
        if request.method != "POST":
            return self._html()
        async with self._receiving:
            try:
                form = await receive_form(request, self._limits)
            except ClientDisconnect:
                return Response(status_code=HTTPStatus.BAD_REQUEST)
            unknown_below = self._unknown_below if form.unknown_below is None else form.unknown_below
            answer = await anyio.to_thread.run_sync(
                lambda: self._answering.answer(form.photos, unknown_below=unknown_below, heat=form.heat),
                limiter=self._asking,
            )
        return self._html(answer=answer, heat=form.heat)

    async def refuse(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  by its registration
        sentences = {
            HTTPStatus.NOT_FOUND: "There is nothing at this address.",
            HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take such a request.",
        }
        trouble = sentences.get(HTTPStatus(error.status_code), error.detail)
        return self._html(error.status_code, trouble=trouble, headers=error.headers)

    async def fail(self, _: Request, __: Exception) -> Response:
        trouble = "This is a fault of the program: its terminal says more. Please report it."
        return self._html(HTTPStatus.INTERNAL_SERVER_ERROR, trouble=trouble)


def _file(media_type: str, *names: str) -> Any:
    folder = resources.files("activitynet")
    content = "".join(folder.joinpath(name).read_text("utf-8") for name in names)

    async def send(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return send
