"""Read JSON and validated records from untrusted files.

A record is a frozen dataclass. Its annotations say what each field may hold: nested records, literals, and
ranges by ``Annotated[..., msgspec.Meta(...)]``. `read_record` makes one from JSON text or plain values.
`check_record`, called from ``__post_init__``, holds one made in Python to the same rules::

    @dataclasses.dataclass(frozen=True)
    class Tile:
        size: Annotated[int, Meta(ge=1, le=4096)] = 224
        resize: Literal["crop", "pad"] = "crop"

        def __post_init__(self) -> None:
            check_record(self, DataError)

    read_record('{"size": 64}', Tile, what="tile 'a.json'", error=DataError)  # Tile(size=64, resize='crop')
    read_record('{"size": 0}', Tile, what="tile 'a.json'", error=DataError)
    # DataError: tile 'a.json': field 'size' must be a whole number from 1 to 4096, got 0.
    read_record('{"sise": 64}', Tile, what="tile 'a.json'", error=DataError)
    # DataError: tile 'a.json' has no field 'sise'. Did you mean 'size'?
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import math
import os
import stat
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from activitynet.errors import ActivityNetError, WeightsError, clipped, did_you_mean, shown

MAX_BYTES = 1_000_000
"""Default limit for the JSON or TOML text of a record, in bytes."""

MAX_DEPTH = 64
"""Most levels that JSON may nest."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z", description="64 hexadecimal digits")]
"""A field that holds a SHA-256."""

_Record = TypeVar("_Record")


def read_bounded(path: str | os.PathLike[str], limit: int = MAX_BYTES) -> bytes:
    """Return the bytes of a regular file that has at most ``limit`` of them.

    Pipes, devices and folders are refused before they are opened: reading one could block or never end.

    Raises:
        OSError: The file cannot be read, is not a regular file, or is too large. ``strerror`` says which.
    """
    path = Path(path)
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if status.st_size <= limit:
        most = min(limit, max(status.st_size, 2**20))  # read() allocates this much
        with path.open("rb") as file:
            data = file.read(most + 1)
        if len(data) <= most:
            return data
    raise OSError(errno.EFBIG, f"it has more than the {limit:,} bytes allowed", str(path))


def parse(text: str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: It is not valid, holds NaN or an infinity, nests too deep, or names a field twice.
    """
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return value
    raise ValueError("it nests too deep")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"field {shown(name)} occurs twice")
        values[name] = value
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def parse_json(text: str | bytes, *, what: str, error: type[ActivityNetError] = WeightsError) -> Any:
    """Parse JSON as `parse` does; errors are of the class ``error``, and name the file by ``what``."""
    try:
        return parse(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except UnicodeDecodeError as fault:
        raise error(f"{what} is not UTF-8 text.") from fault
    except ValueError as fault:
        raise error(f"{what} is not valid JSON: {clipped(fault)}.") from fault


def read_record(
    source: object,
    kind: type[_Record],
    *,
    what: str,
    error: type[ActivityNetError] = WeightsError,
    version: str | None = None,
    complete: bool = False,
) -> _Record:
    """Make a record from JSON or from plain values. Fields that are left out keep their defaults.

    Args:
        source: JSON as `str` or `bytes`, or values parsed from JSON or TOML.
        kind: A dataclass. See the top of this module.
        what: The record's name in errors, such as ``"card 'x/config.json'"``.
        error: The class of the errors.
        version: Name of a required field that must hold its default. It is checked first, because other
            versions have other fields.
        complete: Refuse a record that leaves out a field.

    Raises:
        ActivityNetError: Of the class ``error``. One line names the record, the dotted field, its value and
            the values allowed.
    """
    value = parse_json(source, what=what, error=error) if isinstance(source, str | bytes) else source
    try:
        if version is not None and isinstance(value, Mapping):
            _check_version(value, kind, version)
        made: _Record = _converted(value, kind, "", complete)
    except _FaultError as fault:
        raise error(f"{what}{fault}") from fault.__cause__
    return made


def _check_version(value: Mapping[str, Any], kind: Any, version: str) -> None:
    expected = next(field.default for field in dataclasses.fields(kind) if field.name == version)
    found = value.get(version)
    if type(found) is not type(expected) or found != expected:
        rule = f"must be {expected}; update activitynet to read others"
        raise _FaultError(f": field {version!r} {rule}, got {shown(found)}.")


def check_record(record: Any, error: type[ActivityNetError]) -> None:
    """Hold a frozen dataclass to its annotations. Call it first in ``__post_init__``.

    Values are stored as annotated: lists become tuples, and whole numbers become floats.

    Raises:
        ActivityNetError: Of the class ``error``, in one line.
    """
    kind: Any = type(record)
    for name, hint in _hints(kind).items():
        value = getattr(record, name)
        try:
            made = _converted(value, hint, name)
        except _FaultError as fault:
            raise error(f"{kind.__name__}{fault}") from fault.__cause__
        if made is not value:
            object.__setattr__(record, name, made)


def to_plain(record: Any) -> dict[str, Any]:
    """Return a record as plain JSON values; tuples become lists. `read_record` reads them back."""
    plain: dict[str, Any] = _plain(dataclasses.asdict(record))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


class _FaultError(Exception):
    """What is wrong with a record: the rest of a sentence that begins with its name."""


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Return the annotations of a dataclass's fields, resolved."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _converted(value: Any, hint: Any, path: str, complete: bool = False) -> Any:
    """Convert a plain value to its annotated type. msgspec checks all but the names of fields."""
    base, _ = _split(hint)
    if isinstance(base, type) and dataclasses.is_dataclass(base):
        return value if isinstance(value, base) else _record(value, base, path, complete)
    if value is not None:
        value = _items(value, base, path, complete)
    try:
        made = msgspec.convert(value, hint, strict=True)
    except (msgspec.ValidationError, UnicodeError) as error:  # the latter for half of a surrogate pair
        raise _refusal(value, hint, path) from error
    if isinstance(made, float) and not math.isfinite(made):
        raise _refusal(value, hint, path)
    return made


def _record(value: Any, kind: type, path: str, complete: bool) -> Any:
    if not isinstance(value, Mapping):
        raise _FaultError(f"{_at(path)} must be a table of fields, got {shown(value)}.")
    hints, prefix = _hints(kind), f"{path}." if path else ""
    for name in value:
        if name not in hints:
            hint = did_you_mean(str(name), hints)
            raise _FaultError(f" has no field '{clipped(prefix + str(name), 100)}'.{hint}")
    for field in dataclasses.fields(kind):
        needed = complete or field.default is field.default_factory is dataclasses.MISSING
        if needed and field.name not in value:
            raise _FaultError(f" lacks its field {prefix + field.name!r}.")
    made = {name: _converted(inner, hints[name], prefix + name, complete) for name, inner in value.items()}
    try:
        return kind(**made)
    except ActivityNetError as error:  # from a rule about several fields
        text = str(error).removeprefix(f"{kind.__name__}: ")
        raise _FaultError(f"{_at(path)}: {text}") from error


def _items(value: Any, base: Any, path: str, complete: bool) -> Any:
    """Convert the items of a list or a mapping one by one, so that an error names the item."""
    origin, inner = get_origin(base), get_args(base)
    if origin is tuple and isinstance(value, list | tuple):
        hints = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(hints) == len(value):
            return tuple(
                _converted(item, hint, f"{path}[{at}]", complete)
                for at, (item, hint) in enumerate(zip(value, hints, strict=True))
            )
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        for name in value:
            _converted(name, inner[0], f"{path}.{name}")
        return {name: _converted(item, inner[1], f"{path}.{name}", complete) for name, item in value.items()}
    elif origin in (Union, types.UnionType):  # a field that may be left empty
        (only, *others) = [part for part in inner if part is not type(None)]
        return value if others else _converted(value, only, path, complete)
    return value


def _split(hint: Any) -> tuple[Any, msgspec.Meta]:
    """Return an annotation's type and its limits."""
    if get_origin(hint) is not Annotated:
        return hint, msgspec.Meta()
    base, *metas = get_args(hint)
    return base, next((meta for meta in metas if isinstance(meta, msgspec.Meta)), msgspec.Meta())


def _at(path: str) -> str:
    return f": field '{clipped(path, 100)}'" if path else ""


def _refusal(value: Any, hint: Any, path: str) -> _FaultError:
    base, _ = _split(hint)
    close = did_you_mean(str(value), get_args(base)) if get_origin(base) is Literal else ""
    return _FaultError(f"{_at(path)} must be {_allowed(hint)}, got {shown(value)}.{close}")


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _allowed(hint: Any) -> str:
    """Say what an annotation allows, in words."""
    base, meta = _split(hint)
    origin, inner = get_origin(base), get_args(base)
    if meta.description:
        return meta.description
    if origin is Literal:
        return f"{'one of ' if len(inner) > 1 else ''}{', '.join(map(str, inner))}"
    if origin in (Union, types.UnionType):
        return " or ".join("empty" if part is type(None) else _allowed(part) for part in inner)
    if origin is tuple:
        kind, count = "a list", "" if inner[-1] is Ellipsis else f" of {len(inner)}"
    else:
        kind, count = "a table of fields" if origin in (dict, Mapping) else _KINDS.get(base, str(base)), ""
    return kind + count + _range(meta)


def _range(meta: msgspec.Meta) -> str:
    words = {"of at least": meta.ge, "above": meta.gt, "of at most": meta.le, "below": meta.lt}
    found = [f"{word} {bound}" for word, bound in words.items() if bound is not None]
    if meta.ge is not None and meta.le is not None:
        found = [f"from {meta.ge} to {meta.le}"]
    if meta.min_length is not None or meta.max_length is not None:
        ends = (meta.min_length or 0, "any" if meta.max_length is None else meta.max_length)
        found.append(f"of length {ends[0]} to {ends[1]}")
    return f" {' and '.join(found)}" if found else ""
