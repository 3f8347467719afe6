"""What a study varies: lists of values, named alternatives, and ranges of numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from activitynet.errors import ActivityNetError, TrainingError, clipped, did_you_mean, shown
from activitynet.serialization.records import is_number
from activitynet.study.configuration import Configuration
from activitynet.training.recipe import flat

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value: TypeAlias = "str | int | float | bool"
"""A point on an axis, as Optuna keeps it."""

_MOST = 10_000  # points of an axis; more is a slip of the pen
_RANGE = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Choices:
    """Values, or named alternatives that change several fields at once.

    Attributes:
        name: The field, or what the alternatives are called.
        changes: By the name or value of each, what it changes.
    """

    name: str
    changes: Mapping[Value, Mapping[str, Any]]

    @property
    def values(self) -> tuple[Value, ...]:
        """All points of the axis."""
        return tuple(self.changes)

    @property
    def is_named(self) -> bool:
        """Whether the points are alternatives with names, and not values of the field that the axis names."""
        return any(set(changes) != {self.name} for changes in self.changes.values())

    def change(self, value: Value) -> Mapping[str, Any]:
        """Return what fields become at a point."""
        return self.changes[value]

    def distribution(self) -> BaseDistribution:
        """Return the axis as Optuna knows it."""
        from optuna.distributions import CategoricalDistribution  # noqa: PLC0415  an extra

        return CategoricalDistribution(self.values)

    def to_dict(self) -> dict[str, Any]:
        """Return the axis as plain JSON values."""
        choices = [{"value": value, "changes": dict(changes)} for value, changes in self.changes.items()]
        return {"name": self.name, "choices": choices}


@dataclass(frozen=True)
class Range:
    """Numbers from one to another.

    Attributes:
        name: The field.
        low: The least.
        high: The greatest.
        log: Draw their logarithm evenly.
        step: Their distance; `None` for any number between.
        whole: Whole numbers only.
    """

    name: str
    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    @property
    def values(self) -> tuple[Value, ...] | None:
        """All points of the axis; `None` when they cannot be counted."""
        if self.step is None:
            return None
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        points = [self.low + self.step * at for at in range(count)]
        return tuple(round(point) if self.whole else round(point, 12) for point in points)

    def change(self, value: Value) -> Mapping[str, Any]:
        """Return what fields become at a point."""
        return {self.name: value}

    def distribution(self) -> BaseDistribution:
        """Return the axis as Optuna knows it."""
        from optuna.distributions import FloatDistribution, IntDistribution  # noqa: PLC0415  an extra

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        # What is left over at the end of a range in steps is no point of it.
        high = self.values[-1] if self.values else self.high
        return FloatDistribution(self.low, float(high), log=self.log, step=self.step)

    def to_dict(self) -> dict[str, Any]:
        """Return the axis as plain JSON values."""
        return asdict(self)


Axis: TypeAlias = "Choices | Range"


def axis_from_dict(value: Mapping[str, Any]) -> Axis:
    """Make an axis from what its ``to_dict`` returned."""
    if "choices" not in value:
        return Range(**value)
    return Choices(value["name"], {choice["value"]: choice["changes"] for choice in value["choices"]})


def read_axes(value: Any, base: Configuration, *, grid: bool) -> tuple[Axis, ...]:
    """Read the ``[axes]`` of a study file, and try every value on the base.

    Args:
        value: The table, as TOML gives it.
        base: What is varied.
        grid: Every axis must have countably many points.

    Raises:
        TrainingError: Naming the axis, and what is wrong with it.
    """
    if not isinstance(value, Mapping) or not value:
        raise TrainingError("'axes' has to be a table with an axis or more: what the study varies.")
    axes = []
    for name, spec in _flattened(value, base):
        try:
            axis = _axis(name, spec, base)
            if grid and axis.values is None:
                raise TrainingError(
                    "a grid goes through lists, and this range has no end of points: give it a step, or a "
                    'list, or take sampler = "random".'
                )
            _try_out(axis, base)
        except ActivityNetError as error:
            raise TrainingError(f"axis {shown(name)}: {error}") from error
        axes.append(axis)
    return tuple(axes)


def _flattened(value: Mapping[str, Any], base: Configuration) -> list[tuple[str, Any]]:
    """Return axes by name; ``optimizer.lr = …`` without quotes is a table within a table to TOML."""
    tables = {name for name, field in base.recipe.to_dict().items() if isinstance(field, Mapping)}
    found: list[tuple[str, Any]] = []
    for name, spec in value.items():
        if name in {*tables, "model_args"} and isinstance(spec, Mapping) and not set(spec) <= set(_RANGE):
            found += [(f"{name}.{inner}", inner_spec) for inner, inner_spec in spec.items()]
        else:
            found.append((name, spec))
    return found


def _axis(name: str, spec: Any, base: Configuration) -> Axis:
    if isinstance(spec, list):
        return Choices(name, _named([(_label(item), {name: item}) for item in spec]))
    if not isinstance(spec, Mapping):
        raise TrainingError(f"it is {shown(spec)}; it has to be a list, a range or a table of alternatives.")
    if any(isinstance(item, Mapping) for item in spec.values()):
        for alternative, changes in spec.items():
            if not isinstance(changes, Mapping):
                raise TrainingError(
                    f"alternative {shown(alternative)} has to be a table of fields and values."
                )
        return Choices(name, _named([(key, dict(flat(changes))) for key, changes in spec.items()]))
    return _range(name, spec, base)


def _named(choices: list[tuple[Value, dict[str, Any]]]) -> dict[Value, dict[str, Any]]:
    if not choices:
        raise TrainingError("it is empty; give it a value or more.")
    if len(choices) > _MOST:
        raise TrainingError(f"it has {len(choices)} values; {_MOST} is the most.")
    named: dict[Value, dict[str, Any]] = {}
    for label, changes in choices:
        if label in named:  # 1, 1.0 and true are one to Python, and to Optuna
            raise TrainingError(f"it names {shown(label)} twice; keep one of them.")
        named[label] = changes
    return named


def _label(item: Any) -> Value:
    if isinstance(item, str | int | float | bool):
        return item
    try:
        return json.dumps(item)
    except TypeError as error:  # a date, for one
        raise TrainingError(f"it has the value {shown(item)}, which no field takes.") from error


def _range(name: str, spec: Mapping[str, Any], base: Configuration) -> Range:
    for key in spec:
        if key not in _RANGE:
            raise TrainingError(
                f"a range has no field {shown(key)}.{did_you_mean(key, _RANGE)} It has low, high and, if you "
                "like, step or log; alternatives are tables."
            )
    for key in ("low", "high"):
        if key not in spec:
            raise TrainingError(f"a range needs {key!r}.")
    low, high, step, log = spec["low"], spec["high"], spec.get("step"), spec.get("log", False)
    for key, number in (("low", low), ("high", high), *([("step", step)] if step is not None else [])):
        if not is_number(number):
            raise TrainingError(f"{key!r} is {shown(number)}; it has to be a number.")
    if not isinstance(log, bool):
        raise TrainingError(f"'log' is {shown(log)}; it has to be true or false.")
    if low >= high:
        raise TrainingError(f"the range goes from {low} to {high}; 'low' has to be less than 'high'.")
    if step is not None and (log or not 0 < step <= high - low or (high - low) / step > _MOST):
        why = "a logarithmic range takes no step" if log else f"'step' is {step}, which does not fit into it"
        raise TrainingError(f"{why}.")
    if log and low <= 0:
        raise TrainingError(f"'low' is {low}; a logarithmic range begins above 0.")
    # Where the field takes whole numbers only, so does its range.
    whole = all(type(number) is int for number in (low, high, *([] if step is None else [step])))
    current = dict(flat({"image_size": base.image_size or 0, **base.recipe.to_dict()})).get(name)
    return Range(name, low, high, log, step, whole and type(current) is int)


def _try_out(axis: Axis, base: Configuration) -> None:
    ends = (axis.low, axis.high) if isinstance(axis, Range) else axis.values
    for value in ends:
        end = int(value) if isinstance(axis, Range) and axis.whole else value
        try:
            base.changed(axis.change(end))
        except ActivityNetError as error:
            where = f"alternative {shown(value)}: " if isinstance(axis, Choices) and axis.is_named else ""
            raise TrainingError(f"{where}{clipped(error)}") from error
