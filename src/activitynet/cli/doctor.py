"""`activitynet doctor`: what a bug report has to say of the machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from activitynet.cli.options import print_json

_BROKEN = 1


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask whether the Hub can be reached.")
    ] = False,
) -> int:
    """Print the environment for a bug report, without secrets, and try what works."""
    from activitynet.doctor import diagnose  # noqa: PLC0415  --help needs none of it

    found = diagnose(offline=offline)
    if as_json:
        print_json(found.to_dict())
    else:
        print(found.to_text())
    for problem in found.problems:
        print(f"error: {problem}", file=sys.stderr)
    return _BROKEN if found.problems else 0
