"""timm's own models, as ``timm/NAME``."""

from __future__ import annotations

import inspect
import re
from typing import Any

import timm
import torch
from timm.models import model_entrypoint, split_model_name_tag
from torch import nn

from activitynet.errors import ModelError, did_you_mean
from activitynet.zoo.registry import ARCHITECTURES, DEFAULTS, timm_names

PREFIX = "timm/"


def check_name(name: str) -> str:
    """Return the name of a timm model without the prefix, with any pretrained tag such as ``.a1_in1k``.

    Args:
        name: The name with its prefix, ``timm/NAME``.

    Raises:
        ModelError: timm has no model of that name.
    """
    bare = name.removeprefix(PREFIX)
    if bare in ARCHITECTURES:
        raise ModelError(f"{bare!r} is this library's own model, not timm's: leave out 'timm/'.")
    if "/" in bare or ":" in bare or not timm.is_model(bare):
        known = [PREFIX + known for known in timm_names()]
        raise ModelError(
            f"unknown model {name!r}: timm has no model of that name.{did_you_mean(name, known)} "
            "activitynet.list_models('timm/*') lists them."
        )
    return bare


def build(name: str, num_classes: int, arguments: dict[str, Any]) -> nn.Module:
    """Create a timm model with random weights.

    Args:
        name: The name with its prefix, ``timm/NAME``.
        num_classes: The number of outputs.
        arguments: Arguments of the model. Those equal to `DEFAULTS` are left to timm.

    Raises:
        ModelError: An unknown name, an argument that the model does not have, or a value it does not take.
    """
    bare = check_name(name)
    given = {key: value for key, value in arguments.items() if (key, value) not in DEFAULTS.items()}
    architecture, tag = split_model_name_tag(bare)
    try:
        # Not timm.create_model, which drops arguments that are None.
        model: nn.Module = model_entrypoint(architecture)(
            pretrained=False, pretrained_cfg=tag or None, num_classes=num_classes, **given
        )
    except Exception as error:  # timm's models raise all kinds of errors on arguments that do not fit
        raise ModelError(_explanation(name, bare, given, error)) from error
    model.architecture = name  # type: ignore[assignment]
    model.model_args = given  # type: ignore[assignment]
    return model


def _explanation(name: str, bare: str, given: dict[str, Any], error: Exception) -> str:
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if isinstance(error, TypeError) and unexpected and unexpected[1] in given:
        with torch.device("meta"):
            options = list(inspect.signature(type(timm.create_model(bare))).parameters)
        return (
            f"{name} has no argument {unexpected[1]!r}.{did_you_mean(unexpected[1], options)} "
            f"It has: {', '.join(options)}."
        )
    arguments = ", ".join(f"{key}={value!r}" for key, value in given.items()) or "its defaults"
    reason = str(error).rstrip(".") or type(error).__name__
    return f"{name} cannot be made with {arguments}: {reason}."
