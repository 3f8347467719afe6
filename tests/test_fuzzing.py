"""Hostile files, in short: `benchmarks/fuzz.py` reads more of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzzing.parent import Fuzzer, scratch_folder
from fuzzing.planted import FAULTS
from fuzzing.targets import TARGETS, write_input

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and measures memory as Linux does")

INPUTS = 200


@pytest.fixture(scope="module")
def fuzzer() -> Iterator[Fuzzer]:
    with scratch_folder() as scratch, Fuzzer(Path(scratch)) as fuzzer:
        yield fuzzer


@pytest.mark.parametrize("target", TARGETS)
def test_hostile_files_are_read_or_refused_in_good_order(target: str, fuzzer: Fuzzer) -> None:
    count = INPUTS // 5 if target == "mat" else INPUTS  # which starts a process for each
    result = fuzzer.run(target, count, seed=2024)
    assert result.faults == {}
    assert result.counts.total() == count
    refused = count - result.counts["accepted"]
    assert min(refused, result.counts["accepted"]) > count // 50  # neither all sound nor all hopeless


def planted(number: int, folder: Path) -> str:
    return write_input("planted", 0, number, folder)[0].read_text()


def test_every_kind_of_fault_is_found(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    number_of = {planted(number, tmp_path / "input"): number for number in range(200)}
    assert number_of.keys() == FAULTS.keys()
    for kind, number in number_of.items():
        patience = 1.0 if kind == "hang" else 60.0
        with scratch_folder() as scratch, Fuzzer(Path(scratch), tmp_path, patience=patience) as fuzzer:
            result = fuzzer.run("planted", 1, first=number)
            assert list(result.faults) == ([number] if FAULTS[kind] else []), kind
            assert FAULTS[kind] in result.faults.get(number, ""), kind
            assert result.counts.total() == 1
            if FAULTS[kind]:
                kept = tmp_path / f"planted-0-{number}"
                assert (kept / "input" / "planted.txt").read_text() == kind
                assert FAULTS[kind] in (kept / "fault.txt").read_text()


def test_the_inputs_after_a_crash_are_read(tmp_path: Path) -> None:
    kinds = [planted(number, tmp_path) for number in range(1_000)]
    quick = {"sound", "refused", "warn", "unnamed", "untyped", "crash", "exit", "deep", "long"}
    first = next(n for n in range(990) if kinds[n + 2] == "crash" and quick.issuperset(kinds[n : n + 6]))
    with scratch_folder() as scratch, Fuzzer(Path(scratch)) as fuzzer:
        result = fuzzer.run("planted", 6, first=first)
    assert set(result.faults) == {first + n for n in range(6) if FAULTS[kinds[first + n]]}
    assert result.counts.total() == 6
    assert result.counts["failed"] == len(result.faults)
