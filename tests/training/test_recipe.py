from __future__ import annotations

import dataclasses
import json

import pytest

from activitynet.errors import TrainingError
from activitynet.training import Recipe, list_recipes, load_recipe
from activitynet.training.recipe import Loss, Optimizer

DEFAULT = Recipe()


@pytest.mark.parametrize("recipe", [load_recipe(name) for name in list_recipes()])
def test_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_override_changes_one_field_and_nothing_else() -> None:
    changed = DEFAULT.override(optimizer__lr=3e-4, epochs=7)
    assert (changed.optimizer.lr, changed.epochs) == (3e-4, 7)
    back = dataclasses.replace(
        changed,
        epochs=DEFAULT.epochs,
        optimizer=dataclasses.replace(changed.optimizer, lr=DEFAULT.optimizer.lr),
    )
    assert back == DEFAULT


def test_unknown_field_suggests_the_nearest() -> None:
    with pytest.raises(TrainingError, match=r"'epoch'.*Did you mean 'epochs'"):
        DEFAULT.override(epoch=3)
    with pytest.raises(TrainingError, match=r"'optimizer\.lrr'.*Did you mean 'optimizer\.lr'"):
        DEFAULT.override({"optimizer.lrr": 1.0})
    with pytest.raises(TrainingError, match=r"'optimizer' is a table"):
        DEFAULT.override({"optimizer": 1.0})
    with pytest.raises(TrainingError, match=r"'focl'.*Did you mean 'focal'"):
        DEFAULT.override({"loss.name": "focl"})
    with pytest.raises(TrainingError, match=r"'optimizer\.learning'"):
        Recipe.from_dict({"optimizer": {"learning": 1}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": "many"}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"epochs": -1}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"precision": "fp16"}, "precision"),
        ({"optimizer": {"layer_decay": 0.0}}, "layer_decay"),
        ({"optimizer": 3}, "optimizer"),
        ({"loss": {"smoothing": 1.0}}, "smoothing"),
        ({"loss": {"smoothing": float("nan")}}, "smoothing"),
        ({"augment": {"scale": [0.1]}}, "augment"),
        (
            {"checkpoint": {"epochs": [3, 0]}},
            r"checkpoint\.epochs\[1\]' must be a whole number of at least 1",
        ),
        ({"checkpoint": {"epochs": 3}}, "must be a list"),
        ({"freeze_blocks": [1]}, "freeze_blocks"),
        ({"distill": {"teachers": "a"}}, "teachers"),
        ({"average": {"anchor": 1.0}}, "anchor"),
    ],
)
def test_bad_values_are_refused_by_name(values: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Recipe.from_dict(values)


def test_a_part_made_in_python_is_held_to_the_same_ranges() -> None:
    with pytest.raises(TrainingError, match=r"^Optimizer: field 'lr' must be a number from 1e-12 to 1000"):
        Optimizer(lr=-1)
    with pytest.raises(TrainingError, match=r"^Loss: field 'name' must be one of .*Did you mean 'focal'"):
        Loss(name="focl")  # type: ignore[arg-type]


def test_whole_numbers_serve_as_floats() -> None:
    assert Recipe.from_dict({"optimizer": {"lr": 1}}).optimizer.lr == 1.0


@pytest.mark.parametrize(
    ("resolution", "size", "expected"),
    [
        (1.0, (227, 300), (227, 300)),
        (0.75, (224, 320), (160, 256)),
        (0.75, (225, 225), (161, 161)),
        (0.1, (64, 64), (32, 32)),
    ],
)
def test_training_size_is_a_share_in_whole_strides(
    resolution: float, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert Recipe(resolution=resolution).training_size(size, epoch=1) == expected


def test_images_grow_from_the_first_epoch_to_the_last() -> None:
    recipe = Recipe(epochs=5, resolution_start=0.5, resolution=1.0)
    sides = [recipe.training_size((224, 224), epoch)[0] for epoch in range(1, 8)]
    assert sides == [128, 128, 160, 192, 224, 224, 224]
    assert Recipe(epochs=1, resolution_start=0.5).training_size((224, 224), 1) == (128, 128)
