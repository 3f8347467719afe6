from __future__ import annotations

import math

import pytest
import torch

from activitynet import create_model
from activitynet.errors import TrainingError
from activitynet.training import Optimizer, Recipe, Schedule
from activitynet.training.optim import freeze_trunk, make_optimizer, set_learning_rate, set_training_mode

NAMES = ["test_resnet_se", "test_efficientnet_se"]


@pytest.mark.parametrize("name", NAMES)
def test_freezing_takes_a_share_from_the_input_and_never_the_head(name: str) -> None:
    model = create_model(name, num_classes=3)
    names = [name for name, _ in model.named_parameters()]
    head = {id(parameter) for parameter in model.get_classifier().parameters()}
    assert freeze_trunk(model, 0.0) == []
    half = set(freeze_trunk(model, 0.5))
    assert 0 < len(half) < len(names) - 2
    assert names[0] in half
    everything = freeze_trunk(model, 1.0)
    left = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert left == head
    assert half < set(everything)
    freeze_trunk(model, 0.0)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_frozen_batch_norms_keep_their_statistics() -> None:
    model = create_model("test_efficientnet_se", num_classes=3)
    images = torch.randn(4, 3, 64, 64)

    def moved() -> list[str]:
        before = {name: buffer.clone() for name, buffer in model.named_buffers() if "running" in name}
        model(images)
        return [
            name
            for name, buffer in model.named_buffers()
            if name in before and not torch.equal(buffer, before[name])
        ]

    set_training_mode(model, freeze_norm=False)
    every = moved()
    assert every
    set_training_mode(model, freeze_norm=True)
    assert moved() == []
    freeze_trunk(model, 0.5)
    set_training_mode(model, freeze_norm=False)
    assert 0 < len(moved()) < len(every)
    assert model.training


@pytest.mark.parametrize("name", NAMES)
def test_norms_and_biases_are_not_decayed(name: str) -> None:
    model = create_model(name, num_classes=3)
    optimizer = make_optimizer(model, Recipe(optimizer=Optimizer(weight_decay=0.1)))
    decayed = {
        id(p) for group in optimizer.param_groups if group["weight_decay"] > 0 for p in group["params"]
    }
    for parameter in model.parameters():
        assert (id(parameter) in decayed) == (parameter.ndim > 1)


def test_layer_decay_lowers_rates_towards_the_input() -> None:
    model = create_model("test_resnet_se", num_classes=3)
    optimizer = make_optimizer(model, Recipe(optimizer=Optimizer(lr=0.1, layer_decay=0.5)))
    set_learning_rate(optimizer, Recipe(schedule=Schedule(warmup=0.0)), 0, 10)
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    rates = [rate[id(parameter)] for parameter in model.parameters() if parameter.ndim == 4]
    assert rates == sorted(rates)
    assert rates[0] < rates[-1] <= 0.1
    assert rate[id(model.get_classifier().weight)] == pytest.approx(0.1)


def test_rate_warms_up_and_falls_to_nothing() -> None:
    model = create_model("test_resnet_se", num_classes=3)
    recipe = Recipe(optimizer=Optimizer(lr=1.0), schedule=Schedule(warmup=0.2))
    optimizer = make_optimizer(model, recipe)
    rates = [set_learning_rate(optimizer, recipe, step, 100) for step in range(100)]
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert max(rates) == 1.0
    assert 0 < rates[-1] < 0.01
    assert rates[60] == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))
    assert optimizer.param_groups[0]["lr"] == rates[-1]


def test_unknown_optimizer_is_named() -> None:
    with pytest.raises(TrainingError, match="'adamww'"):
        make_optimizer(create_model("test_resnet_se"), Recipe(optimizer=Optimizer(name="adamww")))
