"""HTML pages that are one file each: one style, nothing loaded from elsewhere, and names that stay text."""

from __future__ import annotations

import base64
import io
import os
from typing import TYPE_CHECKING, Any

from PIL import Image

from activitynet.serialization import atomic

if TYPE_CHECKING:
    import jinja2

__all__ = ["page_templates", "picture", "readable", "thumbnail", "write_page"]


def write_page(path: str | os.PathLike[str], template: str, **values: Any) -> None:
    """Write a page.

    Args:
        path: The file.
        template: Its name among those beside this module.
        values: What it shows. Whatever is text is escaped.

    Raises:
        StorageError: The file cannot be written.
    """
    atomic.write_text(path, readable(page_templates().get_template(template).render(values)))


def page_templates(*packages: str) -> jinja2.Environment:
    """Return the pages' templates, with autoescape.

    Args:
        packages: Further packages whose templates build on them.
    """
    import jinja2  # noqa: PLC0415  slow to import, seldom needed

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, ".") for name in (*packages, __name__)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{share:.0%}"
    return environment


def readable(value: Any) -> Any:
    """Replace what is no text in names, for files in UTF-8, in all of a JSON value.

    Half of a surrogate pair stands for a byte of a file's name that is no text.
    """
    if isinstance(value, dict):
        return {readable(name): readable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [readable(item) for item in value]
    return value.encode("utf-8", errors="backslashreplace").decode() if isinstance(value, str) else value


def thumbnail(image: Image.Image, side: int = 120) -> str:
    """Return an image, made no larger than ``side`` pixels, as a data URL."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return picture("image/jpeg", file.getvalue())


def picture(kind: str, content: bytes) -> str:
    """Return the bytes of a picture as a data URL.

    Args:
        kind: Its media type. A script inside a picture does not run.
        content: The bytes.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
