"""The one way to make a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from activitynet.errors import ModelError
from activitynet.zoo.build import build
from activitynet.zoo.registry import ARCHITECTURES, DEFAULTS
from activitynet.zoo.trunk import Source, load_trunk
from activitynet.zoo.warm_start import copy_trunk


def create_model(
    name: str,
    *,
    num_classes: int = 20,
    in_chans: int = 3,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    init_from: Source | None = None,
    model_args: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Make a model: a plain `torch.nn.Module` that keeps timm's contract.

    It has random weights, or a warm-started trunk and a random classifier. Its ``architecture`` and
    ``model_args`` are plain JSON and make the same network again::

        create_model(model.architecture, num_classes=model.num_classes, model_args=model.model_args)

    Args:
        name: A name that `list_models` gives: one of this library's, or ``timm/NAME`` for any of timm's.
        num_classes: The outputs; 0 leaves the classifier out.
        in_chans: The channels of the images.
        drop_rate: Dropout before the classifier, 0 ≤ rate < 1. A timm model keeps its default at 0.
        drop_path_rate: Stochastic depth, 0 ≤ rate < 1. A timm model keeps its default at 0.
        init_from: What the trunk starts from: a weights folder, ``timm/NAME`` for timm's pretrained weights
            from the Hub, or a module. What was copied is in the model's ``warm_start`` (a `WarmStart`). A
            network of this library takes the activation of that trunk, unless ``model_args`` name one.
        model_args: Further arguments of the architecture, as a network's own ``model_args`` hold them. They
            may hold ``in_chans``, ``drop_rate`` and ``drop_path_rate`` too.

    Returns:
        The model, in training mode, on the CPU.

    Raises:
        ModelError: An unknown name or argument, a value that cannot be, or a trunk that does not fit.
        WeightsError: The files of ``init_from`` are corrupt.
    """
    arguments = dict(model_args or {})
    given = {"in_chans": in_chans, "drop_rate": drop_rate, "drop_path_rate": drop_path_rate}
    for key, value in given.items():
        if arguments.setdefault(key, value) != value != DEFAULTS[key]:
            raise ModelError(f"{key} is {value!r}, but model_args says {arguments[key]!r}. Give it once.")
    if init_from is None:
        return build(name, num_classes=num_classes, arguments=arguments)
    trunk = load_trunk(init_from)
    if name in ARCHITECTURES and "act" in ARCHITECTURES[name].options and trunk.act is not None:
        arguments.setdefault("act", trunk.act)
    model = build(name, num_classes=num_classes, arguments=arguments)
    copy_trunk(model, trunk)
    return model
