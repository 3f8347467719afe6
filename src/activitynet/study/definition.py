"""The definition of a study: what is varied, over which seeds, how far, on which photos."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.resources
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from activitynet.data.dataset import Photo, PhotoData
from activitynet.errors import ActivityNetError, TrainingError, clipped, did_you_mean, shown
from activitynet.runtime.seeds import derived_seed
from activitynet.serialization.records import check_record, read_record, to_plain
from activitynet.serialization.toml_files import TomlFiles
from activitynet.study.axes import Axis, Name, Value, read_axes
from activitynet.training.recipe import Recipe, flat, load_recipe
from activitynet.zoo import create_model

Seed = Annotated[int, Meta(ge=0, lt=2**32)]
Count = Annotated[int, Meta(ge=1)]

STUDY_FILES = TomlFiles("study", importlib.resources.files("activitynet.study") / "studies")
"""The studies that come with the library."""

_MAX_GRID = 1000
_SPECIAL = ("model", "init_from", "image_size")  # fields of a configuration beside its recipe
_MODEL_ARGS = "model_args."
_NONE = "none"  # stands for None among a network's arguments, since TOML has no null


@dataclass(frozen=True)
class Configuration:
    """A network and a recipe.

    Attributes:
        model: A name that `create_model` knows.
        init_from: Where the backbone's weights come from; `None` starts from random weights.
        image_size: Side of the image in pixels; `None` takes the network's own.
        model_args: Further arguments of the network.
        recipe: How to train it.

    Raises:
        TrainingError: A field has a wrong type or range.
    """

    model: Name
    init_from: Name | None = None
    image_size: Annotated[int, Meta(ge=8, le=4096)] | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        check_record(self, TrainingError)

    def changed(self, changes: Mapping[str, Any]) -> Configuration:
        """Return a copy with some fields changed.

        Args:
            changes: Values by dotted names of recipe fields, ``model``, ``init_from``, ``image_size`` or
                ``model_args.NAME``.

        Raises:
            ActivityNetError: A field is unknown, or its value has a wrong type or range.
        """
        special: dict[str, Any] = {}
        arguments = dict(self.model_args)
        for_recipe: dict[str, Any] = {}
        known = [name for name, _ in flat(self.recipe.to_dict())]
        for name, value in changes.items():
            if name in _SPECIAL:
                special[name] = value
            elif name.startswith(_MODEL_ARGS):
                arguments[name.removeprefix(_MODEL_ARGS)] = None if value == _NONE else value
            elif name in known:
                for_recipe[name] = value
            else:
                hint = did_you_mean(name, [*known, *_SPECIAL])
                raise TrainingError(
                    f"there is no field {shown(name)}.{hint} Name a field of the recipe, model, init_from, "
                    "image_size or model_args.NAME."
                )
        recipe = self.recipe.override(for_recipe)
        return dataclasses.replace(self, **special, model_args=arguments, recipe=recipe)

    @functools.cached_property
    def key(self) -> str:
        """Twelve hexadecimal digits that identify what is trained and how."""
        value = to_plain(self)
        for name in ("description", "checkpoint"):  # they do not change the result
            del value["recipe"][name]
        return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class Budget:
    """How far a study goes. It begins nothing new once any of these is used up.

    Attributes:
        trials: Number of configurations, without the base.
        epochs: Number of epochs of all runs together.
        minutes: Minutes of training and validation of all runs together.
    """

    trials: Count | None = None
    epochs: Count | None = None
    minutes: Annotated[float, Meta(gt=0)] | None = None


@dataclass(frozen=True)
class Subset:
    """Which photos a study uses.

    Attributes:
        photos_per_class: Most training photos of each class; `None` for all.
        val_photos_per_class: Most validation photos of each class; `None` for all.
        seed: Seed of the choice.
    """

    photos_per_class: Count | None = None
    val_photos_per_class: Count | None = None
    seed: Seed = 0

    def select(self, data: PhotoData) -> PhotoData:
        """Return the subset of a data set. A larger subset contains the smaller one."""
        return PhotoData(
            classes=data.classes,
            train=self._select(data.train, self.photos_per_class, "train"),
            val=self._select(data.val, self.val_photos_per_class, "val"),
            ignored=data.ignored,
            skipped=data.skipped,
        )

    def _select(self, photos: tuple[Photo, ...], most: int | None, split: str) -> tuple[Photo, ...]:
        if most is None:
            return photos
        ranks: dict[int, list[tuple[int, int]]] = {}
        for index, photo in enumerate(photos):
            ranked = ranks.setdefault(photo.label, [])
            ranked.append((derived_seed(self.seed, split, photo.label, len(ranked)), index))
        kept = {index for ranked in ranks.values() for _, index in sorted(ranked)[:most]}
        return tuple(photos[index] for index in sorted(kept))


@dataclass(frozen=True)
class Study:
    """What a study compares. Its file has the same fields, and some more: see the guide on studies.

    Attributes:
        name: Name of the study.
        model: Network of the base; see `Configuration` for this and the next four.
        init_from: Where the base's weights come from.
        image_size: Image size of the base.
        model_args: Arguments of the base's network.
        recipe: Recipe of the base.
        axes: What is varied.
        description: One line about it.
        seeds: Each configuration is trained once with each seed.
        sampler: ``"grid"`` tries all points; ``"random"`` and ``"tpe"`` (Bergstra et al. 2011) draw them.
        pruner: Ends a configuration early by the scores of its first seed: ``"none"``; ``"median"``, when it
            is worse than half of those before it at the same epoch; ``"halving"`` (Li et al. 2018,
            https://arxiv.org/abs/1810.05934).
        budget: How far it goes.
        data: Which photos it uses.
        seed: Seed of the sampler.

    Raises:
        TrainingError: A field has a wrong type or range, or the fields contradict each other.
    """

    name: Name
    model: Name
    axes: Annotated[tuple[Axis, ...], Meta(min_length=1)]
    description: str = ""
    init_from: Name | None = None
    image_size: Annotated[int, Meta(ge=8, le=4096)] | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)
    seeds: Annotated[tuple[Seed, ...], Meta(min_length=1)] = (0, 1, 2)
    sampler: Literal["grid", "random", "tpe"] = "grid"
    pruner: Literal["none", "median", "halving"] = "none"
    budget: Budget = field(default_factory=Budget)
    data: Subset = field(default_factory=Subset)
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_record(self, TrainingError)
        for name, items in (("seeds", self.seeds), ("axes", tuple(axis.name for axis in self.axes))):
            if len(set(items)) < len(items):
                raise TrainingError(f"field {name!r} has an entry twice; keep one of them.")
        for axis in self.axes:
            self._check_axis(axis)
        count = math.prod(len(axis.points) for axis in self.axes)
        if self.sampler == "grid" and count > _MAX_GRID:
            raise TrainingError(
                f"field 'axes' makes a grid of {count} configurations, more than {_MAX_GRID}."
            )
        if self.sampler != "grid" and self.budget == Budget():
            raise TrainingError(
                f"field 'budget' is missing: sampler {self.sampler!r} never ends without one. Give trials, "
                "epochs or minutes."
            )

    def _check_axis(self, axis: Axis) -> None:
        if self.sampler == "grid" and not axis.points:
            raise TrainingError(
                f"axis {shown(axis.name)}: a grid needs countable points. Give the range a step, or take "
                'sampler = "random".'
            )
        for point in axis.points or (axis.low or 0.0, axis.high or 0.0):
            try:
                self.base.changed(axis.change(point))
            except ActivityNetError as error:
                where = f", alternative {shown(point)}" if axis.alternatives is not None else ""
                text = clipped(error).removeprefix("Configuration: ")
                raise TrainingError(f"axis {shown(axis.name)}{where}: {text}") from error

    @functools.cached_property
    def base(self) -> Configuration:
        """The configuration that the others are compared with."""
        return Configuration(self.model, self.init_from, self.image_size, self.model_args, self.recipe)

    def configuration(self, point: Mapping[str, Value]) -> Configuration:
        """Return the configuration at a point of the axes; without a point, the base.

        Raises:
            ActivityNetError: The values cannot be combined.
        """
        changes: dict[str, Any] = {}
        for axis in self.axes:
            if axis.name in point:
                changes.update(axis.change(point[axis.name]))
        return self.base.changed(changes)

    def label(self, point: Mapping[str, Value]) -> str:
        """Return a short name of the configuration at a point."""
        plain = {"model", *(axis.name for axis in self.axes if axis.alternatives is not None)}
        parts = []
        for name, value in point.items():
            text = f"{value:.3g}" if isinstance(value, float) else str(value)
            parts.append(text if name in plain else f"{name.rpartition('.')[2]} {text}")
        return ", ".join(parts) or "base"

    def grid(self) -> Iterator[dict[str, Value]]:
        """Yield all points of a grid. The last axis changes fastest."""
        names = [axis.name for axis in self.axes]
        for values in itertools.product(*(axis.points for axis in self.axes)):
            yield dict(zip(names, values, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain JSON values, which `parse_study` reads back."""
        return to_plain(self)

    def check_networks(self) -> None:
        """Make every network that the study names, on the meta device.

        Raises:
            TrainingError: Naming the configuration whose network cannot be made.
        """
        import torch  # noqa: PLC0415  listing studies does not need it

        single = ({axis.name: point} for axis in self.axes for point in axis.points)
        made: set[str] = set()
        for point in ({}, *(self.grid() if self.sampler == "grid" else single)):
            try:
                found = self.configuration(point)
                rates = {name: getattr(found.recipe, name) for name in ("drop_rate", "drop_path_rate")}
                network = repr((found.model, found.model_args, rates))
                if network not in made:
                    with torch.device("meta"):
                        create_model(found.model, model_args=found.model_args, **rates)
                made.add(network)
            except ActivityNetError as error:
                raise TrainingError(
                    f"study {self.name!r}, configuration {self.label(point)!r}: {error}"
                ) from error


def list_studies() -> list[str]:
    """Return the names of the studies that come with the library, sorted."""
    return STUDY_FILES.names()


def load_study(study: str | os.PathLike[str], settings: Mapping[str, Any] | None = None) -> Study:
    """Read a study, and check that all of it can be done.

    Args:
        study: A name of `list_studies`, or the path of a TOML file. A string is a path when it ends in
            ``.toml`` or contains a separator.
        settings: Fields of the file to change, by their dotted names: ``{"image_size": 64}``,
            ``{"data.photos_per_class": 20}``.

    Raises:
        TrainingError: There is no such study, its file cannot be read or is not TOML, or a field is unknown,
            missing, or has a wrong type or range.
    """
    values = {"name": Path(study).name.removesuffix(".toml"), **STUDY_FILES.read(study)}
    what = f"study {os.fspath(study)!r}"
    for name, value in (settings or {}).items():
        table, _, inner = name.partition(".")  # below settings and axes names are dotted themselves
        if not inner:
            values[table] = value
        elif isinstance(place := values.setdefault(table, {}), dict):
            place[inner] = value
        else:
            raise TrainingError(f"{what}: field {shown(table)} is not a table, so it has no {shown(name)}.")
    found = parse_study(values, what=what)
    found.check_networks()
    return found


def parse_study(values: Mapping[str, Any], *, what: str) -> Study:
    """Make a study from the fields of its file, or from what `Study.to_dict` returned.

    Args:
        values: The fields.
        what: The study's name in errors.

    Raises:
        TrainingError: A field is unknown, missing, or has a wrong type or range.
    """
    fields = dict(values)
    known = [*(one.name for one in dataclasses.fields(Study)), "settings", "epochs"]
    try:
        for name in fields:
            if name not in known:
                raise TrainingError(f"there is no field {shown(name)}.{did_you_mean(name, known)}")
        recipe = _recipe(fields.pop("recipe", "default"), fields.pop("settings", {}))
        if "epochs" in fields:
            recipe = recipe.override({"epochs": fields.pop("epochs")})
        fields["recipe"] = recipe
        if isinstance(arguments := fields.get("model_args"), Mapping):
            fields["model_args"] = {
                name: None if value == _NONE else value for name, value in arguments.items()
            }
        if isinstance(axes := fields.get("axes"), Mapping):
            fields["axes"] = read_axes(axes, recipe)
    except ActivityNetError as error:
        raise TrainingError(f"{what}: {error}") from error
    return read_record(fields, Study, what=what, error=TrainingError)


def _recipe(recipe: Any, settings: Any) -> Recipe:
    if not isinstance(recipe, str | Mapping):
        raise TrainingError(
            f"field 'recipe' must be a name, a file or a table of fields, got {shown(recipe)}."
        )
    if not isinstance(settings, Mapping):
        raise TrainingError(f"field 'settings' must be a table of fields, got {shown(settings)}.")
    found = (
        load_recipe(recipe)
        if isinstance(recipe, str)
        else read_record(recipe, Recipe, what="recipe", error=TrainingError)
    )
    return found.override(dict(flat(settings)))
