from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset
from torch.utils.data._utils import signal_handling

from activitynet.data.loader import PhotoLoader
from activitynet.errors import DataError, ImageError


class Numbers(Dataset[torch.Tensor]):
    """Tensors, of which one is not to be had."""

    def __init__(self, fault: Any) -> None:
        self.fault = fault

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 5:
            self.fault()
        return torch.tensor(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_come_through(workers: int) -> None:
    loader = PhotoLoader(Numbers(lambda: None), batch_size=4, num_workers=workers)
    assert [batch.tolist() for batch in loader] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(loader) == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_cannot_be_read_is_one_line_and_the_same_everywhere(workers: int) -> None:
    def fault() -> None:
        raise ImageError("cannot read photo 'a.jpg': gone.")

    loader = PhotoLoader(Numbers(fault), num_workers=workers, persistent_workers=workers > 0)
    for _ in range(2):
        with pytest.raises(ImageError, match=r"^cannot read photo 'a\.jpg': gone\.$"):
            list(loader)


@pytest.mark.parametrize("kind", [RuntimeError, OSError, ValueError])
def test_other_faults_keep_their_kind_and_traceback(kind: type[Exception]) -> None:
    def fault() -> None:
        raise kind("a fault of the data set")

    with pytest.raises(kind, match="fault of the data set"):
        list(PhotoLoader(Numbers(fault), num_workers=1))


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def touch_lost_memory() -> None:
    os.kill(os.getpid(), signal.SIGBUS)


def end_this_process() -> None:
    os._exit(3)


def error_when_a_worker_dies(fault: Callable[[], None]) -> str:
    with pytest.raises(DataError) as caught:
        list(PhotoLoader(Numbers(fault), num_workers=1))
    return str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="kills a worker")
@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (kill_this_process, "it was killed, as when memory runs out. Use fewer workers"),
        pytest.param(touch_lost_memory, "shared memory is full.*--workers 0", marks=pytest.mark.slow),
        pytest.param(end_this_process, ".*code was 3.*if __name__ == '__main__'", marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_dies_is_one_line_with_the_likely_cause(fault: Callable[[], None], advice: str) -> None:
    # Apart from the other tests, for torch tells of the death again where it next looks at its workers.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        message = process.submit(error_when_a_worker_dies, fault).result()
    assert re.search(rf"^a process that loads photos has died: {advice}", message)
    assert "\n" not in message


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="no such signal here")
def test_what_happens_at_sigchld_stays_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)  # as in a process without loaders yet
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        handler = signal.getsignal(signal.SIGCHLD)
        batches = iter(PhotoLoader(Numbers(None), num_workers=1))
        next(batches)
        assert signal_handling._SIGCHLD_handler_set
        assert signal.getsignal(signal.SIGCHLD) is handler
    finally:
        signal.signal(signal.SIGCHLD, before)
