"""A run that is killed again and again ends as one that never was."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from real_runs import (
    KillCounts,
    differences,
    finish,
    kill_and_resume,
    living,
    shared_reference,
    unfinished_files,
)

from activitynet.serialization.tensors import read_tensors, save_tensors
from activitynet.training.checkpoint import read_checkpoint, save_checkpoint

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes by their group")


@pytest.mark.slow
def test_killed_is_the_undisturbed_run_to_the_bit(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    reference = shared_reference(tmp_path_factory)
    run, chance, counts = tmp_path / "killed", random.Random(2), KillCounts()
    while counts.kills < 4 and not kill_and_resume(reference, run, chance, counts):
        pass
    finish(reference.data, run)
    assert counts.kills > 1
    assert differences(run, reference.run) == []
    assert unfinished_files(run) == set()
    assert living(counts.groups, patience=20) == []


@pytest.mark.slow
def test_the_comparison_sees_a_single_bit(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    import shutil

    reference = shared_reference(tmp_path_factory)
    run = tmp_path / "run"
    shutil.copytree(reference.run, run)
    assert differences(run, reference.run) == []

    def some(tensors: dict, prefix: str = "") -> str:
        return min(key for key in tensors if key.startswith(prefix) and tensors[key].is_floating_point())

    def nudge(tensors: dict, name: str) -> dict:
        changed = tensors[name].clone().contiguous()
        changed.view(-1)[0] = changed.view(-1)[0].nextafter(changed.new_tensor(9.0))
        return {**tensors, name: changed}

    tensors, state = read_checkpoint(run / "checkpoints" / "last")
    for prefix in ("model.", "optimizer.", "average."):
        name = some(tensors, prefix)
        save_checkpoint(run / "checkpoints" / "last", nudge(tensors, name), state)
        assert differences(run, reference.run) == [f"last: {name}"]
    save_checkpoint(run / "checkpoints" / "last", tensors, {**state, "step": 1})
    assert differences(run, reference.run) == [f"last: step 1 and {state['step']}"]
    save_checkpoint(run / "checkpoints" / "last", tensors, state)
    weights = run / "model" / "model.safetensors"
    tensors = read_tensors(weights)
    save_tensors(weights, nudge(tensors, some(tensors)))
    assert differences(run, reference.run) == [f"model: {some(tensors)}"]
