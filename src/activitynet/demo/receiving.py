"""An upload off the wire: within its bounds, in memory, and never on the disk."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio
from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

from activitynet.demo.answering import Upload
from activitynet.demo.limits import Limits

_PATIENCE = 120  # seconds that an upload may take to arrive
_LONGEST_NAME = 1000
_MOST_FIELDS = 10
_CLOSING = {"Connection": "close"}

logging.getLogger("python_multipart").addHandler(logging.NullHandler())  # whoever sent it is told


@dataclass
class Form:
    """What was sent.

    Attributes:
        photos: The photos.
        unknown_below: The threshold, in [0, 1]; `None` where none was sent.
        heat: Whether heat maps are asked for.
    """

    photos: list[Upload] = field(default_factory=list)
    unknown_below: float | None = None
    heat: bool = False


async def receive_form(request: Request, limits: Limits) -> Form:
    """Read the form of a request.

    Raises:
        HTTPException: It is too large, too slow or no such form; its detail is the sentence to show.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise HTTPException(415, "Photos are sent as multipart/form-data, in fields named “photos”.")
    try:
        reading = _Reading(options.get(b"boundary", b"?"), limits)
    except FormParserError:  # such a boundary cannot be
        raise _broken() from None
    try:
        with anyio.fail_after(_PATIENCE):
            async for chunk in _bounded(request, limits):
                reading.take(chunk)
    except TimeoutError:
        late = f"The photos did not arrive within {_PATIENCE} seconds: send fewer."
        raise HTTPException(408, late, _CLOSING) from None
    return reading.form()


class _Reading:
    """A form whose bytes come in pieces.

    What is wrong with it is said at its end: a browser shows an answer only after it has sent all.
    """

    def __init__(self, boundary: bytes, limits: Limits) -> None:
        self._limits = limits
        self._form = Form()
        self._fields = 0
        self._whole = False
        self._refusal: HTTPException | None = None
        self._parser = FormParser(
            "multipart/form-data",
            self._take_field,
            self._take_file,
            self._end,
            boundary=boundary,
            config={"MAX_MEMORY_FILE_SIZE": math.inf},
        )

    def take(self, chunk: bytes) -> None:
        if self._refusal is not None:
            return
        try:
            self._parser.write(chunk)
        except HTTPException as refusal:
            self._refusal = refusal
        except FormParserError:
            self._refusal = _broken()

    def form(self) -> Form:
        if self._refusal is not None:
            raise self._refusal
        if not self._whole:
            raise _broken()
        if not self._form.photos:
            raise HTTPException(400, "Choose a photo first.")
        return self._form

    def _end(self) -> None:
        self._whole = True

    def _take_file(self, file: File) -> None:
        if (
            file.field_name != b"photos" or not file.file_name
        ):  # where none is chosen, browsers send an empty one
            return
        if len(self._form.photos) == self._limits.photos:
            raise HTTPException(413, self._limits.too_many())
        name = file.file_name.decode("utf-8", errors="replace")[:_LONGEST_NAME]
        file.file_object.seek(0)
        self._form.photos.append(Upload(name, file.file_object.read()))

    def _take_field(self, sent: Field) -> None:
        self._fields += 1
        if self._fields > _MOST_FIELDS:
            raise _broken()
        if sent.field_name == b"heat":
            self._form.heat = True
        elif sent.field_name == b"unknown_below" and sent.value:
            self._form.unknown_below = _share(sent.value)


def _broken() -> HTTPException:
    return HTTPException(400, "This is no whole form of photos: send it again.")


def _share(text: bytes) -> float:
    try:
        percent = float(text)
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise HTTPException(400, "“Unknown below” takes a number from 0 to 100.")
    return percent / 100


async def _bounded(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received <= limits.bytes:
            yield chunk
        elif received > 8 * limits.bytes:  # as much is dropped, for the browser's sake; this is no browser
            break
    if received > limits.bytes:
        raise HTTPException(413, limits.too_large(), _CLOSING)
