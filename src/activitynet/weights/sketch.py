"""A network as an untrusted card describes it, made without memory and in bounded time.

A card of a hundred bytes can ask for a network of a million blocks, or for one whose tables fill the memory.
Neither is in proportion to the tensors that came with it, and so neither is a model that they could be of.
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
"""Largest number that an argument of a card's architecture may be or hold."""

MAX_TABLES = 2**28
"""Most bytes of what a network keeps and its file does not hold, such as masks of attention."""

_MODULES = 20, 2_000  # that a network may have for each tensor, and besides: most have one or two


def sketch(make: Callable[[], nn.Module], tensors: int) -> nn.Module:
    """Make a network on the meta device, of no more modules than its tensors suggest.

    Args:
        make: Makes it.
        tensors: How many tensors it is to have, at most.

    Raises:
        WeightsError: It has far more modules than these tensors could be of, or what it keeps besides them
            would take far more memory than they do.
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
    """Refuse numbers that no architecture has as an argument.

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
    """Have a network that this thread makes refused as soon as it has more modules than this."""
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
