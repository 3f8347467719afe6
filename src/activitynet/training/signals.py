"""Handling of Ctrl-C and SIGTERM: a run finishes its step, saves and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch
from torch import nn

from activitynet.runtime import distributed


class Interrupted(KeyboardInterrupt):
    """A signal stopped a run.

    Attributes:
        signum: The signal: ``signal.SIGINT`` or ``signal.SIGTERM``.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum


class StopSignals:
    """Context manager that records SIGINT and SIGTERM, so that the loop can stop at a safe point.

    A second signal stops the run at once. Outside the main thread, where handlers cannot be set, this does
    nothing.

    Attributes:
        received: The signal that was received, or `None`.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._pid = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._before[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before.clear()

    def _handle(self, signum: int, _: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a forked loading process inherits this handler
            if signum == signal.SIGTERM:
                signal.signal(signum, signal.SIG_DFL)
                os.kill(os.getpid(), signum)
            return
        if self.received is not None:
            self.__exit__()
            raise Interrupted("stopped at once, without saving.", signum)
        self.received = signum
        outer = getattr(self._before.get(signum), "__self__", None)
        if isinstance(outer, StopSignals):  # stop what surrounds this run as well
            outer.received = signum

    def raise_if_received(self, device: torch.device | None = None) -> None:
        """Raise `Interrupted` after a signal; with a device, after a signal to any process of the run."""
        signum = self.received
        if device is not None:  # a signal during the reduction is handled next time
            signum = distributed.all_reduce_max(signum or 0, device) or None
        if signum is not None:
            self.received = signum
            raise Interrupted(f"stopped by {signal.Signals(signum).name}.", signum)

    @contextlib.contextmanager
    def between_batches_of(self, model: nn.Module) -> Iterator[None]:
        """Raise `Interrupted` before the model's next forward pass after a signal.

        The handler itself must not raise: an exception while worker processes start or end leaves them in an
        invalid state. In a distributed run this does nothing, because the other processes would wait forever.
        """
        if distributed.world_size() > 1:
            yield
            return
        hook = model.register_forward_pre_hook(lambda *_: self.raise_if_received())
        try:
            yield
        finally:
            hook.remove()
