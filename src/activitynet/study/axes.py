"""What a study varies: lists of values, ranges of numbers, and named alternatives."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta

from activitynet.errors import TrainingError, shown
from activitynet.serialization.records import check_record, read_record
from activitynet.training.recipe import Recipe, flat

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value: TypeAlias = "str | int | float | bool"
"""A point on an axis, as Optuna records it."""

Name = Annotated[str, Meta(min_length=1, description="a name")]

_MAX_POINTS = 1000


@dataclass(frozen=True)
class Axis:
    """What a study varies: a list of values, a range of numbers, or named alternatives.

    Attributes:
        name: The field that takes the values, or any name for alternatives.
        values: The values of a list.
        alternatives: For each name, the fields that it changes.
        low: The smallest number of a range.
        high: The largest.
        log: Draw from the range on a logarithmic scale.
        step: Distance between the points of the range; `None` for any number in between.

    Raises:
        TrainingError: A field has a wrong type or range, or the fields contradict each other.
    """

    name: Name
    values: Annotated[tuple[Any, ...], Meta(min_length=1, max_length=_MAX_POINTS)] | None = None
    alternatives: Mapping[str, Mapping[str, Any]] | None = None
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None

    def __post_init__(self) -> None:
        check_record(self, TrainingError)
        listed = self.values if self.values is not None else self.alternatives
        if listed is None:
            self._check_range()
        elif (self.values is not None and self.alternatives is not None) or self.low is not self.high:
            raise TrainingError("give either values, or a range, or alternatives.")
        elif len(self._changes) < len(listed):
            raise TrainingError("a value is there twice (1, 1.0 and true are the same); keep one of them.")

    def _check_range(self) -> None:
        low, high, step = self.low, self.high, self.step
        if low is None or high is None:
            raise TrainingError(f"a range needs {'low' if low is None else 'high'!r}.")
        if low >= high:
            raise TrainingError(f"'low' must be less than 'high', got {low} and {high}.")
        if self.log and low <= 0:
            raise TrainingError(f"'low' must be above 0 on a logarithmic scale, got {low}.")
        if step is not None and self.log:
            raise TrainingError("a logarithmic range takes no step.")
        if step is not None and not (0 < step <= high - low and (high - low) / step <= _MAX_POINTS):
            raise TrainingError(f"'step' must divide the range into 1 to {_MAX_POINTS} parts, got {step}.")

    @functools.cached_property
    def _changes(self) -> Mapping[Value, Mapping[str, Any]]:
        """The fields that each point changes; empty for a range without steps."""
        if self.alternatives is not None:
            return dict(self.alternatives.items())
        if self.values is not None:
            return {_label(value): {self.name: value} for value in self.values}
        if self.step is None or self.low is None or self.high is None:
            return {}
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        points = [self.low + self.step * index for index in range(count)]
        return {point: {self.name: point} for point in (round(point, 12) for point in points)}

    @property
    def points(self) -> tuple[Value, ...]:
        """All points of the axis; empty for a range without steps."""
        return tuple(self._changes)

    def change(self, point: Value) -> Mapping[str, Any]:
        """Return the fields that a point changes, with their values."""
        return self._changes.get(point, {self.name: point})

    def distribution(self) -> BaseDistribution:
        """Return the axis as a distribution of Optuna."""
        from optuna import distributions  # noqa: PLC0415  an extra

        if self.low is None or self.high is None:
            return distributions.CategoricalDistribution(self.points)
        high = self.points[-1] if self.points else self.high  # the rest beyond the last step is left out
        if all(isinstance(number, int) for number in (self.low, high, self.step or 1)):
            return distributions.IntDistribution(self.low, high, log=self.log, step=self.step or 1)
        return distributions.FloatDistribution(self.low, high, log=self.log, step=self.step)


def read_axes(axes: Mapping[str, Any], recipe: Recipe) -> list[Axis]:
    """Read the ``axes`` of a study's file.

    Args:
        axes: The table. To TOML, ``optimizer.lr = …`` without quotes is a table within it.
        recipe: The recipe that is varied.

    Raises:
        TrainingError: Naming the axis, and what is wrong with it.
    """
    found: list[Axis] = []
    tables = {"model_args", *(name for name, value in recipe.to_dict().items() if isinstance(value, Mapping))}
    for name, spec in axes.items():
        if name in tables and isinstance(spec, Mapping):
            for inner, inner_spec in spec.items():
                found.append(_axis(f"{name}.{inner}", inner_spec, recipe))
        else:
            found.append(_axis(name, spec, recipe))
    return found


def _axis(name: str, spec: Any, recipe: Recipe) -> Axis:
    if isinstance(spec, list):
        fields: dict[str, Any] = {"values": spec}
    elif not isinstance(spec, Mapping):
        raise TrainingError(
            f"axis {shown(name)} must be a list, a range or a table of alternatives, got {shown(spec)}."
        )
    elif any(isinstance(item, Mapping) for item in spec.values()):
        changes = {key: dict(flat(item)) if isinstance(item, Mapping) else item for key, item in spec.items()}
        fields = {"alternatives": changes}
    else:
        fields = dict(spec)
        if isinstance(
            dict(flat(recipe.to_dict())).get(name), float
        ):  # not only whole numbers between 0 and 1
            fields = {key: float(item) if type(item) is int else item for key, item in spec.items()}
    return read_record({**fields, "name": name}, Axis, what=f"axis {shown(name)}", error=TrainingError)


def _label(value: Any) -> Value:
    """Return a value as Optuna records it: anything but text, a number or a truth value as JSON."""
    if isinstance(value, str | int | float | bool):
        return value
    try:
        return json.dumps(value)
    except TypeError as error:  # such as a date
        raise TrainingError(f"no field takes the value {shown(value)}.") from error
