"""The errors that activitynet raises: one small tree, each message naming the thing and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


class ActivityNetError(Exception):
    """Base of every error that is the input's fault or the machine's, not the library's."""


class ImageError(ActivityNetError):
    """A photo cannot be read: missing, truncated, not an image, or too large."""


class DataError(ActivityNetError):
    """A data set cannot be used: empty, one class only, unknown classes, bad photos."""


class ModelError(ActivityNetError):
    """A model cannot be made: unknown name, bad argument, a trunk that does not fit."""


class WeightsError(ActivityNetError):
    """A weights folder cannot be trusted: missing, corrupt, or not what its card says."""


class HubError(ActivityNetError):
    """The Hub cannot be reached, refuses, or has no such repository or file."""


class TrainingError(ActivityNetError):
    """A training run cannot start or go on."""


class NotFiniteError(TrainingError):
    """The loss or its gradient is not finite; the weights were not updated."""


class DemoError(ActivityNetError):
    """The demo's page cannot be served: a bad bound, a taken address, or packages that are missing."""


class StorageError(ActivityNetError):
    """A file or folder cannot be written: no permission, no space, something in the way."""


def clipped(text: object, longest: int = 300) -> str:
    """Return a text from an untrusted file, or what another library says of one, fit to stand in a message.

    It becomes one line; what cannot be printed is escaped; and of one that is too long, the middle is left
    out, since what is wrong comes first and what to do comes last.
    """
    whole = str(text)
    if len(whole) > longest:
        whole = f"{whole[: longest * 2 // 3]}…{whole[-(longest // 3) :]}"
    return printable(" ".join(whole.split()))


def printable(text: str) -> str:
    r"""Return text with everything that does not print as a backslash escape.

    A file's name may hold newlines, terminal commands or marks that turn the direction of writing; here
    they become ``\n``, ``\x1b`` or ``\u202e``.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def shown(value: object) -> str:
    """Return ``repr(value)`` of an untrusted value, `clipped` to what one looks at."""
    try:
        return clipped(repr(value), 80)
    except RecursionError:
        return f"a {type(value).__name__} of too many levels"


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest candidate, or ``""`` when none is close."""
    close = difflib.get_close_matches(name[:200], list(candidates), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def check_keywords(function: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse unknown keyword arguments as Python does, with a suggestion.

    Raises:
        TypeError: Naming the function, the argument and the closest one that exists.
    """
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}.{hint}")
