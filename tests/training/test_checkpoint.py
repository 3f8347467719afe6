from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from activitynet.errors import TrainingError
from activitynet.training.checkpoint import (
    flatten_optimizer,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
    with_prefix,
    without_prefix,
)
from activitynet.training.optim import make_optimizer
from activitynet.training.recipe import Optimizer, Recipe
from activitynet.zoo import create_model


def stepped(
    optimizer_class: type[torch.optim.Optimizer], **options: float
) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = optimizer_class(
        [{"params": [model.weight], "peak_lr": 0.1}, {"params": [model.bias]}], **options
    )
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(4, 3)).pow(2).sum().backward()
        optimizer.step()
    return model, optimizer


@pytest.mark.parametrize(
    ("optimizer_class", "options"),
    [(torch.optim.AdamW, {"lr": 0.1}), (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9})],
)
def test_optimizer_goes_on_as_if_never_saved(
    tmp_path: Path, optimizer_class: type[torch.optim.Optimizer], options: dict[str, float]
) -> None:
    model, optimizer = stepped(optimizer_class, **options)
    tensors, values = flatten_optimizer(optimizer)
    whole = with_prefix("model", model.state_dict()) | with_prefix("optimizer", tensors)
    save_checkpoint(tmp_path / "last", whole, {"optimizer": values, "step": 3})

    read, state = read_checkpoint(tmp_path / "last")
    other = nn.Linear(3, 2)
    other_optimizer = optimizer_class(
        [{"params": [other.weight], "peak_lr": 0.1}, {"params": [other.bias]}], **options
    )
    other.load_state_dict(without_prefix("model", read))
    restore_optimizer(other_optimizer, without_prefix("optimizer", read), state["optimizer"])
    assert state["step"] == 3
    batch = torch.randn(4, 3)
    for net, opt in ((model, optimizer), (other, other_optimizer)):
        opt.zero_grad()
        net(batch).pow(2).sum().backward()
        opt.step()
    assert torch.equal(model.weight, other.weight)
    assert torch.equal(model.bias, other.bias)


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    state = {"step": 1, "loss_sum": 0.5, "note": '"checksum":"' + "0" * 64}
    save_checkpoint(tmp_path, {"a": torch.ones(20), "b": torch.arange(5)}, state)
    assert read_checkpoint(tmp_path)[1] == state
    file = tmp_path / "state.safetensors"
    whole = file.read_bytes()
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 1 << position % 8
        file.write_bytes(data)
        with pytest.raises(TrainingError, match="checkpoint"):
            read_checkpoint(tmp_path)


@pytest.mark.parametrize("length", [0, 7, 50, 400])
def test_a_checkpoint_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    save_checkpoint(tmp_path, {"a": torch.ones(100)}, {"step": 1})
    file = tmp_path / "state.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(TrainingError, match="checkpoint"):
        read_checkpoint(tmp_path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="absent"):
        read_checkpoint(tmp_path / "absent")


def test_saving_again_keeps_the_one_before_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    for step in range(3):
        save_checkpoint(tmp_path / "last", {"a": torch.tensor(float(step))}, {"step": step})
    tensors, state = read_checkpoint(tmp_path / "last")
    assert (tensors["a"].item(), state["step"]) == (2.0, 2)
    assert read_checkpoint(tmp_path / "last", previous=True)[1]["step"] == 1
    left = sorted(entry.name for entry in (tmp_path / "last").iterdir())
    assert left == ["previous.safetensors", "state.safetensors"]


@pytest.mark.parametrize("name", ["adam", "adamw", "lamb", "lion", "nadamw", "rmsprop", "sgd"])
def test_timms_optimizers_go_on_as_if_never_saved(tmp_path: Path, name: str) -> None:
    recipe = Recipe(optimizer=Optimizer(name=name, lr=1e-3))

    def learn(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        model(images).pow(2).sum().backward()
        optimizer.step()

    model, other = (create_model("test_resnet_se", num_classes=3) for _ in range(2))
    optimizer, other_optimizer = make_optimizer(model, recipe), make_optimizer(other, recipe)
    for seed in range(2):
        learn(model, optimizer, seed)
    tensors, values = flatten_optimizer(optimizer)
    whole = with_prefix("model", model.state_dict()) | with_prefix("optimizer", tensors)
    save_checkpoint(tmp_path, whole, {"optimizer": values})

    read, state = read_checkpoint(tmp_path)
    other.load_state_dict(without_prefix("model", read))
    restore_optimizer(other_optimizer, without_prefix("optimizer", read), state["optimizer"])
    learn(model, optimizer, 2)
    learn(other, other_optimizer, 2)
    for expected, found in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(expected, found)
