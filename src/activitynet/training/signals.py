"""Ctrl-C and SIGTERM: a run finishes its step, saves, and ends; it is not torn from one."""

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
    """A run was asked to stop, and did.

    Attributes:
        signum: The signal: ``signal.SIGINT`` or ``signal.SIGTERM``.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum


class StopSignals:
    """While it is entered, SIGINT and SIGTERM are noted, for the loop to act on when it is safe.

    A second one of them ends the process as it would without this. Where handlers cannot be set (outside the
    main thread) nothing changes.

    Attributes:
        received: The signal that came, or `None`.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._pid = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before.clear()

    def _note(self, signum: int, _: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a process that loads photos has inherited this handler
            if signum == signal.SIGTERM:
                signal.signal(signum, signal.SIG_DFL)
                os.kill(os.getpid(), signum)
            return
        if self.received is not None:
            self.__exit__()
            raise Interrupted("stopped at once, without saving.", signum)
        self.received = signum
        outer = getattr(self._before.get(signum), "__self__", None)
        if isinstance(outer, StopSignals):  # what comes after this run is not begun
            outer.received = signum

    def raise_if_received(self, device: torch.device | None = None) -> None:
        """Raise `Interrupted` if a signal came; with a device, to any process of the run."""
        signum = self.received
        if device is not None:  # one that comes while they agree is for the next time
            signum = distributed.all_reduce_max(signum or 0, device) or None
        if signum is not None:
            self.received = signum
            raise Interrupted(f"stopped by {signal.Signals(signum).name}.", signum)

    @contextlib.contextmanager
    def between_batches_of(self, model: nn.Module) -> Iterator[None]:
        """Within this, a signal raises before the model's next forward pass.

        Not from the handler itself: a raise in the midst of starting or ending worker processes leaves
        them in disorder. Among several processes none may leave the others waiting, so there it waits too.
        """
        if distributed.world_size() > 1:
            yield
            return
        hook = model.register_forward_pre_hook(lambda *_: self.raise_if_received())
        try:
            yield
        finally:
            hook.remove()
