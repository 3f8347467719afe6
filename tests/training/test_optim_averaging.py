from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from activitynet import create_model
from activitynet.errors import TrainingError
from activitynet.training.optim import WeightAverage
from activitynet.training.recipe import Average

CONFIGS = [
    Average(name="ema", span=0.2),
    Average(name="ema", span=0.2, anchor=0.3),
    Average(name="swa", start=0.5),
    Average(name="swa", start=0.5, anchor=0.3),
    Average(name="none"),
    Average(name="none", anchor=0.3),
]


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return create_model("test_efficientnet_se", num_classes=3)


def move(model: nn.Module, step: int) -> None:
    """Change everything in a model, as a training step does."""
    generator = torch.Generator().manual_seed(step)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(torch.randn(tensor.shape, generator=generator))
        else:
            tensor.add_(1)


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def walk(config: Average, steps: int) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """Return the weights before the first and after each step, and what is kept at the end."""
    model = make_model()
    average = WeightAverage(model, config, steps)
    seen = [snapshot(model)]
    for step in range(1, steps + 1):
        move(model, step)
        average.update(step)
        seen.append(snapshot(model))
    return seen, snapshot(average.averaged_model())


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_what_is_kept_equals_the_written_out_average(config: Average) -> None:
    seen, kept = walk(config, 20)
    if config.name == "ema":  # span 0.2 of 20 steps: the mean of four, then a quarter of each new one
        shares = [0.0] + [0.25 * 0.75**16] * 4 + [0.25 * 0.75 ** (20 - step) for step in range(5, 21)]
    elif config.name == "swa":
        shares = [0.0] * 11 + [0.1] * 10
    else:
        shares = [0.0] * 20 + [1.0]
    assert math.isclose(sum(shares), 1.0)
    shares = [(1 - config.anchor) * share for share in shares]
    shares[0] += config.anchor
    for name, tensor in kept.items():
        if tensor.is_floating_point():
            every = torch.stack([weights[name].double() for weights in seen])
            expected = torch.einsum("n...,n->...", every, torch.tensor(shares, dtype=torch.double))
            torch.testing.assert_close(tensor.double(), expected, rtol=1e-5, atol=1e-5)
        else:
            assert torch.equal(tensor, seen[-1][name])


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_weights_that_do_not_move_stay_to_the_bit(config: Average) -> None:
    model = make_model()
    start = snapshot(model)
    average = WeightAverage(model, config, 30)
    assert same(snapshot(average.averaged_model()), start)
    for step in range(1, 31):
        average.update(step)
    assert same(snapshot(average.averaged_model()), start)


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("config", [config for config in CONFIGS if not config.anchor], ids=repr)
def test_short_runs_do_not_keep_what_they_began_with(config: Average, steps: int) -> None:
    model = make_model()
    with torch.no_grad():
        model.get_classifier().weight.fill_(1e6)
    average = WeightAverage(model, config, steps)
    for step in range(1, steps + 1):
        with torch.no_grad():
            model.get_classifier().weight.fill_(step)
        average.update(step)
    weight = average.averaged_model().get_classifier().weight
    assert 1 <= weight.min() <= weight.max() <= steps


def test_swa_follows_the_model_until_it_begins() -> None:
    model = make_model()
    average = WeightAverage(model, Average(name="swa", start=0.5), 10)
    for step in range(1, 7):
        move(model, step)
        average.update(step)
        assert same(snapshot(average.averaged_model()), snapshot(model))
    move(model, 7)
    average.update(7)
    assert not same(snapshot(average.averaged_model()), snapshot(model))


def test_no_average_costs_nothing_until_it_is_asked_for() -> None:
    model = make_model()
    start = snapshot(model)
    average = WeightAverage(model, Average(name="none"), 10)
    move(model, 1)
    average.update(1)
    assert same(snapshot(average.module), start)
    assert average.state_dict() == {}
    assert average.averaged_model() is average.module
    assert same(snapshot(average.module), snapshot(model))


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_what_is_kept_is_apart_from_the_model_that_learns(config: Average) -> None:
    model = make_model().train()
    average = WeightAverage(model, config, 10)
    average.update(1)
    kept = average.averaged_model()
    assert not any(module.training for module in kept.modules())
    assert not any(parameter.requires_grad for parameter in kept.parameters())
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    before = snapshot(kept)
    move(model, 1)
    assert same(snapshot(kept), before)


def test_asking_does_not_move_an_anchored_average() -> None:
    model = make_model()
    average = WeightAverage(model, Average(anchor=0.5), 10)
    move(model, 1)
    average.update(1)
    first = snapshot(average.averaged_model())
    assert same(first, snapshot(average.averaged_model()))
    assert not same(first, snapshot(average.module))


@pytest.mark.parametrize("cut", [0, 3, 10, 14])
@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_an_average_that_was_saved_goes_on_to_the_same_bits(config: Average, cut: int) -> None:
    _, whole = walk(config, 20)
    model = make_model()
    average = WeightAverage(model, config, 20)
    for step in range(1, cut + 1):
        move(model, step)
        average.update(step)
    weights, saved = snapshot(model), {name: t.clone() for name, t in average.state_dict().items()}

    torch.manual_seed(99)
    model = create_model("test_efficientnet_se", num_classes=3)
    model.load_state_dict(weights)
    average = WeightAverage(model, config, 20)
    average.load_state_dict(saved)
    for step in range(cut + 1, 21):
        move(model, step)
        average.update(step)
    assert same(snapshot(average.averaged_model()), whole)


def test_names_say_what_a_tensor_is() -> None:
    model = make_model()
    names = WeightAverage(model, Average(anchor=0.5), 10).state_dict().keys()
    averages = {f"average.{name}" for name in model.state_dict()}
    starts = {f"start.{name}" for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    assert names == averages | starts


def test_a_state_that_does_not_fit_is_refused_by_name() -> None:
    average = WeightAverage(make_model(), Average(), 10)
    saved = average.state_dict()
    with pytest.raises(TrainingError, match=r"'average\.classifier\.bias' is missing"):
        average.load_state_dict({name: t for name, t in saved.items() if name != "average.classifier.bias"})
    with pytest.raises(TrainingError, match=r"'start\.classifier\.bias' is unexpected"):
        average.load_state_dict(saved | {"start.classifier.bias": torch.zeros(3)})
    with pytest.raises(TrainingError, match=r"'average\.classifier\.bias' has shape \(4,\), not \(3,\)"):
        average.load_state_dict(saved | {"average.classifier.bias": torch.zeros(4)})


def test_the_layout_of_the_weights_in_memory_is_kept() -> None:
    model = make_model().to(memory_format=torch.channels_last)
    average = WeightAverage(model, Average(anchor=0.5), 10)
    move(model, 1)
    average.update(1)
    for copied in (average.module, average.averaged_model()):
        for name, parameter in model.named_parameters():
            assert copied.get_parameter(name).stride() == parameter.stride()
