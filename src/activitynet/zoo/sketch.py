"""Make a network on the meta device from an untrusted description, without memory and in bounded time.

A card of a hundred bytes can describe a network of a million blocks, or buffers that fill the memory. Its
tensors cannot fit such a network, so it is refused before anything is allocated.
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
"""Largest number allowed in the arguments of an untrusted architecture."""

MAX_TABLES = 2**28
"""Most bytes of buffers outside a network's state dict, such as attention masks."""

_MODULES = (
    20,
    2_000,
)  # modules allowed per tensor (most networks have one or two), and in addition


def sketch(make: Callable[[], nn.Module], tensors: int) -> nn.Module:
    """Make a network on the meta device, with a bounded number of modules.

    Args:
        make: Makes the network.
        tensors: Number of tensors in its file, which sets the bound.

    Raises:
        WeightsError: It has far more modules than tensors, or too large buffers outside the state dict.
        Exception: What ``make`` raises.
    """
    with torch.device("meta"), _at_most(_MODULES[0] * tensors + _MODULES[1]):
        model = make()
    saved = model.state_dict()
    tables = sum(buffer.nbytes for name, buffer in model.named_buffers() if name not in saved)
    if tables > MAX_TABLES:
        raise WeightsError(
            f"its buffers take {tables >> 20} MiB besides its tensors; the limit is {MAX_TABLES >> 20} MiB."
        )
    return model


def check_arguments(arguments: Any) -> None:
    """Refuse arguments with numbers too large for any architecture.

    Raises:
        WeightsError: A number is above `MAX_ARGUMENT`.
    """
    if isinstance(arguments, Mapping):
        arguments = list(arguments.values())
    if isinstance(arguments, list):
        for argument in arguments:
            check_arguments(argument)
    elif isinstance(arguments, int | float) and abs(arguments) > MAX_ARGUMENT:
        raise WeightsError(
            f"its arguments hold {shown(arguments)}; the largest number allowed is {MAX_ARGUMENT}."
        )


@contextlib.contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Refuse a network made by this thread once it has more than ``count`` modules."""
    thread, left = threading.get_ident(), count

    def registered(*_: object) -> None:
        nonlocal left
        left -= threading.get_ident() == thread
        if left < 0:
            raise WeightsError("it has far more layers than tensors")

    handle = register_module_module_registration_hook(registered)
    try:
        yield
    finally:
        handle.remove()
