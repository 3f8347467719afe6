"""What a training run does, as one frozen record that round-trips through JSON and TOML."""

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
    """Base of the recipe's records: a value out of range raises a `TrainingError`."""

    def __post_init__(self) -> None:
        check_record(self, TrainingError)


@dataclass(frozen=True)
class Optimizer(_Checked):
    """How weights are updated.

    Attributes:
        name: Any optimiser that timm's factory knows.
        lr: Peak learning rate of the layers next to the head, for the recipe's batch size.
        weight_decay: Decoupled weight decay; norms and biases are always spared.
        momentum: Momentum of the optimisers that have one (``sgd``, ``lamb``'s first moment excepted).
        layer_decay: Factor on the rate for each layer group further from the head, in (0, 1]
            (Clark et al. 2020, https://arxiv.org/abs/2003.10555).
        clip_norm: Largest gradient norm; 0 does not clip.
    """

    name: str = "adamw"
    lr: Annotated[float, Meta(ge=1e-12, le=1000)] = 2e-3
    weight_decay: Annotated[float, Meta(ge=0, le=1_000)] = 0.05
    momentum: _BelowOne = 0.9
    layer_decay: _PositiveShare = 1.0
    clip_norm: _NotNegative = 1.0


@dataclass(frozen=True)
class Schedule(_Checked):
    """How the learning rate moves over a run: a linear warm-up, then one of timm's schedules.

    Attributes:
        name: ``"cosine"`` is half a cosine, ``"poly"`` a straight line, ``"step"`` a staircase, and
            ``"constant"`` stays at the peak.
        warmup: Share of all steps spent warming up, in [0, 1).
        floor: Rate at the end of a cosine or a line, as a share of the peak, in [0, 1].
        step_every: Length of a stair as a share of all steps, in (0, 1].
        step_factor: What the rate is multiplied with at each stair, in (0, 1].
    """

    name: Literal["cosine", "poly", "step", "constant"] = "cosine"
    warmup: _BelowOne = 0.1
    floor: _Share = 0.0
    step_every: _PositiveShare = 0.3
    step_factor: _PositiveShare = 0.1


@dataclass(frozen=True)
class Loss(_Checked):
    """What is minimised.

    Attributes:
        name: ``"cross_entropy"``; ``"focal"`` (Lin et al. 2017, https://arxiv.org/abs/1708.02002);
            ``"bce"``, one yes-or-no question a class (Wightman et al. 2021,
            https://arxiv.org/abs/2110.00476); ``"logit_adjusted"`` (Menon et al. 2021,
            https://arxiv.org/abs/2007.07314).
        smoothing: Label smoothing in [0, 1) (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567).
        weighting: How a class's weight follows from its number of photos n: ``"frequency"`` is
            n^-balance, ``"effective_number"`` is (1 - beta) / (1 - beta^n) (Cui et al. 2019,
            https://arxiv.org/abs/1901.05555). Weights average to one over the training photos.
        balance: Exponent of ``"frequency"`` in [0, 1]: 0 weighs all classes alike.
        beta: Of ``"effective_number"``, in [0, 1).
        gamma: Of ``"focal"``: how far easy photos are discounted, from 0.
        tau: Of ``"logit_adjusted"``: how far the classes' shares are counted in, from 0.
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
    """Batches in which photos are blended with one another.

    Attributes:
        mixup: Alpha of MixUp; 0 is off (Zhang et al. 2018, https://arxiv.org/abs/1710.09412).
        cutmix: Alpha of CutMix; 0 is off (Yun et al. 2019, https://arxiv.org/abs/1905.04899). Where
            both are on, each batch draws one of them.
        probability: Share of batches that are mixed, in [0, 1].
        until: Share of the run after which none is, in [0, 1].
    """

    mixup: Annotated[float, Meta(ge=0, le=100)] = 0.0
    cutmix: Annotated[float, Meta(ge=0, le=100)] = 0.0
    probability: _Share = 1.0
    until: _Share = 1.0


@dataclass(frozen=True)
class Average(_Checked):
    """Which average of the weights is validated and kept.

    Attributes:
        name: ``"ema"``, an exponential moving average; ``"swa"``, the plain mean since ``start``
            (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407); ``"none"``.
        span: Time constant of the moving average as a share of the run's steps, in (0, 1]. As a share,
            it is never mostly the weights it began with, however few the photos.
        start: Share of the run after which ``"swa"`` begins, in [0, 1).
        anchor: Share of the weights the run began with in what is validated and kept, in [0, 1): for
            fine-tuning (WiSE-FT, Wortsman et al. 2022, https://arxiv.org/abs/2109.01903).
    """

    name: Literal["ema", "swa", "none"] = "ema"
    span: _PositiveShare = 0.1
    start: _BelowOne = 0.75
    anchor: _BelowOne = 0.0


@dataclass(frozen=True)
class Distill(_Checked):
    """Learning from what other models say of the same images (Hinton et al. 2015).

    https://arxiv.org/abs/1503.02531

    Attributes:
        teachers: Weights folders, ensembles' too, or repositories on the Hub; the mean of their
            probabilities is what is learned. None is off.
        weight: Share of the teachers in the loss, in [0, 1].
        temperature: What both sides' logits are divided by, greater than 0.
        features: What the likeness of the features that both sides' classifiers see weighs beside that of
            their probabilities, from 0; 0 compares probabilities alone.
    """

    teachers: tuple[str, ...] = ()
    weight: _Share = 0.5
    temperature: Annotated[float, Meta(ge=0.001, le=1000)] = 2.0
    features: Annotated[float, Meta(ge=0, le=1_000)] = 0.0


@dataclass(frozen=True)
class Checkpoint(_Checked):
    """What is written while a run goes on. A resumed run may change it.

    Attributes:
        every_steps: Save the whole state after so many steps; 0 does not.
        every_minutes: Save the whole state after so many minutes; 0 does not. The end of an epoch always
            does.
        epochs: Epochs whose weights are kept as weights folders.
        top: How many of the best epochs are kept so.
    """

    every_steps: _Count = 0
    every_minutes: _NotNegative = 10.0
    epochs: tuple[Annotated[int, Meta(ge=1)], ...] = ()
    top: Annotated[int, Meta(ge=0, le=10_000)] = 0


@dataclass(frozen=True)
class Recipe(_Checked):
    """A training run, whole: data order, augmentation, loss, optimiser, schedule, averaging.

    Attributes:
        description: What the recipe is for, in a line.
        epochs: Passes over the training photos.
        batch_size: Photos a step, over all devices and parts of the step together.
        grad_accum_steps: Parts that a step's photos are computed in, one after the other, when they do not
            fit into memory at once; 0 lets `Classifier` choose as few as do. What is learned stays the
            same, apart from what belongs to a part: batch norms' statistics, and which photos are mixed.
        resolution: Side of the training images as a share of the model's own, in whole strides of 32
            pixels. Below 1 is faster, and often better: a random crop shows things larger than the
            evaluation does (Touvron et al. 2019, https://arxiv.org/abs/1906.06423).
        resolution_start: The same at the first epoch; sides grow from there. 0 does not grow.
        drop_rate: Dropout before the classifier, in [0, 1).
        drop_path_rate: Stochastic depth at the deepest block, in [0, 1), for networks that have it.
        sampler: How often a class is seen in an epoch: ``"all"`` shows each photo once, ``"balanced"``
            each class as often as another, ``"sqrt"`` by the square root of its number of photos.
        optimizer: How weights are updated.
        schedule: How the learning rate moves.
        loss: What is minimised.
        augment: What happens to a training photo.
        mix: What happens to a batch of them.
        average: Which average of the weights is validated and kept.
        distill: Whom to learn from beside the labels.
        checkpoint: What is written on the way.
        precision: ``"bf16"``, ``"fp32"``, or ``"auto"``: bf16 where the machine computes in it.
        compile: Train blocks that have group norms by kernels that torch.compile writes (see
            `activitynet.blocks.cpu_kernels`): much faster on a CPU, after half a minute for the compiler in
            the first step, a few seconds of it the next time.
        grad_checkpointing: Compute activations again on the way back instead of keeping them: about a
            third slower, and much less memory.
        freeze: Share of the trunk's layer groups, counted from the input, that stays as it is; in [0, 1].
        freeze_blocks: Patterns of parameter names that stay as they are too (``"blocks.0.*"``).
        freeze_norm: Batch norms keep the statistics they came with.
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
        """Return an epoch's (height, width) of training images for a model that looks at ``size`` pixels."""
        share = self.resolution
        if self.resolution_start:
            done = (epoch - 1) / max(1, self.epochs - 1)
            share = self.resolution_start + (self.resolution - self.resolution_start) * min(
                1.0, max(0.0, done)
            )
        return scaled_size(size, share)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Make a recipe from plain JSON values; fields left out keep their defaults.

        Raises:
            TrainingError: A field is unknown, or its value has the wrong type or range.
        """
        return read_record(values, cls, what="the recipe", error=TrainingError)

    def override(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> Recipe:
        """Return a copy with fields changed, dotted names reaching inside.

        Args:
            changes: Dotted names (``{"optimizer.lr": 3e-4}``) to values.
            **more: The same as keywords, each dot written as two underscores (``optimizer__lr=3e-4``).

        Raises:
            TrainingError: A field is unknown, or its value has the wrong type or range.
        """
        values = self.to_dict()
        known = [name for name, _ in flat(values)]
        asked = {**(changes or {}), **{name.replace("__", "."): value for name, value in more.items()}}
        for name, value in asked.items():
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
    """Yield every value below nested tables with its dotted name."""
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
    """Return the names of the recipes that come with the library, sorted."""
    return _FILES.names()


def load_recipe(recipe: str | os.PathLike[str]) -> Recipe:
    """Read a recipe.

    Args:
        recipe: A name of `list_recipes`, or the path of a TOML file. A string is a path when it ends in
            ``.toml`` or contains a separator. Fields that a file leaves out keep `Recipe`'s defaults.

    Raises:
        TrainingError: There is no such recipe, its file cannot be read or is no TOML, a field is unknown,
            or a value has the wrong type or range.
    """
    what = f"recipe {os.fspath(recipe)!r}"
    return read_record(_FILES.read(recipe), Recipe, what=what, error=TrainingError)


def parse_setting(setting: str) -> tuple[str, Any]:
    """Read one change to a recipe as it is written on a command line.

    Args:
        setting: ``FIELD=VALUE``, such as ``optimizer.lr=3e-4``. The value is a TOML value (``true``,
            ``0.5``, ``[18, 40]``, ``"a b"``), or else the text as it stands (``optimizer.name=sgd``).

    Returns:
        The dotted field and its value, for `Recipe.override`.

    Raises:
        TrainingError: There is no field or no ``=``.

    Example:
        >>> parse_setting("checkpoint.epochs=[18, 40]")
        ('checkpoint.epochs', [18, 40])
        >>> parse_setting("optimizer.name=sgd")
        ('optimizer.name', 'sgd')
    """
    name, equals, text = (part.strip() for part in setting.partition("="))
    if not (name and equals):
        raise TrainingError(f"{setting!r} changes no field; write FIELD=VALUE, such as optimizer.lr=3e-4.")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return name, text
    return name, parsed["value"] if len(parsed) == 1 else text


def format_recipe(recipe: Recipe) -> str:
    """Write a recipe as TOML, every field of it; `load_recipe` reads it back."""
    return "\n".join(_toml_lines(recipe.to_dict())) + "\n"


def _toml_lines(values: Mapping[str, Any], table: str = "") -> list[str]:
    lines: list[str] = []
    tables: list[str] = []  # a table lasts until the next one, so that what is not in one comes first
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
