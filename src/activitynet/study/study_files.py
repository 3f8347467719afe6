"""Studies as TOML files: those that come with the library, and one's own."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activitynet.errors import ActivityNetError, TrainingError, shown
from activitynet.serialization.toml_files import TomlFiles
from activitynet.study.definition import Study, read_definition, study_name

_FILES = TomlFiles("study", importlib.resources.files("activitynet.study") / "studies")


def list_studies() -> list[str]:
    """Return the names of the studies that come with the library, sorted."""
    return _FILES.names()


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
    values = _FILES.read(study)
    try:
        for name, value in (settings or {}).items():
            _set(values, name, value)
        found = read_definition(values, study_name(Path(study)))
    except ActivityNetError as error:
        raise TrainingError(f"in study {os.fspath(study)!r}: {error}") from error
    found.check()
    return found


def read_study_text(study: str | os.PathLike[str]) -> str:
    """Return the text of a study's file.

    Raises:
        TrainingError: There is no such study, or its file cannot be read.
    """
    return _FILES.read_text(study)


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
