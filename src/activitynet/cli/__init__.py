"""The `activitynet` command: options in, the library's answers out."""

from activitynet.cli.main import main

__all__ = ["main"]
