"""The torch data set of labelled photos, and a loader with clear errors."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from PIL import Image
from torch.utils.data import DataLoader, Dataset, default_collate

from activitynet.data.dataset import Photo
from activitynet.data.decode import decode_image
from activitynet.errors import DataError, ImageError


class PhotoDataset(Dataset[tuple[Any, int, int]]):
    """Labelled photos as tensors, for evaluation. `AugmentedPhotos` is for training.

    An item is ``(image, label, index)``.

    Args:
        photos: The photos, in the order of their indices.
        transform: Turns a PIL image of mode RGB into a tensor, or into several.
    """

    def __init__(self, photos: Sequence[Photo], transform: Callable[[Image.Image], Any]) -> None:
        self.photos = tuple(photos)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Any, int, int]:
        """Return the image, its label and its index.

        Raises:
            ImageError: The photo cannot be read.
        """
        photo = self.photos[index]
        return self.transform(decode_image(photo.path)), photo.label, index


class PhotoLoader:
    """A `DataLoader` whose failures are one clear line.

    A photo that a worker process cannot read raises the same `ImageError` as in this process. A worker that
    dies is reported with the likely cause.

    Args:
        dataset: A data set whose items may raise `ImageError`.
        collate_fn: See `DataLoader`.
        options: The other options of `DataLoader`.
    """

    def __init__(
        self, dataset: Dataset[Any], *, collate_fn: Callable[[Any], Any] = default_collate, **options: Any
    ) -> None:
        self._loader: DataLoader[Any] = DataLoader(
            _ErrorsAsItems(dataset), collate_fn=_ErrorsAsBatches(collate_fn), **options
        )
        self._workers: list[BaseProcess] = []

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches.

        Raises:
            ImageError: A photo can no longer be read.
            DataError: A worker process has died.
        """
        others = multiprocessing.active_children()
        with _same_sigchld():
            batches = iter(self._loader)
        started = [process for process in multiprocessing.active_children() if process not in others]
        self._workers = started or self._workers  # persistent workers start once
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:  # OSError: of the socket that tensors come by
                if (code := _exit_code(self._workers)) is None:
                    raise
                raise DataError(f"a process that loads photos has died: {_cause(code)}") from error
            if isinstance(batch, ImageError):
                raise batch
            yield batch


class _ErrorsAsItems(Dataset[Any]):
    """A data set that returns an `ImageError`: raised in a worker process, it would be wrapped."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        try:
            return self._dataset[index]
        except ImageError as error:
            return error


class _ErrorsAsBatches:
    """Collates items, or returns the first error among them."""

    def __init__(self, collate_fn: Callable[[Any], Any]) -> None:
        self._collate_fn = collate_fn

    def __call__(self, items: Sequence[Any]) -> Any:
        error = next((item for item in items if isinstance(item, ImageError)), None)
        return self._collate_fn(items) if error is None else error


def _exit_code(processes: Sequence[BaseProcess]) -> int | None:
    """Return the exit code of a process that has ended, or `None` if all are alive."""
    ended = wait([process.sentinel for process in processes], timeout=1) if processes else []
    for process in processes:
        if process.sentinel in ended:
            process.join(1)
            return process.exitcode
    return None


def _cause(exit_code: int) -> str:
    if exit_code == -getattr(signal, "SIGKILL", 0):
        return "it was killed, as when memory runs out. Use fewer workers or smaller batches."
    if exit_code == -getattr(signal, "SIGBUS", 0):
        return (
            "shared memory is full. Load in this process (--workers 0, in Python workers=0), or make "
            "/dev/shm larger (docker run --shm-size)."
        )
    return (
        f"its exit code was {exit_code}. See what it printed; a script that uses workers must start under "
        f"`if __name__ == '__main__':`."
    )


@contextlib.contextmanager
def _same_sigchld() -> Iterator[None]:
    """Undo torch's change to SIGCHLD when a loader first starts workers.

    Torch's handler raises wherever the main thread is, even during an update or after the loader's end.
    Without it, the loader notices a dead worker at the next batch.
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
