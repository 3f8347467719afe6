"""A network on the meta device: made without memory and in bounded time, from an untrusted description.

A card of a hundred bytes can ask for a network of a million blocks, or for tables that fill the memory. Its
tensors cannot be of such a network, so it is refused before anything is allocated.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from activitynet.errors import WeightsError, shown

MAX_ARGUMENT = 2**16
"""Largest number that an argument of an untrusted architecture may be or hold."""

MAX_TABLES = 2**28
"""Most bytes of buffers that are not in a network's state, such as attention masks."""

_MODULES = 20, 2_000  # allowed for each tensor, and besides; most networks have one or two a tensor


def sketch(make: Callable[[], nn.Module], tensors: int) -> nn.Module:
    """Make a network on the meta device, with a bounded number of modules.

    Args:
        make: Makes the network.
        tensors: How many tensors its file holds; the bound follows from it.

    Raises:
        WeightsError: It has far more modules than so many tensors can fill, or buffers outside its state that
            take too much memory.
        Exception: What ``make`` raises.
    """
    with torch.device("meta"), _at_most(_MODULES[0] * tensors + _MODULES[1]):
        model = make()
    saved = model.state_dict()
    tables = sum(buffer.nbytes for name, buffer in model.named_buffers() if name not in saved)
    if tables > MAX_TABLES:
        raise WeightsError(
            f"it would take {tables >> 20} MiB besides its tensors, and at most {MAX_TABLES >> 20} are given."
        )
    return model


def check_arguments(arguments: Any) -> None:
    """Refuse arguments that are too large for any architecture.

    Raises:
        WeightsError: There is one.
    """
    if isinstance(arguments, Mapping):
        arguments = list(arguments.values())
    if isinstance(arguments, list):
        for argument in arguments:
            check_arguments(argument)
    elif isinstance(arguments, int | float) and abs(arguments) > MAX_ARGUMENT:
        raise WeightsError(f"its arguments hold {shown(arguments)}, and none may be above {MAX_ARGUMENT}.")


@contextlib.contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Refuse a network made by this thread once it has more than ``count`` modules."""
    thread, left = threading.get_ident(), count

    def registered(*_: object) -> None:
        nonlocal left
        left -= threading.get_ident() == thread
        if left < 0:
            raise WeightsError("it has far more layers than its tensors could be of")

    handle = register_module_module_registration_hook(registered)
    try:
        yield
    finally:
        handle.remove()
