"""Weights of machines without a network: a folder laid out like the Hub."""

from __future__ import annotations

import os
from pathlib import Path

from activitynet.errors import HubError
from activitynet.hub.reference import Reference

VARIABLE = "ACTIVITYNET_WEIGHTS"
"""The environment variable that names the folder."""


def in_mirror(reference: Reference, *, any_revision: bool = False) -> Path | None:
    """Find a repository's folder in the mirror that ``ACTIVITYNET_WEIGHTS`` names.

    It lies at ``org/name`` or ``name`` for the main branch, and at ``org/name@revision`` or
    ``name@revision`` for any other revision.

    Args:
        reference: The repository.
        any_revision: Take ``org/name`` for another revision as well, since its files' hashes are checked.

    Returns:
        The folder; `None` where the mirror lacks it, or there is no mirror.

    Raises:
        HubError: The variable names no folder.
    """
    root = os.environ.get(VARIABLE)
    if not root:
        return None
    if not Path(root).is_dir():
        raise HubError(f"{VARIABLE} is {root!r}, which is not a folder. Correct or unset it.")
    for folder in candidates(Path(root), reference, any_revision=any_revision):
        if folder.is_dir():
            return folder
    return None


def candidates(root: Path, reference: Reference, *, any_revision: bool) -> list[Path]:
    """Return where in a mirror a repository's folder may lie, the best place first."""
    names = (reference.repository, reference.repository.partition("/")[2])
    pinned = [root / f"{name}@{reference.revision}" for name in names]
    plain = [root / name for name in names]
    return pinned + plain if any_revision or reference.revision == "main" else pinned


def mirror_advice(reference: Reference) -> str:
    """Return a sentence on how to do without the network."""
    name = reference.repository if reference.revision == "main" else str(reference)
    root = os.environ.get(VARIABLE)
    if root:
        return f"{VARIABLE} ({root}) holds no folder {name} either."
    return f"Without a network, set {VARIABLE} to a folder that holds {name}/ with its files."
