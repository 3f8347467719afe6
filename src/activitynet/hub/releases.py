"""The index of released weights: their names, repositories, and the hash of every file."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from msgspec import Meta

from activitynet.errors import HubError, WeightsError, did_you_mean
from activitynet.hub.client import fetch, file_hash
from activitynet.hub.reference import Reference, local_folder
from activitynet.serialization.records import Sha256, check_record, read_bounded, read_record

INDEX = Path(__file__).with_name("releases.json")
"""The index of this version of the library."""

SUFFIXES = (".safetensors", ".json", ".md")
"""Extensions of the files of weights; no others are fetched."""

_FILE_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_Text = Annotated[str, Meta(min_length=1)]
_Name = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_]*)?\Z",
        description="a name of a-z, 0-9, _, - and at most one dot",
    ),
]


@dataclasses.dataclass(frozen=True)
class ReleasedFile:
    """A file of released weights: its SHA-256 in hexadecimal, and its bytes."""

    sha256: Sha256
    size: Annotated[int, Meta(ge=1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """Released weights.

    Attributes:
        name: ``ARCHITECTURE.TAG`` for one model, a plain name for an ensemble.
        repository: Their repository on the Hub: ``org/name``.
        revision: A tag, or a commit's 40 hexadecimal digits.
        files: Path in the repository to the file's hash and size; ``config.json`` among them.
        classes: Class names, in the order of the outputs.
        metrics: Scores, with the split they were measured on.
        license: The weights' license.

    Raises:
        WeightsError: A field of the wrong type or outside its range.
    """

    name: _Name
    repository: str
    revision: str
    files: Mapping[str, ReleasedFile]
    classes: Annotated[tuple[_Text, ...], Meta(min_length=1)]
    metrics: Mapping[str, Any]
    license: _Text

    def __post_init__(self) -> None:
        check_record(self, WeightsError)
        try:
            reference = self.reference
        except HubError as error:
            raise WeightsError(f"{self.name!r}: {error}") from error
        if reference.revision == "main":
            raise WeightsError(f"{self.name!r} must have a tag or a commit, not {self.revision!r}.")
        if "config.json" not in self.files:
            raise WeightsError(f"{self.name!r} lists no config.json among its files.")
        for path in self.files:
            _check_file_name(path)
        if len(set(self.classes)) < len(self.classes):
            raise WeightsError(f"{self.name!r} must name its classes, each once.")

    @property
    def reference(self) -> Reference:
        """The repository at its revision."""
        return Reference(self.repository, self.revision)

    @property
    def architecture(self) -> str | None:
        """The architecture of a single model, from its name; `None` for an ensemble."""
        return self.name.partition(".")[0] if "." in self.name else None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


@dataclasses.dataclass(frozen=True)
class _Index:
    releases: tuple[Release, ...]


def list_releases(index: Path | None = None) -> list[Release]:
    """Read the index of released weights.

    Args:
        index: The file; `None` takes the library's own.

    Raises:
        WeightsError: It is not valid.
    """
    path = index or INDEX
    what = f"the index of released weights {str(path)!r}"
    try:
        text = read_bounded(path)
    except OSError as error:
        raise WeightsError(f"cannot read {what}: {error.strerror}.") from error
    releases = list(read_record(text, _Index, what=what, complete=True).releases)
    names = [release.name for release in releases]
    for name in names:
        if names.count(name) > 1:
            raise WeightsError(f"{what} lists {name!r} twice.")
    return releases


def find_release(name: str) -> Release:
    """Return the released weights with a name; for the name of an architecture, the first in the index.

    Raises:
        HubError: There are none.
    """
    releases = list_releases()
    for release in releases:
        if name in (release.name, release.architecture):
            return release
    known = [release.name for release in releases]
    listed = f" There are: {', '.join(known)}." if known else " None are released yet."
    raise HubError(f"no released weights are called {name!r}.{did_you_mean(name, known)}{listed}")


def fetch_release(release: Release) -> Path:
    """Return the folder of released weights, on this machine or from the Hub, with every file verified.

    Raises:
        HubError: They are not on this machine, and the Hub cannot be reached.
        WeightsError: A file is not the released one.
        StorageError: The cache cannot be written.
    """
    local = local_folder(release.reference, any_revision=True)
    if local is None:
        for name, file in release.files.items():
            path = fetch(release.reference, name, least=file.size, most=file.size, sha256=file.sha256)
        return path.parents[name.count("/")]
    for name, file in release.files.items():
        path = local / name
        if not path.is_file():
            raise WeightsError(f"{str(local)!r} lacks {name!r} of {release.name!r}; copy it there.")
        if path.stat().st_size != file.size or file_hash(path, file.sha256) != file.sha256:
            raise WeightsError(f"{str(path)!r} is not the file that was released. Copy it again.")
    return local


def _check_file_name(path: str) -> None:
    """Refuse a path that leads out of its folder, or to a file that is not part of weights."""
    parts = path.split("/")
    if len(parts) > 3 or not all(_FILE_PART.fullmatch(part) for part in parts):
        raise WeightsError(f"{path!r} is not the name of a file of weights.")
    if PurePosixPath(parts[-1]).suffix not in SUFFIXES:
        raise WeightsError(f"{path!r} is not one of the files that weights need ({', '.join(SUFFIXES)}).")
