"""The `activitynet` command: options in, the library's answers out."""

from activitynet.cli.app import main

__all__ = ["main"]
