"""Packages that only exporting and engines need."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from activitynet.errors import ModelError

#: Extra of this package that brings each of them.
_EXTRAS = {"onnx": "export", "onnxscript": "export", "onnxruntime": "export", "openvino": "openvino"}


def installed(*names: str) -> bool:
    """Return whether packages are all there, without importing them."""
    return all(importlib.util.find_spec(name) is not None for name in names)


def need(name: str) -> ModuleType:
    """Import a package.

    Raises:
        ModelError: It is not installed; the message has the command.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ModelError(f"this needs {package}: pip install 'activitynet[{_EXTRAS[package]}]'.") from error
