"""Named TOML files that come with the library, and TOML files of the user."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activitynet.errors import TrainingError, clipped, did_you_mean
from activitynet.serialization.paths import user_path
from activitynet.serialization.records import read_bounded

if TYPE_CHECKING:
    from importlib.abc import Traversable


if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SEPARATORS = {os.sep, os.altsep or os.sep}


@dataclass(frozen=True)
class TomlFiles:
    """TOML files of one kind.

    Attributes:
        kind: The kind's name in errors, such as ``"recipe"``.
        folder: The folder of the files that come with the library.
    """

    kind: str
    folder: Traversable

    def names(self) -> list[str]:
        """Return the names of the files that come with the library, sorted."""
        names = (entry.name for entry in self.folder.iterdir())
        return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))

    def read(self, file: str | os.PathLike[str]) -> dict[str, Any]:
        """Return the values in a file, for `activitynet.serialization.records.read_record`.

        Args:
            file: One of `names`, or a path. A string is a path when it ends in ``.toml`` or contains a
                separator.

        Raises:
            TrainingError: There is no such file, it cannot be read, or it is not TOML.
        """
        try:
            return tomllib.loads(self.read_text(file))
        except (tomllib.TOMLDecodeError, RecursionError) as error:  # with line and column
            raise TrainingError(f"{self.kind} {os.fspath(file)!r} is not TOML: {clipped(error)}.") from error

    def read_text(self, file: str | os.PathLike[str]) -> str:
        """Return the text of a file, given as to `read`.

        Raises:
            TrainingError: There is no such file, or it cannot be read.
        """
        shown = f"{self.kind} {os.fspath(file)!r}"
        try:
            path = self._path(file)
            data = read_bounded(path) if isinstance(path, Path) else path.read_bytes()
            return data.decode("utf-8-sig")
        except OSError as error:
            raise TrainingError(f"cannot read {shown}: {error.strerror or error}.") from error
        except UnicodeDecodeError as error:
            raise TrainingError(f"{shown} is not TOML: it is not UTF-8 text, {error.reason}.") from error

    def _path(self, file: str | os.PathLike[str]) -> Path | Traversable:
        if isinstance(file, os.PathLike) or file.endswith(".toml") or _SEPARATORS.intersection(file):
            return user_path(file)
        names = self.names()
        if file not in names:
            raise TrainingError(
                f"there is no {self.kind} {file!r}.{did_you_mean(file, names)} Known: {', '.join(names)}; "
                "for your own, give the path of a .toml file."
            )
        return self.folder / f"{file}.toml"
