"""Self-contained HTML pages: one style, no external resources, and all text escaped."""

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
    """Render a template into a file.

    Args:
        path: The file.
        template: The name of a template in this folder.
        values: The values it shows. Text is escaped.

    Raises:
        StorageError: The file cannot be written.
    """
    atomic.write_text(path, readable(page_templates().get_template(template).render(values)))


def page_templates(*packages: str) -> jinja2.Environment:
    """Return the templates, with autoescape.

    Args:
        packages: Further packages with templates that extend these.
    """
    import jinja2  # noqa: PLC0415  slow to import, rarely needed

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
    """Replace lone surrogates, which UTF-8 cannot encode, by escapes in a JSON value.

    They stand for bytes of file names that are not valid text.
    """
    if isinstance(value, dict):
        return {readable(name): readable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [readable(item) for item in value]
    return value.encode("utf-8", errors="backslashreplace").decode() if isinstance(value, str) else value


def thumbnail(image: Image.Image, side: int = 120) -> str:
    """Return an image, scaled down to at most ``side`` pixels, as a data URL."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return picture("image/jpeg", file.getvalue())


def picture(kind: str, content: bytes) -> str:
    """Return an encoded image as a data URL.

    Args:
        kind: Its media type. Scripts inside an image do not run.
        content: The encoded image.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
