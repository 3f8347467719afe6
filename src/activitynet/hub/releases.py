"""The index of released weights: which there are, where they lie, and the hash of every file."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from activitynet.errors import HubError, WeightsError, did_you_mean
from activitynet.hub.client import fault_of, fetch
from activitynet.hub.faults import Reference, in_mirror
from activitynet.serialization import records

INDEX = Path(__file__).with_name("releases.json")
"""The index that comes with this version of the library."""

SUFFIXES = (".safetensors", ".json", ".md")
"""What the files of weights end with; no others are fetched."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_]*)?")
_FILE_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class ReleasedFile:
    """A file of released weights.

    Attributes:
        sha256: Its SHA-256 in hexadecimal.
        size: Its bytes.
    """

    sha256: str
    size: int

    def __post_init__(self) -> None:
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise WeightsError(f"a released file's sha256 must be 64 hexadecimal digits: {self.sha256!r}.")
        if type(self.size) is not int or self.size < 1:
            raise WeightsError(f"a released file's size must be a count of bytes, got {self.size!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """Weights that were released.

    Attributes:
        name: What they are called: ``ARCHITECTURE.TAG`` for one model, a plain name for an ensemble.
        repository: Where they lie on the Hub, as ``org/name``.
        revision: A tag, or a commit's 40 hexadecimal digits. The files' hashes hold in any case.
        files: Path in the repository to the file's hash and size; ``config.json`` among them.
        classes: Class names, in the order of the outputs.
        metrics: Scores, with the split they were measured on.
        license: Under which license they may be used.

    Raises:
        WeightsError: A field of the wrong type or outside its range.
    """

    name: str
    repository: str
    revision: str
    files: Mapping[str, ReleasedFile]
    classes: tuple[str, ...]
    metrics: Mapping[str, Any]
    license: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise WeightsError(
                f"{self.name!r} is no name for released weights; use a-z, 0-9, _, - and one dot."
            )
        if not (isinstance(self.repository, str) and isinstance(self.revision, str)):
            raise WeightsError(f"released weights {self.name!r}: repository and revision must be texts.")
        try:
            reference = self.reference
        except HubError as error:
            raise WeightsError(f"released weights {self.name!r}: {error}") from error
        if reference.revision == "main":
            raise WeightsError(
                f"released weights {self.name!r} must have a tag or a commit, not {self.revision!r}."
            )
        if not isinstance(self.files, dict) or "config.json" not in self.files:
            raise WeightsError(f"released weights {self.name!r} list no config.json among their files.")
        for path in self.files:
            check_file_name(path)
        named = isinstance(self.classes, tuple) and all(isinstance(name, str) for name in self.classes)
        if not named or not self.classes or len(set(self.classes)) != len(self.classes):
            raise WeightsError(f"released weights {self.name!r} must name their classes, each once.")
        if not isinstance(self.metrics, dict) or not isinstance(self.license, str) or not self.license:
            raise WeightsError(f"released weights {self.name!r} need metrics (an object) and a license.")

    @property
    def reference(self) -> Reference:
        """The repository at its revision."""
        return Reference(self.repository, self.revision)

    @property
    def architecture(self) -> str | None:
        """The architecture of a single model, as its name has it; `None` for an ensemble."""
        return self.name.partition(".")[0] if "." in self.name else None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


def list_releases(index: Path | None = None) -> list[Release]:
    """Read the index of released weights.

    Args:
        index: The file; `None` takes the library's own.

    Raises:
        WeightsError: It is not valid.
    """
    path = index or INDEX
    try:
        value = records.parse(path.read_text("utf-8"))
        if not isinstance(value, dict) or list(value) != ["releases"] or type(value["releases"]) is not list:
            raise ValueError("it must be an object whose one field, 'releases', is a list")
        releases = [_release(entry) for entry in value["releases"]]
    except (OSError, ValueError, TypeError, WeightsError) as error:
        raise WeightsError(f"the index of released weights {str(path)!r} is not valid: {error}.") from error
    names = [release.name for release in releases]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise WeightsError(f"the index of released weights {str(path)!r} lists {twice!r} twice.")
    return releases


def find_release(name: str) -> Release:
    """Return the released weights of a name; of an architecture's bare name, the first in the index.

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
    """Return the folder of released weights, every file verified: from the mirror, the cache or the Hub.

    Raises:
        HubError: The Hub cannot be reached, and neither cache nor mirror has them.
        WeightsError: A file is not the released one.
        StorageError: The cache cannot be written.
    """
    mirrored = in_mirror(release.reference, any_revision=True)
    if mirrored is not None:
        for name, file in release.files.items():
            path = mirrored / name
            if not path.is_file():
                raise WeightsError(f"{str(mirrored)!r} lacks {name!r} of {release.name!r}; copy it there.")
            if fault := fault_of(path, file.sha256):
                raise WeightsError(
                    f"{str(path)!r} is not the file that was released: {fault}. Copy it again."
                )
        return mirrored
    for name, file in release.files.items():
        path = fetch(release.reference, name, least=file.size, most=file.size, sha256=file.sha256)
    return path.parents[name.count("/")]


def check_file_name(path: object) -> None:
    """Refuse a path that leads out of its folder, or to a kind of file that weights do not need.

    Raises:
        WeightsError: It is such a path.
    """
    parts = path.split("/") if isinstance(path, str) else []
    if not parts or len(parts) > 3 or not all(_FILE_PART.fullmatch(part) for part in parts):
        raise WeightsError(f"{path!r} is not the name of a file of weights.")
    if PurePosixPath(parts[-1]).suffix not in SUFFIXES:
        raise WeightsError(f"{path!r} is not one of the files that weights need ({', '.join(SUFFIXES)}).")


def _release(entry: object) -> Release:
    if not isinstance(entry, dict):
        raise ValueError(f"a release must be an object, not {entry!r}")
    known = [field.name for field in dataclasses.fields(Release)]
    for name in [*entry, *known]:
        if name not in known or name not in entry:
            fault = "lacks its field" if name in known else "has an unknown field"
            raise ValueError(f"the release {entry.get('name')!r} {fault} {name!r}")
    if not isinstance(entry["files"], dict) or not isinstance(entry["classes"], list):
        raise ValueError(f"the release {entry['name']!r} needs files (an object) and classes (a list)")
    files = {path: ReleasedFile(**file) for path, file in entry["files"].items()}
    return Release(**{**entry, "files": files, "classes": tuple(entry["classes"])})
