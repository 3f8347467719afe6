from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils import signal_handling

from activitynet.data.dataset import batches_of, worker_died_message
from activitynet.errors import DataError, ImageError


def broken(error: Exception) -> Iterator[int]:
    yield 1
    raise error


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


def test_what_a_loader_yields_comes_through() -> None:
    assert list(batches_of(range(3))) == [0, 1, 2]


def test_a_photo_that_a_worker_cannot_read_is_one_line() -> None:
    def fault() -> None:
        raise ImageError("cannot read photo 'a.jpg': gone.")

    with pytest.raises(ImageError, match=r"^cannot read photo 'a\.jpg': gone\.$"):
        list(batches_of(DataLoader(Numbers(fault), num_workers=1)))


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def error_when_a_worker_dies() -> str:
    with pytest.raises(DataError) as caught:
        list(batches_of(DataLoader(Numbers(kill_this_process), num_workers=1)))
    return str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="kills a worker")
def test_a_worker_that_dies_is_named() -> None:
    # Apart from the other tests, for torch tells of the death again where it next looks at its workers.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        said = process.submit(error_when_a_worker_dies).result()
    assert re.search(r"a process that loads photos has died .* fewer workers", said)
    assert "\n" not in said


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="no such signal here")
def test_what_happens_at_sigchld_stays_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)  # as in a process without loaders yet
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        handler = signal.getsignal(signal.SIGCHLD)
        batches = batches_of(DataLoader(Numbers(None), num_workers=1))
        next(batches)
        assert signal_handling._SIGCHLD_handler_set
        assert signal.getsignal(signal.SIGCHLD) is handler
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "reset"), EOFError("end"), FileNotFoundError(2, "no socket")]
)
def test_so_is_one_whose_socket_fails_first(error: Exception) -> None:
    with pytest.raises(DataError, match=rf"has died \({re.escape(str(error))}\)"):
        list(batches_of(broken(error)))


def test_other_faults_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="other"):
        list(batches_of(broken(RuntimeError("other"))))


@pytest.mark.parametrize(
    ("method", "error", "says"),
    [
        ("spawn", "DataLoader worker (pid(s) 7) exited unexpectedly", "if __name__ == '__main__':"),
        ("fork", "DataLoader worker (pid(s) 7) exited unexpectedly", "memory runs out"),
        ("spawn", "DataLoader worker (pid 7) is killed by signal: Killed.", "memory runs out"),
        ("fork", "DataLoader worker (pid 7) is killed by signal: Bus error.", "workers=0"),
    ],
)
def test_the_remedy_for_a_dead_process_fits(
    method: str, error: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiprocessing.get_start_method", lambda **_: method)
    assert says in worker_died_message(RuntimeError(error))
