from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from activitynet.data.dataset import Photo, PhotoData
from activitynet.errors import TrainingError
from activitynet.study import Study, Subset, list_studies, load_study
from activitynet.study.definition import parse_study

HEAD = 'model = "test_resnet_se"\n'
AXES = '[axes]\n"optimizer.lr" = [1e-3, 2e-3]\n'


def read(tmp_path: Path, text: str) -> Study:
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    return load_study(path)


@pytest.mark.parametrize("name", list_studies())
def test_a_study_that_comes_along_is_valid_and_described(name: str) -> None:
    study = load_study(name)
    assert study.description
    assert len(study.seeds) >= 2
    keys = [study.configuration(point).key for point in study.grid()]
    assert len(set(keys)) == len(keys) > 4
    labels = [study.label(point) for point in study.grid()]
    assert len(set(labels)) == len(labels)
    assert parse_study(json.loads(json.dumps(study.to_dict())), what="it") == study


def test_all_seven_come_along() -> None:
    assert list_studies() == [
        *("architecture", "augmentation", "blocks", "loss", "optimizer", "regularization", "transfer"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not TOML at all", "not TOML"),
        (AXES, "lacks its field 'model'"),
        (HEAD, "lacks its field 'axes'"),
        (HEAD + "axes = {}\n", "'axes' must be a list of length"),
        (HEAD + "epoch = 3\n" + AXES, "Did you mean 'epochs'?"),
        (HEAD + "epochs = -1\n" + AXES, "'epochs'"),
        (HEAD + "settings = 3\n" + AXES, "'settings' must be a table"),
        (HEAD + "seeds = []\n" + AXES, "'seeds'"),
        (HEAD + "seeds = [1, 1]\n" + AXES, "'seeds' has an entry twice"),
        (HEAD + "seeds = [1, -1]\n" + AXES, "'seeds[1]'"),
        (HEAD + "image_size = 3\n" + AXES, "'image_size' must be a whole number from 8 to 4096"),
        (HEAD + "recipe = 3\n" + AXES, "'recipe' must be a name"),
        (HEAD + 'recipe = "qiuck"\n' + AXES, "Did you mean 'quick'?"),
        (HEAD + 'sampler = "gird"\n' + AXES, "Did you mean 'grid'?"),
        (HEAD + 'pruner = "mean"\n' + AXES, "'pruner' must be one of"),
        (HEAD + 'sampler = "tpe"\n' + AXES, "'budget' is missing"),
        (HEAD + "[budget]\ntrials = 0\n" + AXES, "'budget.trials' must be"),
        (HEAD + "[budget]\nhours = 1\n" + AXES, "no field 'budget.hours'"),
        (HEAD + "[data]\nphotos_per_class = 1.5\n" + AXES, "'data.photos_per_class' must be a whole number"),
        (HEAD + "[settings]\noptimizer.lrr = 1.0\n" + AXES, "Did you mean 'optimizer.lr'?"),
        (HEAD + '[axes]\n"optimizer.lrr" = [1]\n', "axis 'optimizer.lrr': there is no field"),
        (
            HEAD + '[axes]\n"optimizer.lr" = []\n',
            "axis 'optimizer.lr': field 'values' must be a list of length",
        ),
        (HEAD + '[axes]\n"optimizer.lr" = ["fast"]\n', "axis 'optimizer.lr'"),
        (HEAD + '[axes]\n"optimizer.lr" = [1, 1.0]\n', "axis 'optimizer.lr': a value is there twice"),
        (HEAD + '[axes]\n"optimizer.lr" = 1\n', "axis 'optimizer.lr' must be a list, a range or a table"),
        (HEAD + "[axes]\ndrop_rate = [1979-05-27]\n", "no field takes the value"),
        (HEAD + '[axes]\n"optimizer.lr" = [1e-3]\noptimizer.lr = [2e-3]\n', "'axes' has an entry twice"),
        (HEAD + "[axes]\ndrop_rate = {low = 0.0, high = 0.5}\n", "axis 'drop_rate': a grid"),
        (HEAD + "[axes]\ndrop_rate = {low = 0.5, high = 0.0, step = 0.1}\n", "'low' must be less"),
        (HEAD + "[axes]\ndrop_rate = {low = 0.0, high = 0.5, steps = 0.1}\n", "Did you mean 'step'?"),
        (HEAD + "[axes]\ndrop_rate = {low = 0.0, step = 0.1}\n", "a range needs 'high'"),
        (HEAD + "[axes]\ndrop_rate = {low = 0.0, high = 2.0, step = 1.0}\n", "'drop_rate'"),
        (HEAD + "[axes]\ndrop_rate = {low = 0.1, high = 0.5, step = 0.1, log = true}\n", "no step"),
        (HEAD + "[axes]\ndrop_rate = {low = 0.0, high = 0.5, log = true}\n", "above 0 on a logarithmic"),
        (HEAD + "[axes]\ndrop_rate = {low = 0.0, high = 0.5, step = 1e-9}\n", "'step' must divide"),
        (
            HEAD + "[axes]\ndrop_rate = {low = 0.0, high = 0.5, step = 5e-4}\nepochs = [1, 2]\n",
            "a grid of 2002",
        ),
        (
            HEAD + "[axes.a]\nb = {drop_rat = 0.1}\n",
            "axis 'a', alternative 'b': there is no field 'drop_rat'. Did you mean 'drop_rate'?",
        ),
        (HEAD + "[axes.a]\nb = {drop_rate = 0.1}\nc = 3\n", "'alternatives.c' must be a table"),
        (HEAD + '[axes]\nmodel = ["test_resnet_se", "resnet18_es"]\n', "Did you mean 'resnet18_se'?"),
        (HEAD + '[axes]\nmodel_args.act = ["mish", "mush"]\n', "unknown activation 'mush'"),
        (HEAD + '[axes]\nmodel_args.gate = ["mish"]\n', "gate"),
        (HEAD + "[axes]\naugment.flip = [0.5, 1.5]\n", "axis 'augment.flip'"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TrainingError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert "mine" in message


def test_an_unknown_study_is_named_with_a_hint() -> None:
    with pytest.raises(TrainingError, match="Did you mean 'optimizer'"):
        load_study("optimiser")


def test_names_with_and_without_quotes_are_the_same(tmp_path: Path) -> None:
    quoted = read(tmp_path, HEAD + '[axes]\n"optimizer.lr" = [1e-3]\n[axes.a]\nb = {"mix.mixup" = 0.2}\n')
    plain = read(tmp_path, HEAD + "[axes]\noptimizer.lr = [1e-3]\na = {b = {mix.mixup = 0.2}}\n")
    assert quoted.axes == plain.axes


def test_a_point_changes_its_fields_and_no_other(tmp_path: Path) -> None:
    study = read(
        tmp_path,
        HEAD
        + 'epochs = 7\n[settings]\nloss.smoothing = 0.0\n[axes]\nmodel_args.se_reduction = [8, "none"]\n'
        + "image_size = {low = 32, high = 64, step = 32}\na = {b = {mix.mixup = 0.2, drop_rate = 0.1}}\n",
    )
    points = list(study.grid())
    assert [point["image_size"] for point in points] == [32, 64, 32, 64]
    assert study.label(points[-1]) == "se_reduction none, image_size 64, b"
    changed = study.configuration(points[-1])
    assert changed.model_args == {"se_reduction": None}
    assert changed.image_size == 64
    same = changed.recipe.override({"mix.mixup": 0.0, "drop_rate": 0.2})
    assert same == study.base.recipe
    assert (same.epochs, same.loss.smoothing) == (7, 0.0)


def test_a_range_holds_whole_numbers_only_where_its_field_does(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    text = HEAD + 'sampler = "random"\nbudget.trials = 3\n[axes]\n'
    study = read(
        tmp_path, text + "image_size = {low = 32, high = 64}\naugment.rotation = {low = 0, high = 30}\n"
    )
    kinds = [type(axis.distribution()).__name__ for axis in study.axes]
    assert kinds == ["IntDistribution", "FloatDistribution"]
    uneven = read(tmp_path, HEAD + "[axes]\nepochs = {low = 2, high = 9, step = 3}\n").axes[0]
    assert uneven.points == (2, 5, 8)
    assert uneven.distribution().high == 8


def test_the_key_tells_configurations_apart_and_nothing_else(tmp_path: Path) -> None:
    base = read(tmp_path, HEAD + AXES).base
    assert base.changed({"optimizer.lr": base.recipe.optimizer.lr}).key == base.key
    assert base.changed({"description": "x", "checkpoint.every_steps": 3}).key == base.key
    for change in ({"optimizer.lr": 1.0}, {"image_size": 32}, {"model_args.norm": "batch"}):
        assert base.changed(change).key != base.key


def test_settings_change_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + AXES, "utf-8")
    changed = {"epochs": 3, "seeds": [4], "data.photos_per_class": 2, "settings.drop_rate": 0.0}
    study = load_study(path, changed)
    assert (study.base.recipe.epochs, study.seeds, study.data.photos_per_class) == (3, (4,), 2)
    assert study.base.recipe.drop_rate == 0.0
    with pytest.raises(TrainingError, match="photo_per_class"):
        load_study(path, {"data.photo_per_class": 2})


def test_a_subset_is_fixed_by_its_seed_and_grows() -> None:
    photos = tuple(Photo(Path(f"{label}-{at}.jpg"), label) for label in range(3) for at in range(10 + label))
    data = PhotoData(("a", "b", "c"), photos, photos[:9])
    small, large = Subset(2, 1).select(data), Subset(5).select(data)
    assert Counter(photo.label for photo in small.train) == {0: 2, 1: 2, 2: 2}
    assert set(small.train) < set(large.train)
    assert len(small.val) == 1
    assert large.val == data.val
    assert Subset(2).select(data).train == small.train
    assert Subset(2, seed=1).select(data).train != small.train


def test_the_file_that_the_guide_shows_is_valid(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "study.md").read_text("utf-8")
    text = guide.split('```toml title="mine.toml"\n')[1].split("```")[0]
    study = read(tmp_path, text)
    assert len(study.axes) == 4
    assert (study.sampler, study.pruner, study.budget.trials) == ("tpe", "median", 20)
