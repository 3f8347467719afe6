"""Ctrl-C and SIGTERM end a run in good order, and nothing it learned is lost."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from real_runs import (
    Child,
    Saves,
    apart,
    command,
    differences,
    finish,
    learn,
    living,
    shared_reference,
    wait_until,
    write_photos,
)

from activitynet.runtime import distributed
from activitynet.training import Event, Interrupted, RunFolder
from activitynet.training.checkpoint import read_checkpoint, saving_on_exit
from activitynet.training.signals import StopSignals

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals to process groups")

QUICK = {"epochs": 1, "batch_size": 8, "checkpoint.epochs": [1]}


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:  # gone in the meantime
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for workers in /proc")
def test_a_run_ends_as_asked_and_goes_on_to_the_same_bits(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    reference = shared_reference(tmp_path_factory)
    run = tmp_path / "run"

    def validates(child: Child) -> bool:  # its only workers before the first save
        return len(children(child.pid)) == 2

    def has_learned(saves: Saves) -> bool:
        return saves() >= 2

    for signum, send, in_validation in [
        (signal.SIGINT, os.killpg, True),  # as Ctrl-C does
        (signal.SIGTERM, os.kill, False),
        (signal.SIGINT, os.killpg, False),
        (signal.SIGTERM, os.killpg, False),  # as a service manager does
    ]:
        saves = Saves(run)
        with Child(command(reference.data, run)) as child:
            wait_until(lambda: validates(child) if in_validation else has_learned(saves), child)  # noqa: B023
            send(child.pid, signum)
            assert child.process.wait(timeout=240) == 128 + signum, child.said
            lines = child.said.splitlines()
            told = [line for line in lines if not line.startswith("run folder:") and " classes: " not in line]
            assert len(told) == 1, child.said
            assert signum.name in told[0]
            assert "checkpoints/last" in told[0]
            assert living([child.pid], patience=20) == []
        read_checkpoint(run / "checkpoints" / "last")
    finish(reference.data, run)
    assert differences(run, reference.run) == []


@dataclass(frozen=True)
class Ending:
    """How a run that was sent signals has ended."""

    said: str
    signum: int
    handlers_are_back: bool


def learn_until_signals(data: Path, run: Path | None, step: int, signums: Sequence[signal.Signals]) -> Ending:
    def send(event: Event) -> None:
        if event.kind == "step" and event.step == step:
            for signum in signums:
                os.kill(os.getpid(), signum)

    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt) as caught:
        learn(data, run, QUICK, callbacks=[send])
    assert isinstance(caught.value, Interrupted)
    after = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    return Ending(str(caught.value), caught.value.signum, after == handlers)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_step_is_finished_and_saved(tmp_path: Path, signum: signal.Signals) -> None:
    data, run = write_photos(tmp_path / "photos"), tmp_path / "run"
    end = apart(learn_until_signals, data, run, 3, [signum])
    assert re.search(f"{signum.name}.* step 3.*checkpoints/last", end.said)
    assert end.signum == signum
    assert end.handlers_are_back
    assert read_checkpoint(run / "checkpoints" / "last")[1]["step"] == 3
    learn(data, run, QUICK)
    learn(data, tmp_path / "whole", QUICK)
    assert differences(run, tmp_path / "whole") == []


def test_a_run_without_a_folder_says_that_nothing_is_saved(tmp_path: Path) -> None:
    said = apart(learn_until_signals, write_photos(tmp_path), None, 1, [signal.SIGTERM]).said
    assert "Nothing is saved" in said
    assert "\n" not in said


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    data, run = write_photos(tmp_path / "photos"), tmp_path / "run"
    apart(learn_until_signals, data, run, 2, [signal.SIGINT, signal.SIGINT])
    read_checkpoint(run / "checkpoints" / "last")  # the one before, or this one: whole in any case


def test_a_signal_that_comes_while_ranks_agree_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopSignals()

    def agree(value: int, _: torch.device) -> int:
        stop.received = signal.SIGTERM
        return value  # as the others know of it only when they agree the next time

    monkeypatch.setattr(distributed, "all_reduce_max", agree)
    stop.raise_if_received(torch.device("cpu"))  # this process alone must not leave
    with pytest.raises(Interrupted, match="SIGTERM"):
        stop.raise_if_received(torch.device("cpu"))


@pytest.mark.parametrize(
    ("whole", "told"), [(True, "The state is saved in"), (False, "The last saved state is in")]
)
def test_only_what_belongs_to_one_moment_is_saved_and_said_to_be(
    tmp_path: Path, whole: bool, told: str
) -> None:
    saved: list[RunFolder] = []
    state: Any = SimpleNamespace(is_consistent=whole, step=3, save=saved.append)
    run, stop = RunFolder(tmp_path), StopSignals()
    stop.received = signal.SIGTERM
    with (
        pytest.raises(Interrupted, match=rf"SIGTERM after step 3\. {told}"),
        saving_on_exit(state, run, stop),
    ):
        raise KeyboardInterrupt
    assert saved == ([run] if whole else [])
