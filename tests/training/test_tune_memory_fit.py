from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from activitynet import create_model
from activitynet.errors import TrainingError
from activitynet.runtime import distributed
from activitynet.training import tune
from activitynet.training.optim import freeze
from activitynet.training.recipe import Recipe
from activitynet.training.tune import (
    SAFETY,
    _live_bytes,
    _standing_bytes,
    auto_grad_accum_steps,
    free_memory,
    largest_micro_batch,
)

NAMES = ["test_efficientnet_se", "test_resnet_se"]
SIZE = (64, 64)
MIB = 1 << 20


def make_model(name: str = NAMES[0]) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, num_classes=3)


def limit_for(model: nn.Module, images: int, *, grad_checkpointing: bool = False) -> int:
    """Return the least limit under which so many images fit, by counting a pass over all of them."""
    live = _live_bytes(model, SIZE, images, grad_checkpointing=grad_checkpointing, bf16=False)
    return int((live.max().item() + _standing_bytes(model)) * SAFETY["cpu"]) + 64


def saved_bytes(model: nn.Module, images: int) -> int:
    """Add up what a forward pass keeps for the way back, each storage once, parameters not."""
    storages = {p.untyped_storage().data_ptr(): 0 for p in [*model.parameters(), *model.buffers()]}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storages.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = F.cross_entropy(model.train()(torch.zeros(images, 3, *SIZE)), torch.zeros(images).long())
    total = sum(storages.values())
    del loss
    return total


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("images", [5, 40])
def test_the_estimate_brackets_what_is_kept_for_the_way_back(name: str, images: int) -> None:
    measured = saved_bytes(make_model(name), images)
    standing = _standing_bytes(make_model(name))
    for share, fits in ((0.9, False), (2.2, True)):
        limit = int((standing + share * measured) * SAFETY["cpu"])
        assert (largest_micro_batch(make_model(name), SIZE, limit=limit) >= images) == fits


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_peak_of_a_bigger_pass_is_told_from_two_small_ones(checkpointing: bool) -> None:
    model = make_model()
    limit = limit_for(model, 11, grad_checkpointing=checkpointing)
    assert largest_micro_batch(model, SIZE, limit=limit, grad_checkpointing=checkpointing) == 11
    assert largest_micro_batch(model, SIZE, limit=limit - 128, grad_checkpointing=checkpointing) == 10


def test_more_memory_takes_more_images() -> None:
    model = make_model()
    sizes = [largest_micro_batch(model, SIZE, limit=limit * MIB) for limit in (0, 2, 8, 32, 128, 512)]
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    assert 3 < sizes[-1] / sizes[-2] < 5


def test_what_saves_memory_lets_more_fit() -> None:
    model, limit = make_model(), 100 * MIB
    plain = largest_micro_batch(model, SIZE, limit=limit)
    assert largest_micro_batch(model, SIZE, limit=limit, grad_checkpointing=True) > plain
    assert largest_micro_batch(model, SIZE, limit=limit, bf16=True) > plain
    assert largest_micro_batch(model, (32, 32), limit=limit) > 2 * plain
    freeze(model, 0.7)
    assert largest_micro_batch(model, SIZE, limit=limit) > plain


def test_the_model_and_the_callers_randomness_stay_as_they_were() -> None:
    model = make_model().train()
    model.get_classifier().weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    auto_grad_accum_steps(
        model, SIZE, Recipe(batch_size=8, freeze=0.5, grad_checkpointing=True), limit=500 * MIB
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["classifier.weight"]
    assert model.training
    assert not model.grad_checkpointing
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize(
    ("most", "alone", "in_two"),
    [(99, 1, 1), (24, 1, 1), (23, 2, 1), (12, 2, 1), (11, 3, 2), (7, 4, 2), (5, 6, 3), (1, 24, 12)],
)
def test_a_batch_is_dealt_out_in_the_fewest_parts_that_fit(
    most: int, alone: int, in_two: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "largest_micro_batch", lambda *_, **__: most)
    assert auto_grad_accum_steps(make_model(), SIZE, Recipe(batch_size=24)) == alone
    monkeypatch.setattr(distributed, "world_size", lambda: 2)  # each process computes twelve
    assert auto_grad_accum_steps(make_model(), SIZE, Recipe(batch_size=24)) == in_two


def test_what_the_recipe_does_is_what_has_to_fit() -> None:
    model, recipe = make_model(), Recipe(batch_size=24, precision="fp32")
    limit = limit_for(model, 24)
    assert auto_grad_accum_steps(model, SIZE, recipe, limit=limit) == 1
    assert auto_grad_accum_steps(model, SIZE, recipe, limit=limit - 128) == 2
    assert (
        auto_grad_accum_steps(model, SIZE, recipe.override(grad_checkpointing=True), limit=limit - 128) == 1
    )
    assert auto_grad_accum_steps(model, SIZE, recipe.override(freeze=0.7), limit=limit - 128) == 1
    large = auto_grad_accum_steps(model, SIZE, recipe.override(resolution=2.0), limit=limit)
    growing = recipe.override(resolution=2.0, resolution_start=0.5)
    assert auto_grad_accum_steps(model, SIZE, growing, limit=limit) == large > 2


def test_too_little_memory_for_one_image_is_said_so() -> None:
    with pytest.raises(TrainingError, match="not even one image of 64 x 64 pixels"):
        auto_grad_accum_steps(make_model(), SIZE, Recipe(), limit=MIB)


def test_a_model_without_checkpointing_is_named() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 3))
    assert largest_micro_batch(model, SIZE, limit=100 * MIB) > 100
    with pytest.raises(TrainingError, match="Sequential does not support gradient checkpointing"):
        largest_micro_batch(model, SIZE, limit=100 * MIB, grad_checkpointing=True)


def linux(root: Path, available: int, groups: str) -> Path:
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:    {available} kB\n")
    (root / "proc" / "self" / "cgroup").write_text(groups)
    return root


def group(folder: Path, facts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in facts.items():
        (folder / name).write_text(text + "\n")


@pytest.mark.parametrize("outer", ["max", "5000"])
def test_free_memory_heeds_control_groups_of_version_2(tmp_path: Path, outer: str) -> None:
    root = linux(tmp_path, 1000, "0::/jobs/mine\n")
    assert free_memory(torch.device("cpu"), system=root) == 1000 * 1024
    stat = "anon 1\ninactive_file 300"
    inner = {"memory.max": "9000", "memory.current": "2000", "memory.stat": stat}
    group(root / "sys/fs/cgroup/jobs/mine", inner)
    group(root / "sys/fs/cgroup/jobs", inner | {"memory.max": outer})
    assert free_memory(torch.device("cpu"), system=root) == (7300 if outer == "max" else 3300)


def test_free_memory_heeds_control_groups_of_version_1(tmp_path: Path) -> None:
    root = linux(tmp_path, 1000, "5:cpu:/a\n4:hugetlb,memory:/outside/of/view\n0::/\n")
    limits = {"memory.limit_in_bytes": "9000", "memory.usage_in_bytes": "8000"}
    group(root / "sys/fs/cgroup/memory", limits | {"memory.stat": "total_inactive_file 500"})
    assert free_memory(torch.device("cpu"), system=root) == 1500


def test_free_memory_of_this_machine_or_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot determine the free memory of 'cpu'"):
        free_memory(torch.device("cpu"), system=tmp_path)
    with pytest.raises(TrainingError, match="'meta'"):
        free_memory(torch.device("meta"))
    if Path("/proc/meminfo").exists():
        assert largest_micro_batch(make_model(), SIZE) > 0
