"""Studies as TOML files: those that come with the library, and one's own."""

from __future__ import annotations

import importlib.resources
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activitynet.errors import ActivityNetError, TrainingError, did_you_mean, shown
from activitynet.study.definition import Study, read_definition, study_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:  # it has moved in Python 3.11
    from importlib.abc import Traversable

_FOLDER = importlib.resources.files("activitynet.study") / "studies"
_SEPARATORS = {os.sep, os.altsep or os.sep}


def list_studies() -> list[str]:
    """Return the names of the studies that come with the library, sorted."""
    names = (entry.name for entry in _FOLDER.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_study(study: str | os.PathLike[str], settings: Mapping[str, Any] | None = None) -> Study:
    """Read a study, and see that all of it can be done.

    Args:
        study: A name of `list_studies`, or the path of a TOML file. A string is a path when it ends in
            ``.toml`` or contains a separator.
        settings: Fields of the file to change, by their dotted names: ``{"image_size": 64}``,
            ``{"data.photos_per_class": 20}``.

    Raises:
        TrainingError: There is no such study, its file cannot be read or is no TOML, or a field is unknown,
            missing, or has a value that cannot be.
    """
    shown_name = repr(os.fspath(study))
    try:
        values = tomllib.loads(read_study_text(study))
    except ValueError as error:  # the message names line and column
        raise TrainingError(f"study {shown_name} is not TOML: {error}.") from error
    try:
        for name, value in (settings or {}).items():
            _set(values, name, value)
        found = read_definition(values, study_name(Path(study)))
    except ActivityNetError as error:
        raise TrainingError(f"in study {shown_name}: {error}") from error
    found.check()
    return found


def read_study_text(study: str | os.PathLike[str]) -> str:
    """Return the text of a study's file.

    Raises:
        TrainingError: There is no such study, or its file cannot be read.
    """
    try:
        return _path(study).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TrainingError(f"cannot read study {os.fspath(study)!r}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise TrainingError(f"study {os.fspath(study)!r} is not UTF-8 text: {error.reason}.") from error


def _path(study: str | os.PathLike[str]) -> Path | Traversable:
    if isinstance(study, os.PathLike) or study.endswith(".toml") or _SEPARATORS.intersection(study):
        return Path(study)
    names = list_studies()
    if study not in names:
        raise TrainingError(
            f"there is no study {study!r}.{did_you_mean(study, names)} Known: {', '.join(names)}; "
            "one of your own is the path of a .toml file."
        )
    return _FOLDER / f"{study}.toml"


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    """Change one field of a file; below ``settings`` and ``axes`` names are dotted themselves."""
    table, _, field = name.partition(".")
    if not field:
        values[table] = value
        return
    inner = values.setdefault(table, {})
    if not isinstance(inner, dict):
        raise TrainingError(f"field {shown(table)} is no table, so there is no {shown(name)}.")
    inner[field] = value
