"""One thing that a study tries: a network and a recipe, wholly said."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from activitynet.errors import TrainingError, did_you_mean, shown
from activitynet.training.recipe import Recipe, flat
from activitynet.zoo import create_model

SPECIAL = ("model", "init_from", "image_size")
"""Fields of a configuration that are no fields of its recipe."""

MODEL_ARGS = "model_args."
NOTHING = "none"
"""What stands for `None` among a network's arguments, since TOML has no word for it."""


@dataclass(frozen=True)
class Configuration:
    """What is trained, and how.

    Attributes:
        model: A name that `create_model` knows.
        init_from: Where the trunk's weights come from; `None` starts from random ones.
        image_size: Side in pixels of the image; `None` takes the network's own.
        model_args: Further arguments of the network.
        recipe: How it is trained.
    """

    model: str
    init_from: str | None = None
    image_size: int | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)

    def changed(self, changes: Mapping[str, Any]) -> Configuration:
        """Return a copy with fields changed.

        Args:
            changes: Dotted names of recipe fields, ``model``, ``init_from``, ``image_size`` or
                ``model_args.NAME``, to values.

        Raises:
            TrainingError: A field is unknown, or its value has the wrong type or range.
            DataError: A value of the augmentation is out of range.
        """
        special: dict[str, Any] = {}
        arguments = dict(self.model_args)
        for_recipe: dict[str, Any] = {}
        for name, value in changes.items():
            if name in SPECIAL:
                special[name] = checked_special(name, value)
            elif name.startswith(MODEL_ARGS):
                arguments[name.removeprefix(MODEL_ARGS)] = None if value == NOTHING else value
            else:
                for_recipe[name] = value
        check_names(for_recipe, self.recipe)
        recipe = self.recipe.override(for_recipe)
        return dataclasses.replace(self, **special, model_args=arguments, recipe=recipe)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that say what is trained and how, and nothing of what is written."""
        value = self.to_dict()
        for name in ("description", "checkpoint"):
            del value["recipe"][name]
        text = json.dumps(value, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def check_network(self) -> None:
        """Make the network without memory, to see that it can be made.

        Raises:
            ModelError: There is no such network, or it has no such argument.
        """
        import torch  # noqa: PLC0415  what lists studies needs none

        with torch.device("meta"):
            create_model(
                self.model,
                drop_rate=self.recipe.drop_rate,
                drop_path_rate=self.recipe.drop_path_rate,
                model_args=self.model_args,
            )


def checked_special(name: str, value: Any) -> Any:
    """Return a value of one of the fields that no recipe has, or refuse it by name."""
    if name == "image_size":
        if type(value) is not int or not 8 <= value <= 4096:
            raise TrainingError(
                f"field 'image_size' is {shown(value)}; it has to be a side of 8 to 4096 pixels."
            )
    elif not isinstance(value, str) or not value:
        raise TrainingError(f"field {name!r} is {shown(value)}; it has to be a name.")
    return value


def check_names(changes: Mapping[str, Any], recipe: Recipe) -> None:
    """Refuse a name that is neither a recipe's field nor one of the special ones.

    Raises:
        TrainingError: Naming it.
    """
    known = [name for name, _ in flat(recipe.to_dict())]
    for name in changes:
        if name not in known and not any(other.startswith(name + ".") for other in known):
            hint = did_you_mean(name, [*known, *SPECIAL])
            raise TrainingError(
                f"there is no field {shown(name)}.{hint} A field is a recipe's (optimizer.lr), model, "
                "init_from, image_size or model_args.NAME."
            )
