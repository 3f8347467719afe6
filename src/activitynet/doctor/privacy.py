"""What does not belong into a bug report, taken out of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from activitynet.errors import printable

HIDDEN = "(set, not shown)"

_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASS|KEY|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
_TOKENS = re.compile(r"\b(hf_|sk-|gh[a-z]_|github_pat_|xox[a-z]-)[A-Za-z0-9_-]{8,}")
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY_IN_URL = re.compile(r"(://[^\s?#]*)[?#]\S*")


def is_secret(name: str) -> bool:
    """Tell whether what an environment variable of this name holds is nobody's business."""
    return _SECRET_NAMES.search(name) is not None


def without_secrets(value: Any) -> Any:
    """Return a JSON value with its texts printable, without tokens, and with the home folder as ``~``."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(name): without_secrets(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_secrets(each) for each in value]
    return value


def _text(text: str) -> str:
    text = _TOKENS.sub(r"\1…", text)
    text = _USER_IN_URL.sub("…@", text)
    text = _QUERY_IN_URL.sub(r"\1?…", text)
    for home in _homes():
        text = re.sub(re.escape(home) + r"(?![\w.-])", "~", text)
    return printable(text)


def _homes() -> list[str]:
    """Return the home folder as it is written and as it is."""
    try:
        home = Path.home()
    except RuntimeError:  # none is known
        return []
    names = {str(home), os.path.realpath(home)} - {os.sep}
    return sorted(names, key=len, reverse=True)
