"""Recipes as TOML files: those that come with the library, and one's own."""

from __future__ import annotations

import importlib.resources
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from activitynet.errors import ActivityNetError, TrainingError
from activitynet.training.recipe import Recipe
from activitynet.training.toml_files import TomlFiles

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILES = TomlFiles("recipe", importlib.resources.files("activitynet.training") / "recipes")


def list_recipes() -> list[str]:
    """Return the names of the recipes that come with the library, sorted."""
    return _FILES.names()


def load_recipe(recipe: str | os.PathLike[str]) -> Recipe:
    """Read a recipe.

    Args:
        recipe: A name of `list_recipes`, or the path of a TOML file. A string is a path when it ends in
            ``.toml`` or contains a separator. Fields that a file leaves out keep `Recipe`'s defaults.

    Raises:
        TrainingError: There is no such recipe, its file cannot be read or is no TOML, a field is unknown,
            or a value has the wrong type or range.
    """
    values = _FILES.read(recipe)
    try:
        return Recipe.from_dict(values)
    except ActivityNetError as error:
        raise TrainingError(f"in recipe {os.fspath(recipe)!r}: {error}") from error


def parse_setting(setting: str) -> tuple[str, Any]:
    """Read one change to a recipe as it is written on a command line.

    Args:
        setting: ``FIELD=VALUE``, such as ``optimizer.lr=3e-4``. The value is a TOML value (``true``,
            ``0.5``, ``[18, 40]``, ``"a b"``), or else the text as it stands (``optimizer.name=sgd``).

    Returns:
        The dotted field and its value, for `Recipe.override`.

    Raises:
        TrainingError: There is no field or no ``=``.

    Example:
        >>> parse_setting("checkpoint.epochs=[18, 40]")
        ('checkpoint.epochs', [18, 40])
        >>> parse_setting("optimizer.name=sgd")
        ('optimizer.name', 'sgd')
    """
    name, equals, text = (part.strip() for part in setting.partition("="))
    if not (name and equals):
        raise TrainingError(f"{setting!r} changes no field; write FIELD=VALUE, such as optimizer.lr=3e-4.")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return name, text
    return name, parsed["value"] if len(parsed) == 1 else text


def format_recipe(recipe: Recipe) -> str:
    """Write a recipe as TOML, every field of it; `load_recipe` reads it back."""
    return "\n".join(_toml_lines(recipe.to_dict())) + "\n"


def _toml_lines(values: Mapping[str, Any], table: str = "") -> list[str]:
    lines: list[str] = []
    tables: list[str] = []  # a table lasts until the next one, so that what is not in one comes first
    for name, value in values.items():
        if isinstance(value, Mapping):
            tables += ["", f"[{table}{name}]", *_toml_lines(value, f"{table}{name}.")]
        else:
            lines.append(f"{name} = {_toml_value(value)}")
    return lines + tables


def _toml_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, float):
        return repr(value)  # JSON would write Infinity for TOML's inf
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
