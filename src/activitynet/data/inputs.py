"""Turn paths, URLs, bytes, images and arrays into a stream of named photos."""

from __future__ import annotations

import glob
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from activitynet.data.archives import is_container, photos_inside
from activitynet.data.decode import decode_image
from activitynet.data.files import (
    is_folder,
    is_photo,
    left_out_note,
    natural_key,
    walk_files,
)
from activitynet.data.sources import is_saved_dataset, is_shards
from activitynet.errors import DataError, ImageError
from activitynet.serialization.paths import expand_user

_log = logging.getLogger(__name__)

_MAX_NAMED = 1000  # files left out that are kept in memory; others are counted
_DESCRIPTIONS = (".json", ".txt")  # of packed data sets

NamedPhoto = tuple[str, Callable[[], Image.Image]]


def iter_photos(inputs: Any, *, allow_urls: bool = False) -> Iterator[NamedPhoto]:
    """Yield each photo of the input as its name and a function that opens it.

    A photo is opened, and errors are raised, when its function is called. A missing file, an empty
    folder or a pattern without matches is an item whose function raises, so that the stream continues.

    Args:
        inputs: A path to a file; a folder, which gives the photos below it in natural order; a glob
            pattern (``**`` matches folders at any depth; an existing path is never taken for a
            pattern); an http(s) URL; the bytes of a file; a PIL image; a numpy array of shape (H, W),
            (H, W, 3) or (H, W, 4) or a torch tensor of shape (H, W) or (3, H, W), either of uint8 or
            of floats in [0, 1]; or an iterable that mixes all these.
        allow_urls: Fetch URLs. Otherwise a URL is an item whose function raises.

    Yields:
        ``(name, open)``: the path or URL as given, or for nameless input its kind and position, such
        as ``"bytes[3]"``; ``open()`` returns an upright image of mode RGB or raises `ImageError`.
    """
    for position, item in enumerate(_leaves(inputs)):
        if isinstance(item, str | os.PathLike):
            yield from _from_text(expand_user(os.fsdecode(item)), allow_urls=allow_urls)
        elif isinstance(item, Image.Image):
            name = os.fsdecode(getattr(item, "filename", "")) or f"image[{position}]"
            yield name, _decoder(item, name)
        elif isinstance(item, bytes | bytearray | memoryview):
            name = f"bytes[{position}]"
            yield name, _decoder(bytes(item), name)
        elif isinstance(item, np.ndarray):
            name = f"array[{position}]"
            yield name, _array_opener(item, name)
        elif isinstance(item, torch.Tensor):
            name = f"tensor[{position}]"
            yield name, _tensor_opener(item, name)
        else:
            name = f"{type(item).__name__}[{position}]"
            yield (
                name,
                _refusal(name, "it is not a photo. Give a path, URL, bytes, PIL image, array or tensor."),
            )


def _leaves(inputs: Any) -> Iterator[Any]:
    single = str | os.PathLike | bytes | bytearray | memoryview | Image.Image | np.ndarray | torch.Tensor
    # An open file is iterable too, but by lines.
    if isinstance(inputs, single) or not isinstance(inputs, Iterable) or hasattr(inputs, "read"):
        yield inputs
    else:
        for item in inputs:
            yield from _leaves(item)


def _from_text(text: str, *, allow_urls: bool) -> Iterator[NamedPhoto]:
    if is_url(text):
        if allow_urls:
            yield text, lambda: decode_image(fetch(text), name=text)
        else:
            yield text, _refusal(text, "fetching URLs is off. Pass allow_urls=True, or --allow-urls.")
        return
    if os.path.lexists(text) and (is_saved_dataset(text) or is_shards(text) or is_container(Path(text))):
        yield from _from_folder(text, Path(text), packed=True)
    elif is_folder(text):
        yield from _from_folder(text, Path(text))
    elif glob.has_magic(text) and not os.path.lexists(text):
        matches = glob.iglob(_pattern(text), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute one
        files = sorted((match for match in matches if not is_folder(match)), key=natural_key)
        for file in files:
            yield from _from_text(file, allow_urls=False)
        if not files:
            yield text, _refusal(text, "no file matches this pattern. Check it, and quote it in a shell.")
    else:
        yield text, _decoder(text, text)


def _pattern(text: str) -> str:
    """Escape the leading folders of a pattern that exist under that name, such as ``photos [2024]``."""
    head = text
    while head and not os.path.lexists(head):
        head = os.path.dirname(head)  # noqa: PTH120 - Path would drop a trailing separator
    return glob.escape(head) + text[len(head) :]


def _from_folder(text: str, place: Path, *, packed: bool = False) -> Iterator[NamedPhoto]:
    """Yield the photos below a folder; for a packed data set (or a file of it), also those inside files."""
    photos = others = 0
    left_out: list[Path] = []
    try:
        for file in walk_files(place, left_out):
            if packed and is_container(file):
                # `datasets` caches results in files that start with "cache-".
                found = [] if file.name.startswith("cache-") else photos_inside(file, left_out)
            else:
                found = [file] if is_photo(file) else []
                if not found and not (packed and file.suffix.lower() in _DESCRIPTIONS):
                    left_out.append(file)
            for photo in found:
                photos += 1
                yield str(photo), _decoder(photo, str(photo))
            others += len(left_out[_MAX_NAMED:])
            del left_out[_MAX_NAMED:]
    except DataError as error:
        yield text, _refusal(text, str(error))
        return
    note = left_out_note(left_out, len(left_out) + others) if left_out else ""
    if not photos:
        others_note = f" ({note.rstrip('.')})" if note else ""
        yield text, _refusal(text, f"it holds no photos{others_note}. Check the path.")
    elif note:
        _log.warning("%s: %s", text, note)


def _decoder(source: str | Path | bytes | Image.Image, name: str) -> Callable[[], Image.Image]:
    return lambda: decode_image(source, name=name)


def _refusal(name: str, reason: str) -> Callable[[], Image.Image]:
    def refuse() -> Image.Image:
        raise ImageError(f"cannot read photo {name!r}: {reason}")

    return refuse


def _tensor_opener(tensor: torch.Tensor, name: str) -> Callable[[], Image.Image]:
    def open_tensor() -> Image.Image:
        if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and tensor.shape[0] != 3):
            raise ImageError(
                f"cannot read photo {name!r}: a tensor must have shape (3, H, W) or (H, W), not "
                f"{tuple(tensor.shape)}. Give a batch as a list."
            )
        plain = tensor.detach().cpu()
        if plain.is_floating_point():
            plain = plain.float()  # numpy has no bfloat16
        return _from_array(plain.numpy() if plain.ndim == 2 else plain.permute(1, 2, 0).numpy(), name)

    return open_tensor


def _array_opener(array: np.ndarray, name: str) -> Callable[[], Image.Image]:
    def open_array() -> Image.Image:
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
            raise ImageError(
                f"cannot read photo {name!r}: an array must have shape (H, W), (H, W, 3) or (H, W, 4), not "
                f"{array.shape}. Give a batch as a list."
            )
        return _from_array(array, name)

    return open_array


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    if array.size == 0:
        raise ImageError(f"cannot read photo {name!r}: it has no pixels (shape {array.shape}).")
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):  # refuses NaN too
            raise ImageError(
                f"cannot read photo {name!r}: floats must lie in [0, 1]. Divide them, or give uint8."
            )
        array = (array * 255).round().astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(
            f"cannot read photo {name!r}: its type must be uint8 or floating point, not {array.dtype}."
        )
    return decode_image(Image.fromarray(np.ascontiguousarray(array)), name=name)


TIMEOUT = 10.0
"""Timeout in seconds of a server's answer."""

MAX_SECONDS = 60.0
"""Most seconds that a download may take."""

MAX_BYTES = 50 * 2**20
"""Most bytes that a download may have."""

_CHUNK = 2**16


def is_url(text: str) -> bool:
    """Return whether a text is an http or https URL."""
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
    """Make an opener for http and https only: no redirect can lead to file, ftp or data URLs."""
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
