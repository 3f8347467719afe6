from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from activitynet import create_model
from activitynet.data.augment import Augment
from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.dataset import Photo
from activitynet.data.preprocess import Preprocess
from activitynet.errors import TrainingError
from activitynet.training.optim import freeze
from activitynet.training.recipe import Mix, Optimizer, Recipe
from activitynet.training.step import Stepper
from activitynet.training.tune import LearningRates, _steepest, find_learning_rate

RECIPE = Recipe(
    batch_size=12,
    grad_accum_steps=2,
    drop_rate=0.1,
    optimizer=Optimizer(layer_decay=0.9),
    augment=Augment(color=0.3),
    mix=Mix(mixup=0.2),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    made = []
    for index in range(24):
        pixels = noise.integers(0, 128, (40, 40, 3), dtype=np.uint8)
        pixels[..., index % 2] += 100
        Image.fromarray(pixels).save(folder / f"{index}.png")
        made.append(Photo(folder / f"{index}.png", index % 2))
    return made


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return create_model("test_efficientnet_se", num_classes=2, drop_rate=RECIPE.drop_rate)


def search(
    photos: list[Photo], model: nn.Module | None = None, recipe: Recipe = RECIPE, **options: object
) -> LearningRates:
    dataset = AugmentedPhotos(photos, recipe.augment, Preprocess(size=(32, 32)), seed=5)
    chosen: dict[str, object] = {"seed": 5, "steps": 40, "lowest": 1e-4} | options
    return find_learning_rate(model or make_model(), dataset, recipe, **chosen)  # type: ignore[arg-type]


def test_rates_rise_by_a_factor_until_the_loss_runs_away(photos: list[Photo]) -> None:
    found = search(photos, recipe=RECIPE.override({"optimizer.name": "sgd"}), highest=1e3)
    assert 20 <= len(found.rates) == len(found.losses) < 40
    factors = [after / before for before, after in zip(found.rates, found.rates[1:], strict=False)]
    assert found.rates[0] == 1e-4
    assert factors == pytest.approx([1e7 ** (1 / 39)] * len(factors))
    assert found.losses[-1] > 4 * min(found.losses)
    assert all(loss <= 4 * min(found.losses[: n + 1]) for n, loss in enumerate(found.losses[:-1]))
    assert found.suggestion in found.rates
    assert found.rates[0] < found.suggestion < found.rates[found.losses.index(min(found.losses))]


def test_the_suggested_rate_learns_and_one_far_below_does_not(photos: list[Photo]) -> None:
    suggestion = search(photos).suggestion
    learns = search(photos, lowest=suggestion, highest=suggestion * 1.001)
    assert learns.losses[-1] < 0.85 * learns.losses[0]
    idles = search(photos, lowest=suggestion / 1e4, highest=suggestion / 1e3)
    assert idles.losses[-1] > 0.95 * idles.losses[0]


def test_the_loss_is_the_mean_of_the_steps_so_far(
    photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = [5.0, 4.0, *(3.0 - step / 20 for step in range(38))]
    given = iter(raw)
    monkeypatch.setattr(Stepper, "__call__", lambda *_, **__: next(given))
    found = search(photos)
    weights = 0.75 ** np.arange(40.0)  # over a tenth of 40 steps
    expected = [np.average(raw[: n + 1], weights=weights[: n + 1][::-1]) for n in range(40)]
    assert found.losses == pytest.approx(expected)


def test_the_model_and_the_callers_randomness_stay_as_they_were(photos: list[Photo]) -> None:
    model = make_model()
    freeze(model, 0.3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in model.parameters()]
    modes = [module.training for module in model.modules()]
    strides = [parameter.stride() for parameter in model.parameters()]
    generator = torch.get_rng_state()
    search(photos, model, RECIPE.override(freeze=0.5, grad_checkpointing=True))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert [module.training for module in model.modules()] == modes
    assert [parameter.stride() for parameter in model.parameters()] == strides
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.grad_checkpointing
    assert torch.equal(torch.get_rng_state(), generator)


def test_the_same_seed_finds_the_same_to_the_bit_with_any_workers(photos: list[Photo]) -> None:
    found = search(photos)
    model = make_model()
    torch.manual_seed(99)
    assert search(photos, model, workers=1) == found
    assert search(photos, seed=6) != found


def test_a_loss_that_is_not_finite_ends_the_search(photos: list[Photo]) -> None:
    model = make_model()
    with torch.no_grad():
        model.get_classifier().bias.fill_(torch.nan)
    with pytest.raises(TrainingError, match="does not fall at any"):
        search(photos, model)


@pytest.mark.parametrize("options", [{"steps": 19}, {"lowest": 0.0}, {"lowest": 1.0, "highest": 0.1}])
def test_rates_that_make_no_range_are_refused(photos: list[Photo], options: dict[str, float]) -> None:
    with pytest.raises(TrainingError, match=r"cannot search \d+ learning rates from"):
        search(photos, **options)


def test_the_suggestion_is_where_a_curve_falls_steepest() -> None:
    # Flat, then a fall that is steepest at step 30, then a rise that is steeper still.
    losses = [3 - 2 / (1 + np.exp(-(step - 30) / 4)) + max(0, step - 50) ** 2 for step in range(60)]
    assert _steepest(losses, 5) == 25  # a mean that lags by 5 falls steepest 5 steps late
    losses[:3] = [99.0, 98.0, 50.0]  # means of few
    assert _steepest(losses, 5) == 25
    losses[5] = 0.0
    for hopeless in (losses, [1.0] * 60, list(range(60)), [1.0], []):
        with pytest.raises(TrainingError, match="does not fall at any"):
            _steepest(hopeless, 5)
