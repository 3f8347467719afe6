"""What a training run does, as one frozen record that round-trips through JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from activitynet.data.augment import Augment
from activitynet.errors import TrainingError, did_you_mean

_Config = TypeVar("_Config")


@dataclass(frozen=True)
class Optimizer:
    """How weights are updated.

    Attributes:
        name: Any optimiser that timm's factory knows.
        lr: Peak learning rate of the layers next to the head, for the recipe's batch size.
        weight_decay: Decoupled weight decay; norms and biases are always spared.
        layer_decay: Factor on the rate for each layer group further from the head, in (0, 1]
            (Clark et al. 2020, https://arxiv.org/abs/2003.10555).
        clip_norm: Largest gradient norm; 0 does not clip.
    """

    name: str = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    clip_norm: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves over a run: linear warm-up, then half a cosine to zero.

    Attributes:
        warmup: Share of all steps spent warming up, in [0, 1).
    """

    warmup: float = 0.1


@dataclass(frozen=True)
class Loss:
    """Cross-entropy, smoothed and weighted.

    Attributes:
        smoothing: Label smoothing in [0, 1) (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567).
        balance: How far rare classes are weighted up: 0 not at all, 1 inversely to their share of
            photos. Weights average to one over the training photos.
    """

    smoothing: float = 0.1
    balance: float = 0.25


@dataclass(frozen=True)
class Recipe:
    """A training run, whole: data order, augmentation, loss, optimiser, schedule, averaging.

    Attributes:
        epochs: Passes over the training photos.
        batch_size: Photos a step.
        resolution: Side of the training images as a share of the model's own, in whole strides of 32
            pixels. Below 1 is faster, and often better: a random crop shows things larger than the
            evaluation does (Touvron et al. 2019, https://arxiv.org/abs/1906.06423).
        drop_rate: Dropout before the classifier, in [0, 1).
        drop_path_rate: Stochastic depth at the deepest block, in [0, 1), for networks that have it.
        optimizer: How weights are updated.
        schedule: How the learning rate moves.
        loss: What is minimised.
        augment: What happens to a training photo.
        ema: Keep an exponential moving average of the weights and validate that one.
        precision: ``"bf16"``, ``"fp32"``, or ``"auto"``: bf16 where the machine computes in it.
        freeze: Share of the trunk's layer groups, counted from the input, that stays as it is; in [0, 1].
        freeze_norm: Batch norms keep the statistics they came with.
        fit_head: Start from a classifier fitted on the frozen trunk's features.
        patience: Stop after this many epochs without a better score; 0 never stops early.
    """

    epochs: int = 30
    batch_size: int = 64
    resolution: float = 1.0
    drop_rate: float = 0.2
    drop_path_rate: float = 0.0
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    loss: Loss = field(default_factory=Loss)
    augment: Augment = field(default_factory=Augment)
    ema: bool = True
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    freeze: float = 0.0
    freeze_norm: bool = False
    fit_head: bool = False
    patience: int = 0

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            TrainingError: Naming the field, its value and its range.
        """
        optimizer, loss = self.optimizer, self.loss
        bounds: list[tuple[str, float, float, float]] = [
            ("epochs", self.epochs, 0, 1_000_000),
            ("batch_size", self.batch_size, 1, 1_000_000),
            ("resolution", self.resolution, 0.1, 4),
            ("drop_rate", self.drop_rate, 0, 0.99),
            ("drop_path_rate", self.drop_path_rate, 0, 0.99),
            ("optimizer.lr", optimizer.lr, 1e-12, 1000),
            ("optimizer.weight_decay", optimizer.weight_decay, 0, 1000),
            ("optimizer.layer_decay", optimizer.layer_decay, 1e-3, 1),
            ("optimizer.clip_norm", optimizer.clip_norm, 0, math.inf),
            ("schedule.warmup", self.schedule.warmup, 0, 0.99),
            ("loss.smoothing", loss.smoothing, 0, 0.99),
            ("loss.balance", loss.balance, 0, 1),
            ("freeze", self.freeze, 0, 1),
            ("patience", self.patience, 0, 1_000_000),
        ]
        for name, value, low, high in bounds:
            if not low <= value <= high:
                raise TrainingError(f"recipe field {name!r} is {value}; it has to be in {low} to {high}.")

    def training_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) of training images for a model that looks at ``size`` pixels.

        What a side has beyond a multiple of 32 stays, for a network's padding may depend on it.
        """
        if self.resolution == 1:
            return size
        height, width = (max(1, round(side // 32 * self.resolution)) * 32 + side % 32 for side in size)
        return height, width

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Make a recipe from plain JSON values; fields left out keep their defaults.

        Raises:
            TrainingError: A field is unknown, or its value has the wrong type or range.
        """
        return _from_dict(cls, values, "")

    def override(self, **changes: Any) -> Recipe:
        """Return a copy with fields changed, dotted names reaching inside.

        Args:
            **changes: Field names, dots written as two underscores (``optimizer__lr=3e-4``), to values.

        Raises:
            TrainingError: A field is unknown, or its value has the wrong type or range.
        """
        values = self.to_dict()
        for name, value in changes.items():
            *parents, leaf = name.split("__")
            inner: Any = values
            for parent in parents:
                inner = inner.get(parent) if isinstance(inner, dict) else None
            if not isinstance(inner, dict) or leaf not in inner:
                known = [field.name for field in dataclasses.fields(self)]
                raise TrainingError(f"recipe has no field {name!r}.{did_you_mean(name, known)}")
            inner[leaf] = value
        return Recipe.from_dict(values)


def _from_dict(cls: type[_Config], values: Mapping[str, Any], path: str) -> _Config:
    if not isinstance(values, Mapping):
        raise TrainingError(f"recipe field {path.rstrip('.')!r} has to be a table of fields.")
    hints = get_type_hints(cls)
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name not in hints:
            raise TrainingError(f"recipe has no field {path + name!r}.{did_you_mean(name, hints)}")
        made[name] = _coerce(hints[name], value, path + name)
    return cls(**made)


def _coerce(hint: Any, value: Any, name: str) -> Any:
    """Return ``value`` as the type a field asks for, or refuse it by name."""
    if dataclasses.is_dataclass(hint):
        return _from_dict(hint, value, name + ".")  # type: ignore[arg-type]
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise TrainingError(f"recipe field {name!r} is {value!r}; it has to be one of {get_args(hint)}.")
        return value
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        if not isinstance(value, (list, tuple)) or len(value) != len(parts):
            raise TrainingError(f"recipe field {name!r} has to be a list of {len(parts)} values.")
        return tuple(_coerce(part, item, name) for part, item in zip(parts, value, strict=True))
    allowed = get_args(hint) or (hint,)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) and bool not in allowed:
        value = str(value)  # a bool is an int to Python, but not to a reader
    if not isinstance(value, allowed):
        wanted = " or ".join(kind.__name__ for kind in allowed)
        raise TrainingError(f"recipe field {name!r} is {value!r}; it has to be {wanted}.")
    return value


DEFAULT = Recipe()
"""Training from the start, or from a warm-started trunk, all layers at full rate."""

FINE_TUNE = Recipe(
    epochs=5,
    drop_rate=0.0,
    optimizer=Optimizer(lr=3e-4),
    loss=Loss(balance=0.0),
    resolution=0.75,
    freeze=0.33,
    freeze_norm=True,
    fit_head=True,
)
"""A pretrained trunk: fit the head on frozen features first, then unfreeze gently."""
