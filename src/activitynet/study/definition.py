"""A study as one frozen record: what is varied, over which seeds, how far."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from activitynet.data.dataset import Photo, PhotoData
from activitynet.errors import ActivityNetError, DataError, TrainingError, did_you_mean, shown
from activitynet.runtime.seeds import derived_seed
from activitynet.serialization.records import is_number
from activitynet.study.axes import Axis, Choices, Value, axis_from_dict, read_axes
from activitynet.study.configuration import SPECIAL, Configuration
from activitynet.training.recipe import Recipe, flat, load_recipe

Sampler = Literal["grid", "random", "tpe"]
Pruner = Literal["none", "median", "halving"]
_MOST_IN_A_GRID = 1000


@dataclass(frozen=True)
class Budget:
    """How far a study goes. Whatever is used up first ends it; what has begun by then is finished.

    Attributes:
        trials: Configurations, the base not counted.
        epochs: Epochs of all runs together.
        minutes: Minutes of training and validation, of all runs together.
    """

    trials: int | None = None
    epochs: int | None = None
    minutes: float | None = None

    @property
    def is_endless(self) -> bool:
        """Whether nothing ends the study."""
        return self.trials is None and self.epochs is None and self.minutes is None


@dataclass(frozen=True)
class Subset:
    """Which photos of the data a study looks at.

    Attributes:
        photos_per_class: Training photos of each class at most; `None` for all.
        val_photos_per_class: The same of the validation photos.
        seed: Fixes which.
    """

    photos_per_class: int | None = None
    val_photos_per_class: int | None = None
    seed: int = 0

    def of(self, data: PhotoData) -> PhotoData:
        """Return the subset of a data set: of each class the photos that the seed ranks first."""
        return PhotoData(
            classes=data.classes,
            train=self._taken(data.train, self.photos_per_class, "train"),
            val=self._taken(data.val, self.val_photos_per_class, "val"),
            ignored=data.ignored,
            skipped=data.skipped,
        )

    def _taken(self, photos: tuple[Photo, ...], most: int | None, split: str) -> tuple[Photo, ...]:
        if most is None:
            return photos
        of_class: dict[int, list[int]] = {}
        for index, photo in enumerate(photos):
            of_class.setdefault(photo.label, []).append(index)
        kept: set[int] = set()
        for label, indices in of_class.items():
            # By rank, so that a larger subset holds the smaller one.
            ranked = sorted(
                indices, key=lambda index: derived_seed(self.seed, split, label, indices.index(index))
            )
            kept.update(ranked[:most])
        return tuple(photo for index, photo in enumerate(photos) if index in kept)


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        name: What to call it.
        description: What it is for, in a line.
        base: What every configuration is compared with.
        axes: What is varied.
        seeds: Each configuration is trained once with each.
        sampler: ``"grid"`` tries all there is, ``"random"`` and ``"tpe"`` draw (Bergstra et al. 2011).
        pruner: What ends a configuration early by its first seed: ``"none"``; ``"median"``, when it is worse
            than half of those before it at the same epoch; ``"halving"`` (Li et al. 2018,
            https://arxiv.org/abs/1810.05934).
        budget: How far it goes.
        data: Which photos it looks at.
        seed: Where the sampler's draws come from.
    """

    name: str
    description: str
    base: Configuration
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    sampler: Sampler
    pruner: Pruner
    budget: Budget
    data: Subset
    seed: int = 0

    def configuration(self, point: Mapping[str, Value]) -> Configuration:
        """Return the base, changed as a point on all axes says; without a point, the base itself.

        Raises:
            ActivityNetError: The values do not go together.
        """
        changes: dict[str, Any] = {}
        for axis in self.axes:
            if axis.name in point:
                changes.update(axis.change(point[axis.name]))
        return self.base.changed(changes)

    def label(self, point: Mapping[str, Value]) -> str:
        """Return what to call the configuration at a point."""
        if not point:
            return "base"
        named = {axis.name for axis in self.axes if isinstance(axis, Choices) and axis.is_named}
        return ", ".join(
            shown_value if name in named or name == "model" else f"{name.rpartition('.')[2]} {shown_value}"
            for name, shown_value in (
                (name, f"{value:.3g}" if isinstance(value, float) else str(value))
                for name, value in point.items()
            )
        )

    def grid(self) -> Iterator[dict[str, Value]]:
        """Yield all points of a grid, the last axis changing fastest."""
        names = [axis.name for axis in self.axes]
        for values in itertools.product(*(axis.values or () for axis in self.axes)):
            yield dict(zip(names, values, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain JSON values."""
        return {
            "name": self.name,
            "description": self.description,
            "base": self.base.to_dict(),
            "axes": [axis.to_dict() for axis in self.axes],
            "seeds": list(self.seeds),
            "sampler": self.sampler,
            "pruner": self.pruner,
            "budget": asdict(self.budget),
            "data": asdict(self.data),
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Study:
        """Make a study from what `to_dict` returned.

        Raises:
            ActivityNetError: A value cannot be.
            KeyError: A field is missing.
        """
        base = dict(value["base"])
        return cls(
            **{name: value[name] for name in ("name", "description", "sampler", "pruner", "seed")},
            base=Configuration(**{**base, "recipe": Recipe.from_dict(base["recipe"])}),
            axes=tuple(axis_from_dict(axis) for axis in value["axes"]),
            seeds=tuple(value["seeds"]),
            budget=Budget(**value["budget"]),
            data=Subset(**value["data"]),
        )

    def check(self) -> None:
        """Make every network that the study can name, without memory.

        Raises:
            TrainingError: Naming the configuration whose network cannot be made.
        """
        points: list[dict[str, Value]] = [{}]
        if self.sampler == "grid":
            points += list(itertools.islice(self.grid(), _MOST_IN_A_GRID))
        else:
            points += [{axis.name: value} for axis in self.axes for value in axis.values or ()]
        seen: set[str] = set()
        for point in points:
            try:
                configuration = self.configuration(point)
                about = repr((configuration.model, configuration.model_args)) + repr(
                    (configuration.recipe.drop_rate, configuration.recipe.drop_path_rate)
                )
                if about not in seen:
                    configuration.check_network()
                seen.add(about)
            except ActivityNetError as error:
                raise TrainingError(
                    f"study {self.name!r}, configuration {self.label(point)!r}: {error}"
                ) from error


_FIELDS = (
    *("description", "recipe", *SPECIAL, "epochs", "seeds", "seed", "sampler", "pruner"),
    *("model_args", "settings", "budget", "data", "axes"),
)


def read_definition(values: Mapping[str, Any], name: str) -> Study:
    """Make a study from what its TOML file says.

    Args:
        values: The file.
        name: What to call the study.

    Raises:
        TrainingError: A field is unknown, missing, or its value has the wrong type or range.
    """
    _check_fields(values, _FIELDS, "a study")
    sampler = _choice(values, "sampler", get_args(Sampler), "grid")
    pruner = _choice(values, "pruner", get_args(Pruner), "none")
    budget = Budget(**_numbers(values, "budget", {"trials": int, "epochs": int, "minutes": float}, low=1e-9))
    subset = Subset(
        **_numbers(
            values, "data", {"photos_per_class": int, "val_photos_per_class": int}, low=1, also=("seed",)
        )
    )
    description = values.get("description", "")
    if not isinstance(description, str):
        raise TrainingError(f"field 'description' is {shown(description)}; it has to be text.")
    base = _base(values)
    study = Study(
        name=name,
        description=description,
        base=base,
        axes=read_axes(values.get("axes"), base, grid=sampler == "grid"),
        seeds=_seeds(values.get("seeds", [0, 1, 2])),
        sampler=sampler,
        pruner=pruner,
        budget=budget,
        data=subset,
        seed=_seed("seed", values.get("seed", 0)),
    )
    if sampler == "grid":
        count = 1
        for axis in study.axes:
            count *= len(axis.values or ())
        if count > _MOST_IN_A_GRID:
            raise TrainingError(
                f"field 'axes' makes a grid of {count} configurations; {_MOST_IN_A_GRID} is the most."
            )
    elif budget.is_endless:
        raise TrainingError(
            f"field 'budget' is missing: sampler {sampler!r} has no end of its own. Give trials, epochs or "
            "minutes."
        )
    return study


def _base(values: Mapping[str, Any]) -> Configuration:
    recipe = values.get("recipe", "default")
    if not isinstance(recipe, str):
        raise TrainingError(f"field 'recipe' is {shown(recipe)}; it has to be a name or a file.")
    if "model" not in values:
        raise TrainingError("field 'model' is missing: the network that the study begins with.")
    changes = dict(_table(values, "settings"))
    if any(isinstance(value, Mapping) for value in changes.values()):
        changes = dict(flat(changes))
    changes.update({f"model_args.{name}": value for name, value in _table(values, "model_args").items()})
    changes.update({name: values[name] for name in (*SPECIAL, "epochs") if name in values})
    return Configuration(model="", recipe=load_recipe(recipe)).changed(changes)


def _check_fields(values: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for name in values:
        if name not in known:
            raise TrainingError(
                f"{what} has no field {shown(name)}.{did_you_mean(name, known)} Known: {', '.join(known)}."
            )


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = values.get(name, {})
    if not isinstance(table, Mapping):
        raise TrainingError(f"field {name!r} is {shown(table)}; it has to be a table.")
    return table


def _choice(values: Mapping[str, Any], name: str, choices: tuple[Any, ...], default: str) -> Any:
    value = values.get(name, default)
    if value not in choices:
        hint = did_you_mean(str(value), choices)
        raise TrainingError(
            f"field {name!r} is {shown(value)}; it has to be one of {', '.join(choices)}.{hint}"
        )
    return value


def _numbers(
    values: Mapping[str, Any], name: str, kinds: Mapping[str, type], *, low: float, also: tuple[str, ...] = ()
) -> dict[str, Any]:
    table = _table(values, name)
    _check_fields(table, (*kinds, *also), f"{name!r}")
    for field, kind in kinds.items():
        value = table.get(field, 1)
        if not is_number(value) or value < low or (kind is int and type(value) is not int):
            wanted = "a whole number from 1" if kind is int else "a number greater than 0"
            raise TrainingError(f"field '{name}.{field}' is {shown(value)}; it has to be {wanted}.")
    if "seed" in table:
        _seed(f"{name}.seed", table["seed"])
    return dict(table)


def _seed(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**32:
        raise TrainingError(f"field {name!r} is {shown(value)}; it has to be a whole number in [0, 2**32).")
    return value


def _seeds(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        raise TrainingError(f"field 'seeds' is {shown(value)}; it has to be a list of one seed or more.")
    seeds = tuple(_seed("seeds", seed) for seed in value)
    if len(set(seeds)) != len(seeds):
        raise TrainingError("field 'seeds' names a seed twice; keep one of them.")
    return seeds


def open_subset(study: Study, data: PhotoData) -> PhotoData:
    """Return the photos that a study looks at.

    Raises:
        DataError: There is nothing to train on, or nothing to validate on.
    """
    for split in ("train", "val"):
        if not getattr(data, split):
            raise DataError(
                f"there are no {split!r} photos, and a study needs both 'train' and 'val'; add some."
            )
    return study.data.of(data)


def study_name(study: str | Path) -> str:
    """Return what to call the study of a file or of a name."""
    return Path(study).name.removesuffix(".toml")
