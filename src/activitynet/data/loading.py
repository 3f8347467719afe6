"""Batches from processes that load photos, and their faults in one line."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

from activitynet.errors import DataError, ImageError

_Batch = TypeVar("_Batch")


def batches_of(loader: Iterable[_Batch]) -> Iterator[_Batch]:
    """Yield what a loader yields.

    Raises:
        ImageError: A photo can no longer be read.
        DataError: A process that loads photos has died.
    """
    with _same_sigchld():
        batches = iter(loader)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except ImageError as error:
            # From a worker it comes with that worker's traceback; its last line is the error's own.
            raise ImageError(str(error).strip().splitlines()[-1].split("ImageError: ")[-1]) from error
        except (RuntimeError, ConnectionError, EOFError, FileNotFoundError) as error:
            # The loader says so, or the socket fails over which tensors come. Photos raise none of these.
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            raise DataError(
                f"a process that loads photos has died ({error}). It is killed so when memory runs out: "
                "use fewer workers or smaller batches."
            ) from error
        yield batch


@contextlib.contextmanager
def _same_sigchld() -> Iterator[None]:
    """Undo what torch does to SIGCHLD when a loader first starts workers.

    Its handler raises wherever the main thread happens to be: in the midst of an update, or after the
    loader's end. Without it the loader says that a worker has died when it is next asked for a batch.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGCHLD) is not before:
            signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)
