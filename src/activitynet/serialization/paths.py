"""Paths as users give them."""

from __future__ import annotations

import os
from pathlib import Path


def expand_user(path: str | os.PathLike[str]) -> str:
    """Return a path as text, with the user's home folder in place of a leading ``~``.

    Use it where the text may also be a URL or a pattern, and `user_path` everywhere else.
    """
    return os.path.expanduser(os.fspath(path))  # noqa: PTH111 - Path would change URLs


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path with the user's home folder in place of a leading ``~``.

    Every function that takes a file or folder from a user calls it, once, on entry. Shells expand ``~`` only
    at the start of a word: not in ``--run=~/runs``, nor in a recipe or a notebook.
    """
    return Path(expand_user(path))
