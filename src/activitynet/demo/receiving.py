"""An upload off the wire: within its bounds, in memory, and never on the disk."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import anyio
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from activitynet.demo.answering import Upload
from activitynet.demo.limits import Limits

_PATIENCE = 120  # seconds that an upload may take to arrive
_LONGEST_NAME = 1000
_FIELDS = 10


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 62  # bytes from which it would take a file; the body is bounded before


@dataclass(frozen=True)
class Form:
    """What was sent.

    Attributes:
        photos: The photos.
        unknown_below: The threshold, in [0, 1]; `None` where none was sent.
        heat: Whether heat maps are asked for.
    """

    photos: tuple[Upload, ...]
    unknown_below: float | None
    heat: bool


async def receive_form(request: Request, limits: Limits) -> Form:
    """Read the form of a request.

    Raises:
        HTTPException: It is too large, too slow or no such form; its detail is the sentence to show.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise HTTPException(415, "Photos are sent as multipart/form-data, in fields named “photos”.")
    try:
        with anyio.fail_after(_PATIENCE):
            return await _parsed(request, limits)
    except TimeoutError:
        raise HTTPException(
            408, f"The photos did not arrive within {_PATIENCE} seconds: send fewer."
        ) from None


async def _parsed(request: Request, limits: Limits) -> Form:
    stream = _bounded(request, limits)
    parser = _InMemory(
        request.headers, stream, max_files=limits.photos + 1, max_fields=_FIELDS, max_part_size=1000
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        async for _ in stream:  # a browser shows the answer only when it has sent all
            pass
        if error.message.startswith("Too many files"):
            raise HTTPException(413, limits.too_many()) from None
        raise HTTPException(400, "This is no whole form of photos: send it again.") from None
    try:
        sent = [value for value in form.getlist("photos") if isinstance(value, UploadFile)]
        chosen = [photo for photo in sent if photo.filename]  # without a file, browsers send an empty one
        photos = tuple(
            [Upload((photo.filename or "")[:_LONGEST_NAME], await photo.read()) for photo in chosen]
        )
    finally:
        await form.close()
    if not photos:
        raise HTTPException(400, "Choose a photo first.")
    if len(photos) > limits.photos:
        raise HTTPException(413, limits.too_many())
    return Form(photos, _share(form.get("unknown_below")), "heat" in form)


async def _bounded(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received <= limits.bytes:
            yield chunk
        elif received > 8 * limits.bytes:
            break  # so much is taken and dropped, since a browser shows the answer only when it has sent all
    if received > limits.bytes:
        raise HTTPException(413, limits.too_large())


def _share(text: object) -> float | None:
    if text is None or not str(text).strip():
        return None
    try:
        percent = float(str(text))
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise HTTPException(400, "“Unknown below” takes a number from 0 to 100.")
    return percent / 100
