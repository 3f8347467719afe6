"""Recipes: the settings of a training run, as frozen dataclasses that read and write JSON and TOML."""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from activitynet.data.augment import Augment
from activitynet.data.preprocess import scaled_size
from activitynet.errors import TrainingError, did_you_mean
from activitynet.serialization.records import check_record, read_record
from activitynet.serialization.toml_files import TomlFiles

_Share = Annotated[float, Meta(ge=0, le=1)]
_BelowOne = Annotated[float, Meta(ge=0, lt=1)]
_NotNegative = Annotated[float, Meta(ge=0)]
_PositiveShare = Annotated[float, Meta(gt=0, le=1)]
_Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class _Checked:
    """Base of the recipe's dataclasses; raises a `TrainingError` for an invalid value."""

    def __post_init__(self) -> None:
        check_record(self, TrainingError)


@dataclass(frozen=True)
class Optimizer(_Checked):
    """Settings of the optimiser.

    Attributes:
        name: Name of any optimiser of timm.
        lr: Peak learning rate of the layers next to the head, for the recipe's batch size.
        weight_decay: Decoupled weight decay; norms and biases have none.
        momentum: Momentum, for optimisers such as ``sgd``.
        layer_decay: Factor of the learning rate from each layer group to the one before it, in (0, 1]
            (Clark et al. 2020, https://arxiv.org/abs/2003.10555).
        clip_norm: Maximum gradient norm; 0 does not clip.
    """

    name: str = "adamw"
    lr: Annotated[float, Meta(ge=1e-12, le=1000)] = 2e-3
    weight_decay: Annotated[float, Meta(ge=0, le=1_000)] = 0.05
    momentum: _BelowOne = 0.9
    layer_decay: _PositiveShare = 1.0
    clip_norm: _NotNegative = 1.0


@dataclass(frozen=True)
class Schedule(_Checked):
    """Learning-rate schedule: a linear warm-up, then one of timm's schedules.

    Attributes:
        name: ``"cosine"``, ``"poly"`` (linear decay), ``"step"`` (decay at intervals), or ``"constant"``.
        warmup: Share of all steps for the warm-up, in [0, 1).
        floor: Final rate of ``"cosine"`` and ``"poly"``, as a share of the peak, in [0, 1].
        step_every: Interval of ``"step"``, as a share of all steps, in (0, 1].
        step_factor: Factor of ``"step"`` at each interval, in (0, 1].
    """

    name: Literal["cosine", "poly", "step", "constant"] = "cosine"
    warmup: _BelowOne = 0.1
    floor: _Share = 0.0
    step_every: _PositiveShare = 0.3
    step_factor: _PositiveShare = 0.1


@dataclass(frozen=True)
class Loss(_Checked):
    """Loss function.

    Attributes:
        name: ``"cross_entropy"``; ``"focal"`` (Lin et al. 2017, https://arxiv.org/abs/1708.02002);
            ``"bce"``, binary cross-entropy for each class (Wightman et al. 2021,
            https://arxiv.org/abs/2110.00476); ``"logit_adjusted"`` (Menon et al. 2021,
            https://arxiv.org/abs/2007.07314).
        smoothing: Label smoothing in [0, 1) (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567).
        weighting: Weight of a class with n training photos: ``"frequency"`` is n^-balance,
            ``"effective_number"`` is (1 - beta) / (1 - beta^n) (Cui et al. 2019,
            https://arxiv.org/abs/1901.05555). The mean weight of the training photos is 1.
        balance: Exponent of ``"frequency"`` in [0, 1]; 0 gives all classes the same weight.
        beta: Parameter of ``"effective_number"``, in [0, 1).
        gamma: Exponent of ``"focal"``, at least 0; larger values reduce the loss of easy photos more.
        tau: Strength of the adjustment of ``"logit_adjusted"``, at least 0.
    """

    name: Literal["cross_entropy", "focal", "bce", "logit_adjusted"] = "cross_entropy"
    smoothing: _BelowOne = 0.1
    weighting: Literal["frequency", "effective_number"] = "frequency"
    balance: _Share = 0.25
    beta: _BelowOne = 0.999
    gamma: Annotated[float, Meta(ge=0, le=100)] = 2.0
    tau: Annotated[float, Meta(ge=0, le=100)] = 1.0


@dataclass(frozen=True)
class Mix(_Checked):
    """MixUp and CutMix.

    Attributes:
        mixup: Alpha of MixUp; 0 is off (Zhang et al. 2018, https://arxiv.org/abs/1710.09412).
        cutmix: Alpha of CutMix; 0 is off (Yun et al. 2019, https://arxiv.org/abs/1905.04899). If both are
            on, one of them is chosen at random for each batch.
        probability: Share of batches that are mixed, in [0, 1].
        until: Share of the run after which no batch is mixed, in [0, 1].
    """

    mixup: Annotated[float, Meta(ge=0, le=100)] = 0.0
    cutmix: Annotated[float, Meta(ge=0, le=100)] = 0.0
    probability: _Share = 1.0
    until: _Share = 1.0


@dataclass(frozen=True)
class Average(_Checked):
    """Average of the weights, which is validated and saved.

    Attributes:
        name: ``"ema"``, an exponential moving average; ``"swa"``, the plain mean since ``start``
            (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407); ``"none"``.
        span: Time constant of the moving average, as a share of the run's steps, in (0, 1].
        start: Share of the run after which ``"swa"`` begins, in [0, 1).
        anchor: Share of the initial weights in the validated and saved weights, in [0, 1), for fine-tuning
            (WiSE-FT, Wortsman et al. 2022, https://arxiv.org/abs/2109.01903).
    """

    name: Literal["ema", "swa", "none"] = "ema"
    span: _PositiveShare = 0.1
    start: _BelowOne = 0.75
    anchor: _BelowOne = 0.0


@dataclass(frozen=True)
class Distill(_Checked):
    """Distillation from other models (Hinton et al. 2015, https://arxiv.org/abs/1503.02531).

    Attributes:
        teachers: Weights folders (of ensembles as well) or Hub repositories. The student learns the mean of
            their probabilities. Without teachers, distillation is off.
        weight: Share of the distillation loss in the loss, in [0, 1].
        temperature: Divides the logits of teachers and student; greater than 0.
        features: Weight of the loss of the pooled features relative to that of the probabilities, at least
            0; 0 compares probabilities only.
    """

    teachers: tuple[str, ...] = ()
    weight: _Share = 0.5
    temperature: Annotated[float, Meta(ge=0.001, le=1000)] = 2.0
    features: Annotated[float, Meta(ge=0, le=1_000)] = 0.0


@dataclass(frozen=True)
class Checkpoint(_Checked):
    """What to save during a run. A resumed run may change it.

    Attributes:
        every_steps: Save a checkpoint each time after this number of steps; 0 is off.
        every_minutes: Save a checkpoint each time after this number of minutes; 0 is off. Checkpoints are
            always saved at the end of an epoch.
        epochs: Epochs to keep as weights folders.
        top: Number of best epochs to keep as weights folders.
    """

    every_steps: _Count = 0
    every_minutes: _NotNegative = 10.0
    epochs: tuple[Annotated[int, Meta(ge=1)], ...] = ()
    top: Annotated[int, Meta(ge=0, le=10_000)] = 0


@dataclass(frozen=True)
class Recipe(_Checked):
    """All settings of a training run.

    Attributes:
        description: Purpose of the recipe, in one line.
        epochs: Passes over the training photos.
        batch_size: Photos per step, over all devices and parts of the step.
        grad_accum_steps: Number of parts in which a step is computed, to save memory; 0 lets `Classifier`
            choose as few as fit into memory. The result is the same except for what is computed per part:
            batch norm statistics and mixed photos.
        resolution: Side of the training images as a share of the model's own size, in multiples of 32
            pixels. Values below 1 are faster and often better, because random crops show objects larger
            than in evaluation (Touvron et al. 2019, https://arxiv.org/abs/1906.06423).
        resolution_start: The same for the first epoch, from which sides grow linearly; 0 is off.
        drop_rate: Dropout before the classifier, in [0, 1).
        drop_path_rate: Stochastic depth of the deepest block, in [0, 1), for networks that support it.
        sampler: How to sample classes: ``"all"`` shows each photo once per epoch, ``"balanced"`` each class
            equally often, ``"sqrt"`` in proportion to the square root of its number of photos.
        optimizer: The optimiser.
        schedule: The learning-rate schedule.
        loss: The loss function.
        augment: Augmentation of photos.
        mix: MixUp and CutMix of batches.
        average: Average of the weights, which is validated and saved.
        distill: Distillation from teachers.
        checkpoint: What to save during the run.
        precision: ``"bf16"``, ``"fp32"``, or ``"auto"``: bf16 if the device supports it natively.
        compile: Train blocks with group norms with kernels from torch.compile (see
            `activitynet.blocks.cpu_kernels`). This is much faster on a CPU. Compilation takes half a minute
            in the first step, and a few seconds in later runs.
        grad_checkpointing: Recompute activations in the backward pass instead of storing them: about a
            third slower, with much less memory.
        freeze: Share of the trunk's layer groups to freeze, from the input on, in [0, 1].
        freeze_blocks: Patterns of names of other parameters to freeze (``"blocks.0.*"``).
        freeze_norm: Freeze the statistics of batch norms.
        fit_head: Start from a classifier fitted on the frozen trunk's features.
        patience: Stop after this many epochs without a better score; 0 never stops early.
    """

    description: str = ""
    epochs: _Count = 30
    batch_size: Annotated[int, Meta(ge=1, le=1_000_000)] = 64
    grad_accum_steps: Annotated[int, Meta(ge=0, le=10_000)] = 1
    resolution: Annotated[float, Meta(ge=0.1, le=4)] = 1.0
    resolution_start: Annotated[float, Meta(ge=0, le=4)] = 0.0
    drop_rate: _BelowOne = 0.2
    drop_path_rate: _BelowOne = 0.0
    sampler: Literal["all", "balanced", "sqrt"] = "all"
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    loss: Loss = field(default_factory=Loss)
    augment: Augment = field(default_factory=Augment)
    mix: Mix = field(default_factory=Mix)
    average: Average = field(default_factory=Average)
    distill: Distill = field(default_factory=Distill)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    compile: bool = False
    grad_checkpointing: bool = False
    freeze: _Share = 0.0
    freeze_blocks: tuple[str, ...] = ()
    freeze_norm: bool = False
    fit_head: bool = False
    patience: _Count = 0

    def training_size(self, size: tuple[int, int], epoch: int) -> tuple[int, int]:
        """Return the (height, width) of an epoch's training images, for a model with images of ``size``."""
        share = self.resolution
        if self.resolution_start:
            done = (epoch - 1) / max(1, self.epochs - 1)
            share = self.resolution_start + (self.resolution - self.resolution_start) * min(
                1.0, max(0.0, done)
            )
        return scaled_size(size, share)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Create a recipe from JSON values; missing fields have their defaults.

        Raises:
            TrainingError: A field is unknown, or its value has the wrong type or range.
        """
        return read_record(values, cls, what="the recipe", error=TrainingError)

    def override(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> Recipe:
        """Return a copy with changed fields.

        Args:
            changes: New values by dotted names (``{"optimizer.lr": 3e-4}``).
            **more: The same as keywords, with two underscores for a dot (``optimizer__lr=3e-4``).

        Raises:
            TrainingError: A field is unknown, or its value has the wrong type or range.
        """
        values = self.to_dict()
        known = [name for name, _ in flat(values)]
        changed = {**(changes or {}), **{name.replace("__", "."): value for name, value in more.items()}}
        for name, value in changed.items():
            if name not in known:
                if any(other.startswith(name + ".") for other in known):
                    raise TrainingError(f"recipe field {name!r} is a table; name a field of it.")
                raise TrainingError(f"recipe has no field {name!r}.{did_you_mean(name, known)}")
            *parents, leaf = name.split(".")
            inner = values
            for parent in parents:
                inner = inner[parent]
            inner[leaf] = value
        return Recipe.from_dict(values)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all values of nested tables with their dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILES = TomlFiles("recipe", importlib.resources.files("activitynet.training") / "recipes")


def list_recipes() -> list[str]:
    """Return the sorted names of the built-in recipes."""
    return _FILES.names()


def load_recipe(recipe: str | os.PathLike[str]) -> Recipe:
    """Read a recipe.

    Args:
        recipe: A name of `list_recipes`, or the path of a TOML file. A string is a path if it ends in
            ``.toml`` or contains a separator. Missing fields have the defaults of `Recipe`.

    Raises:
        TrainingError: The recipe does not exist, its file cannot be read or is not TOML, a field is unknown,
            or a value has the wrong type or range.
    """
    what = f"recipe {os.fspath(recipe)!r}"
    return read_record(_FILES.read(recipe), Recipe, what=what, error=TrainingError)


def parse_setting(setting: str) -> tuple[str, Any]:
    """Parse a change to a recipe from the command line.

    Args:
        setting: ``FIELD=VALUE``, such as ``optimizer.lr=3e-4``. The value is TOML (``true``, ``0.5``,
            ``[18, 40]``, ``"a b"``), or otherwise plain text (``optimizer.name=sgd``).

    Returns:
        The dotted field and its value, for `Recipe.override`.

    Raises:
        TrainingError: The field or the ``=`` is missing.

    Example:
        >>> parse_setting("checkpoint.epochs=[18, 40]")
        ('checkpoint.epochs', [18, 40])
        >>> parse_setting("optimizer.name=sgd")
        ('optimizer.name', 'sgd')
    """
    name, equals, text = (part.strip() for part in setting.partition("="))
    if not (name and equals):
        raise TrainingError(f"invalid setting {setting!r}; write FIELD=VALUE, such as optimizer.lr=3e-4.")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return name, text
    return name, parsed["value"] if len(parsed) == 1 else text


def format_recipe(recipe: Recipe) -> str:
    """Return a recipe as TOML with all fields; `load_recipe` reads it."""
    return "\n".join(_toml_lines(recipe.to_dict())) + "\n"


def _toml_lines(values: Mapping[str, Any], table: str = "") -> list[str]:
    lines: list[str] = []
    tables: list[str] = []  # TOML tables must follow plain values
    for name, value in values.items():
        if isinstance(value, Mapping):
            tables += ["", f"[{table}{name}]", *_toml_lines(value, f"{table}{name}.")]
        else:
            lines.append(f"{name} = {_toml_value(value)}")
    return lines + tables


def _toml_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, float):
        return repr(value)  # JSON would write Infinity for TOML's inf
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
