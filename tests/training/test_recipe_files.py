from __future__ import annotations

import re
from pathlib import Path

import pytest

from activitynet.errors import TrainingError
from activitynet.training.recipe import Recipe, format_recipe, list_recipes, load_recipe, parse_setting


@pytest.mark.parametrize("name", list_recipes())
def test_each_recipe_of_the_library_says_what_it_is_for_and_survives_toml(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.description.endswith(".")
    path = tmp_path / "copy.toml"
    path.write_text(format_recipe(recipe), "utf-8")
    assert load_recipe(path) == load_recipe(str(path)) == recipe


def test_the_default_recipe_is_the_defaults() -> None:
    assert load_recipe("default").override(description="") == Recipe()


def test_the_published_snapshots() -> None:
    snapshots = {name: load_recipe(f"deep_seers_{name}") for name in ("resnet18_se", "efficientnet_b0_se")}
    published = {"resnet18_se": (18, 40), "efficientnet_b0_se": (40, 142, 251)}
    assert {name: recipe.checkpoint.epochs for name, recipe in snapshots.items()} == published
    assert all(recipe.epochs == recipe.checkpoint.epochs[-1] for recipe in snapshots.values())


def test_what_a_file_leaves_out_keeps_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = '\ufeffdescription = "Große Fotos"\r\n[optimizer]\r\nlr = 1\r\n'
    Path("mine.toml").write_bytes(text.encode())
    Path("odd").write_bytes(text.encode())
    expected = Recipe(description="Große Fotos").override({"optimizer.lr": 1.0})
    for path in ("mine.toml", "./odd", Path("odd")):
        assert load_recipe(path) == expected


def test_every_field_and_every_kind_of_text_survives_toml(tmp_path: Path) -> None:
    recipe = Recipe().override(
        {
            "description": 'a "quote", a \\, a tab\t, a bell\a, \x7f, \u202e, 😀, é\nend',
            "optimizer.lr": 1e-12,
            "distill.teachers": ["C:\\weights", "b"],
            "checkpoint.epochs": [18, 40],
            "freeze_norm": True,
        }
    )
    path = tmp_path / "all.toml"
    path.write_text(text := format_recipe(recipe), "utf-8")
    assert load_recipe(path) == recipe
    assert all(line.isprintable() for line in text.splitlines())


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(
        TrainingError, match=r"no recipe 'fine-tune'\. Did you mean 'fine_tune'\? Known: d.*\.toml"
    ):
        load_recipe("fine-tune")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot read recipe '.*mine\.toml': No such file"),
        (b"epochs = 3\nlr 0.1\n", r"mine\.toml' is not TOML: .*line 2"),
        (b"epochs = '\xff'", r"mine\.toml' is not TOML: .*UTF-8"),
        (b"epoch = 3", r"mine\.toml'.*no field 'epoch'.*Did you mean 'epochs'"),
        (b"optimizer = 3", r"mine\.toml'.*'optimizer' must be a table"),
        (
            b"[optimizer]\nlr = -1",
            r"mine\.toml'.*'optimizer\.lr' must be a number from 1e-12 to 1000, got -1",
        ),
        (b"[augment]\nflip = 3", r"mine\.toml'.*flip"),
    ],
)
def test_files_that_are_no_recipes_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=message) as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimizer.lr=3e-4", ("optimizer.lr", 3e-4)),
        (" epochs = 7 ", ("epochs", 7)),
        ("freeze_norm=true", ("freeze_norm", True)),
        ("checkpoint.epochs=[18, 40]", ("checkpoint.epochs", [18, 40])),
        ("optimizer.name=sgd", ("optimizer.name", "sgd")),
        ("optimizer.name='sgd'", ("optimizer.name", "sgd")),
        ("description=a = b", ("description", "a = b")),
        ("description=", ("description", "")),
        ("epochs=7\nseed = 3", ("epochs", "7\nseed = 3")),  # one setting sets one field
    ],
)
def test_settings_are_toml_values_or_else_text(text: str, expected: tuple[str, object]) -> None:
    assert parse_setting(text) == expected


@pytest.mark.parametrize("text", ["epochs", "=3", "", "epochs: 3"])
def test_settings_that_set_nothing_are_refused(text: str) -> None:
    with pytest.raises(TrainingError, match="FIELD=VALUE"):
        parse_setting(text)


def test_the_page_on_recipes_has_every_field_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| `(.+?)` \| .+ \|$", page, re.MULTILINE)
    table, fields = "", {}
    for line in format_recipe(Recipe()).splitlines():
        name, _, value = line.partition(" = ")
        if value:
            fields[table + name] = value
        elif line:
            table = line.strip("[]") + "."
    assert dict(rows) == fields
    assert len(rows) == len(fields)
    assert all(f"`{name}`" in page for name in list_recipes())
