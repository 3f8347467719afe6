from __future__ import annotations

import json
import math

import pytest
import torch

from activitynet import create_model
from activitynet.errors import TrainingError
from activitynet.training.optim import freeze, make_optimizer, make_schedule, set_training_mode
from activitynet.training.recipe import Optimizer, Recipe, Schedule

NAMES = ["test_resnet_se", "test_efficientnet_se"]


def rates_of(recipe: Recipe, steps: int) -> list[float]:
    optimizer = make_optimizer(create_model("test_resnet_se", num_classes=3), recipe)
    set_rate = make_schedule(optimizer, recipe, steps)
    return [set_rate(step) for step in range(steps)]


@pytest.mark.parametrize("name", NAMES)
def test_freezing_takes_a_share_from_the_input_and_never_the_head(name: str) -> None:
    model = create_model(name, num_classes=3)
    names = [name for name, _ in model.named_parameters()]
    head = {id(parameter) for parameter in model.get_classifier().parameters()}
    assert freeze(model, 0.0) == []
    half = freeze(model, 0.5)
    assert 0 < len(half) < len(names) - 2
    assert half[0] == names[0]
    everything = freeze(model, 1.0)
    left = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert left == head
    assert set(half) < set(everything)
    freeze(model, 0.0)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_patterns_freeze_what_they_match_besides_the_share() -> None:
    model = create_model("test_resnet_se", num_classes=3)
    names = [name for name, _ in model.named_parameters()]
    share = freeze(model, 0.3)
    frozen = freeze(model, 0.3, ["stages.1.*", "*.bias"])
    assert set(share) < set(frozen)
    wanted = {n for n in names if n.startswith("stages.1.") or n.endswith(".bias")} - {"classifier.bias"}
    assert set(frozen) == wanted | set(share)
    assert frozen == [name for name in names if name in frozen]
    assert all(p.requires_grad == (n not in frozen) for n, p in model.named_parameters())


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [("stage.0.*", r"stages\.0\.\*"), ("stages.0", r"stages\.0\.\*"), ("STAGES.1.*", r"stages\.1\.\*")],
)
def test_a_pattern_that_matches_nothing_is_an_error_with_a_hint(pattern: str, hint: str) -> None:
    model = create_model("test_resnet_se", num_classes=3)
    with pytest.raises(TrainingError, match=rf"freeze_blocks.*\(stem\.\*, stages.*\. Did you mean '{hint}'"):
        freeze(model, 0.0, [pattern])


def test_a_pattern_for_the_classifier_alone_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"'classifier\.\*', which matches no parameter of the trunk"):
        freeze(create_model("test_resnet_se", num_classes=3), 0.0, ["classifier.*"])


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
    freeze(model, 0.5)
    set_training_mode(model, freeze_norm=False)
    assert 0 < len(moved()) < len(every)
    assert model.training


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
@pytest.mark.parametrize("name", [*NAMES, "resnet18_se"])
def test_norms_and_biases_are_not_decayed(name: str, layer_decay: float) -> None:
    model = create_model(name, num_classes=3)
    recipe = Recipe(optimizer=Optimizer(weight_decay=0.1, layer_decay=layer_decay))
    groups = make_optimizer(model, recipe).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    norms = {
        f"{path}.weight"
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.GroupNorm | torch.nn.LayerNorm)
    }
    spared = norms | {name for name, _ in model.named_parameters() if name.endswith(".bias")}
    assert norms
    assert {name: decay[id(p)] for name, p in model.named_parameters()} == {
        name: 0.0 if name in spared else 0.1 for name, _ in model.named_parameters()
    }


def test_momentum_reaches_the_optimizers_that_have_one() -> None:
    model = create_model("test_resnet_se", num_classes=3)
    optimizer = make_optimizer(model, Recipe(optimizer=Optimizer(name="sgd", momentum=0.7)))
    assert {group["momentum"] for group in optimizer.param_groups} == {0.7}


def test_frozen_weights_are_not_the_optimizers_business() -> None:
    model = create_model("test_resnet_se", num_classes=3)
    freeze(model, 0.5)
    optimizer = make_optimizer(model, Recipe())
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}


@pytest.mark.parametrize("name", ["adamww", "Lookahead_adamww"])
def test_an_unknown_optimizer_is_named_with_a_hint(name: str) -> None:
    with pytest.raises(TrainingError, match=f"{name!r}.*Did you mean 'adamw'"):
        make_optimizer(create_model("test_resnet_se"), Recipe(optimizer=Optimizer(name=name)))


def test_layer_decay_lowers_rates_towards_the_input() -> None:
    model = create_model("test_resnet_se", num_classes=3)
    recipe = Recipe(optimizer=Optimizer(lr=0.1, layer_decay=0.5), schedule=Schedule(warmup=0.0))
    optimizer = make_optimizer(model, recipe)
    assert make_schedule(optimizer, recipe, 10)(0) == 0.1
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    rates = [rate[id(parameter)] for parameter in model.parameters() if parameter.ndim == 4]
    assert rates == sorted(rates)
    assert rates[0] < rates[-1] <= 0.1
    assert rate[id(model.get_classifier().weight)] == 0.1
    assert set(rates) <= {0.1 * 0.5**depth for depth in range(20)}


@pytest.mark.parametrize("name", ["cosine", "poly", "step", "constant"])
def test_rates_follow_the_written_out_schedule(name: str) -> None:
    config = Schedule(name=name, warmup=0.2, floor=0.1, step_every=0.3, step_factor=0.5)  # type: ignore[arg-type]
    rates = rates_of(Recipe(optimizer=Optimizer(lr=2.0), schedule=config), 50)

    def reference(step: int) -> float:
        if step < 10:
            return (step + 1) / 11
        done = (step - 10) / 40
        if name == "cosine":
            return 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2
        if name == "poly":
            return 0.1 + 0.9 * (1 - done)
        return 0.5 ** ((step - 10) // 15) if name == "step" else 1.0

    assert rates == pytest.approx([2.0 * reference(step) for step in range(50)])


@pytest.mark.parametrize("name", ["cosine", "poly", "step", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.99])
def test_every_step_of_a_run_of_any_length_moves_the_weights(
    name: str, warmup: float, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = Recipe(optimizer=Optimizer(lr=1.0), schedule=Schedule(name=name, warmup=warmup))  # type: ignore[arg-type]
    for steps in (1, 2, 3, 10, 101):
        rates = rates_of(recipe, steps)
        assert min(rates) > 0
        assert max(rates) == 1.0
        top = rates.index(1.0)
        assert rates[: top + 1] == sorted(rates[: top + 1])
        assert rates[top:] == sorted(rates[top:], reverse=True)
    assert caplog.records == []


def test_a_schedule_has_no_state_of_its_own() -> None:
    recipe = Recipe(optimizer=Optimizer(lr=1.0, layer_decay=0.5))
    rates = rates_of(recipe, 30)
    optimizer = make_optimizer(create_model("test_resnet_se", num_classes=3), recipe)
    set_rate = make_schedule(optimizer, recipe, 30)
    assert [set_rate(step) for step in reversed(range(30))] == rates[::-1]
    set_again = make_schedule(optimizer, recipe, 30)  # made in the middle, as when a run is resumed
    assert [set_again(step) for step in range(30)] == rates
    make_schedule(optimizer, recipe, 0)


@pytest.mark.parametrize("name", ["adamw", "sgd", "lamb"])
def test_an_optimizers_state_fits_however_it_was_scheduled(name: str) -> None:
    recipe = Recipe(optimizer=Optimizer(name=name, lr=0.5, layer_decay=0.5))
    model = create_model("test_resnet_se", num_classes=3)
    optimizer = make_optimizer(model, recipe)
    keys = [set(group) for group in optimizer.param_groups]
    before = json.loads(json.dumps(optimizer.state_dict()["param_groups"]))
    set_rate = make_schedule(optimizer, recipe, 30)
    set_rate(3)
    assert [set(group) for group in optimizer.param_groups] == keys
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict({"state": {}, "param_groups": before})
    set_rate(3)
    assert [group["lr"] for group in optimizer.param_groups] == rates
    assert len(set(rates)) > 1
