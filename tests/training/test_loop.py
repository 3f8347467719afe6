from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from activitynet import create_model
from activitynet.data.augment import Augment
from activitynet.data.photos import Photo, PhotoDataset
from activitynet.data.preprocess import Preprocess
from activitynet.errors import TrainingError
from activitynet.training import Event, FitResult, Loss, Optimizer, Recipe, RunFolder, train
from activitynet.training.checkpoint import read_checkpoint

RECIPE = Recipe(
    epochs=3,
    batch_size=4,
    drop_rate=0.3,
    optimizer=Optimizer(lr=0.01),
    loss=Loss(balance=0.5),
    augment=Augment(color=0.3),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    made = []
    for index in range(14):
        pixels = noise.integers(0, 128, (40, 40, 3), dtype=np.uint8)
        pixels[..., index % 2] += 100
        Image.fromarray(pixels).save(folder / f"{index}.png")
        made.append(Photo(folder / f"{index}.png", index % 2))
    return made


def fit(
    photos: list[Photo],
    recipe: Recipe = RECIPE,
    *,
    scores: Iterator[float] | None = None,
    **options: object,
) -> tuple[nn.Module, FitResult]:
    torch.manual_seed(0)
    model = create_model(
        "test_efficientnet_se", num_classes=2, drop_rate=recipe.drop_rate, drop_path_rate=0.2
    )
    dataset = PhotoDataset(photos, recipe.augment.build(Preprocess(size=(32, 32))), seed=5)
    rising = scores or iter(range(1, 100))

    def validate(_: nn.Module) -> Mapping[str, float]:
        return {"macro_f1": float(next(rising)), "accuracy": 0.5}

    return model, train(model, dataset, validate, recipe, seed=5, **options)  # type: ignore[arg-type]


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    for (name, tensor), expected in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(tensor, expected), name


def interrupt_after(epoch: int) -> Callable[[Event], None]:
    def callback(event: Event) -> None:
        if event.kind == "step" and event.epoch == epoch + 1:
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("ema", [True, False])
def test_resumed_is_the_uninterrupted_run_to_the_bit(photos: list[Photo], tmp_path: Path, ema: bool) -> None:
    recipe = RECIPE.override(ema=ema)
    whole, result = fit(photos, recipe, run=RunFolder(tmp_path / "whole"))
    cut = RunFolder(tmp_path / "cut")
    for epoch in (0, 1, 2):
        with pytest.raises(KeyboardInterrupt):
            fit(
                photos,
                recipe,
                run=cut,
                resume=True,
                callbacks=[interrupt_after(epoch)],
                scores=iter(range(epoch + 1, 9)),
            )
    torch.manual_seed(99)
    resumed, again = fit(photos, recipe, run=cut, resume=True, scores=iter([4.0]))
    assert_same_weights(resumed, whole)
    speedless = [
        [{k: v for k, v in row.items() if k != "images_per_second"} for row in r.history]
        for r in (result, again)
    ]
    assert speedless[0] == speedless[1]
    states = [
        read_checkpoint(folder / "checkpoints" / "last")[0] for folder in (tmp_path / "whole", cut.path)
    ]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_workers_and_the_callers_randomness_change_nothing(photos: list[Photo]) -> None:
    alone, _ = fit(photos)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    helped, _ = fit(photos, workers=2)
    assert_same_weights(alone, helped)
    torch.manual_seed(0)
    create_model("test_efficientnet_se", num_classes=2, drop_rate=0.3, drop_path_rate=0.2)
    after_model = torch.get_rng_state()
    fit(photos)
    assert torch.equal(torch.get_rng_state(), after_model)
    assert not torch.equal(before, after_model)


def test_another_seed_gives_other_weights(photos: list[Photo]) -> None:
    torch.manual_seed(0)
    one, _ = fit(photos, RECIPE.override(epochs=1))
    other, _ = fit(photos, RECIPE.override(epochs=1, optimizer__lr=0.02))
    assert not torch.equal(one.get_classifier().weight, other.get_classifier().weight)


def test_the_best_epoch_is_what_the_model_ends_with(photos: list[Photo], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    events: list[Event] = []
    model, result = fit(photos, run=run, scores=iter([0.1, 0.9, 0.3, 0.2]), callbacks=[events.append])
    one_epoch, _ = fit(photos, scores=iter([0.1, 0.9, 0.3, 0.2]), callbacks=[])
    assert result.best_epoch == 1
    assert result.best["macro_f1"] == 0.9
    assert_same_weights(model, one_epoch)
    assert [event.kind for event in events if event.kind != "step"] == ["start", *["epoch"] * 4, "end"]
    assert [event.best for event in events if event.kind == "epoch"] == [True, True, False, False]
    assert sum(event.kind == "step" for event in events) == 3 * (14 // 4)
    assert [json.loads(line)["epoch"] for line in run.metrics.read_text().splitlines()] == [0, 1, 2, 3]
    assert not model.training


def test_no_epoch_better_than_the_start_gives_the_start_back(photos: list[Photo]) -> None:
    model, result = fit(photos, scores=iter([0.9, 0.1, 0.1, 0.1]))
    untrained, _ = fit(photos, RECIPE.override(epochs=0))
    assert result.best_epoch == 0
    assert_same_weights(model, untrained)


def test_patience_stops_early(photos: list[Photo]) -> None:
    _, result = fit(photos, RECIPE.override(epochs=50, patience=2), scores=iter([0.1, 0.5, 0.4, 0.4, 0.9]))
    assert [row["epoch"] for row in result.history] == [0, 1, 2, 3]


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_rate(
    photos: list[Photo], tmp_path: Path
) -> None:
    recipe = RECIPE.override(optimizer__lr=1000.0, optimizer__clip_norm=0.0, optimizer__name="sgd")
    with pytest.raises(TrainingError, match=r"step \d+ \(epoch \d, rate .*checkpoints/last"):
        fit(photos, recipe, run=RunFolder(tmp_path / "run"))
    assert (tmp_path / "run" / "checkpoints" / "last" / "state.safetensors").exists()


def test_frozen_layers_do_not_move(photos: list[Photo]) -> None:
    start, _ = fit(photos, RECIPE.override(epochs=0))
    model, _ = fit(photos, RECIPE.override(freeze=1.0))
    head = {
        f"{name}"
        for name, p in model.named_parameters()
        if any(p is q for q in model.get_classifier().parameters())
    }
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, start.get_parameter(name)) == (name not in head), name
