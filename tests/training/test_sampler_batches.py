from __future__ import annotations

import pytest
import torch

from activitynet.errors import TrainingError
from activitynet.runtime import distributed
from activitynet.training import Recipe
from activitynet.training.sampler import EpochBatches, read_steps

LABELS = [index % 3 for index in range(50)]


def dealt(monkeypatch: pytest.MonkeyPatch, rank: int, count: int, **changes: object) -> EpochBatches:
    monkeypatch.setattr(distributed, "rank", lambda: rank)
    monkeypatch.setattr(distributed, "world_size", lambda: count)
    return EpochBatches(LABELS, Recipe(batch_size=12).override(changes), seed=3)


@pytest.mark.parametrize(("count", "grad_accum_steps"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 2)])
def test_the_photos_of_a_step_do_not_depend_on_who_shares_them(
    monkeypatch: pytest.MonkeyPatch, count: int, grad_accum_steps: int
) -> None:
    alone = list(dealt(monkeypatch, 0, 1))
    shares = [
        list(dealt(monkeypatch, rank, count, grad_accum_steps=grad_accum_steps)) for rank in range(count)
    ]
    for step, photos in enumerate(alone):
        first = step * grad_accum_steps
        parts = [share[first + part] for part in range(grad_accum_steps) for share in shares]
        assert [photo for part in parts for photo in part] == photos


@pytest.mark.parametrize("done", [0, 1, 4])
def test_an_epoch_goes_on_where_it_was_left(monkeypatch: pytest.MonkeyPatch, done: int) -> None:
    batches = dealt(monkeypatch, 0, 1, grad_accum_steps=2)
    batches.begin(epoch=5, done=0)
    whole = list(batches)
    batches.begin(epoch=5, done=done)
    assert list(batches) == whole[2 * done :]
    assert len(batches) == len(whole) - 2 * done == 2 * (batches.steps - done)
    batches.begin(epoch=6, done=0)
    assert list(batches) != whole


def test_batches_that_cannot_be_dealt_out_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match=r"a batch of 12 .* a multiple of 10"):
        dealt(monkeypatch, 0, 2, grad_accum_steps=5)
    with pytest.raises(TrainingError, match="50 photos are too few"):
        dealt(monkeypatch, 0, 1, grad_accum_steps=60, batch_size=60)
    few = dealt(monkeypatch, 0, 2, grad_accum_steps=2, batch_size=400)
    assert (few.batch_size, few.steps) == (48, 1)


def test_parts_are_gathered_to_steps() -> None:
    parts = [(torch.tensor(index),) for index in range(6)]
    assert [[int(part[0]) for part in step] for step in read_steps(iter(parts), 2)] == [
        [0, 1],
        [2, 3],
        [4, 5],
    ]
