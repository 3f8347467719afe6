"""Create a model by name, with random, warm-started or released weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from activitynet import hub
from activitynet.errors import ModelError, clipped
from activitynet.zoo.build import build
from activitynet.zoo.registry import ARCHITECTURES, DEFAULTS
from activitynet.zoo.warm_start import Source, Trunk, copy_trunk, load_trunk

_CLASSES = 20  # of the published solution


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    pretrained: bool = False,
    in_chans: int = 3,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    init_from: Source | None = None,
    model_args: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Create a model: a plain `torch.nn.Module` that keeps timm's contract.

    It has random weights, or a warm-started trunk and a random classifier. Its ``architecture`` and
    ``model_args`` are plain JSON and create the same network again::

        create_model(model.architecture, num_classes=model.num_classes, model_args=model.model_args)

    Args:
        name: A name from `list_models`: one of this library's, or ``timm/NAME`` for any of timm's.
        num_classes: The outputs; 0 leaves the classifier out. `None` means 20, or as many as the released
            weights have.
        pretrained: Load released weights: the name is one of ``list_models(pretrained=True)``, or an
            architecture, for its first release. If ``num_classes`` differs, the classifier is random.
        in_chans: The channels of the images.
        drop_rate: Dropout before the classifier, 0 ≤ rate < 1. A timm model keeps its default at 0.
        drop_path_rate: Stochastic depth, 0 ≤ rate < 1. A timm model keeps its default at 0.
        init_from: The source of the trunk's weights: a weights folder, ``timm/NAME`` for timm's pretrained
            weights from the Hub, or a module. The model's ``warm_start`` (a `WarmStart`) lists the
            copied tensors. A network of this library takes the trunk's activation unless ``model_args``
            has one.
        model_args: Further arguments of the architecture, as a network's own ``model_args`` hold them. They
            may hold ``in_chans``, ``drop_rate`` and ``drop_path_rate`` too.

    Returns:
        The model, in training mode, on the CPU.

    Raises:
        ModelError: An unknown name or argument, an invalid value, or a trunk that does not fit.
        WeightsError: The files of ``init_from``, or of the released weights, are corrupt.
        HubError: Released weights are unknown or cannot be fetched.
    """
    if pretrained:
        if init_from is not None:
            raise ModelError("pretrained and init_from exclude each other: give one of them.")
        released = load_trunk(hub.fetch_release(hub.find_release(name)))
        name = released.model.architecture  # type: ignore[assignment]
        model_args = {**released.model.model_args, **(model_args or {})}  # type: ignore[dict-item]
    if num_classes is None:
        num_classes = cast(int, released.model.num_classes) if pretrained else _CLASSES
    arguments = dict(model_args or {})
    given = {"in_chans": in_chans, "drop_rate": drop_rate, "drop_path_rate": drop_path_rate}
    for key, value in given.items():
        if arguments.setdefault(key, value) != value != DEFAULTS[key]:
            raise ModelError(f"{key} is {value!r}, but model_args says {arguments[key]!r}. Give it once.")
    if pretrained:
        return _released(build(name, num_classes=num_classes, arguments=arguments), released)
    if init_from is None:
        return build(name, num_classes=num_classes, arguments=arguments)
    trunk = load_trunk(init_from)
    if name in ARCHITECTURES and "act" in ARCHITECTURES[name].options and trunk.act is not None:
        arguments.setdefault("act", trunk.act)
    model = build(name, num_classes=num_classes, arguments=arguments)
    copy_trunk(model, trunk)
    return model


def _released(model: nn.Module, released: Trunk) -> nn.Module:
    """Put released weights into a model: all of them, or the trunk under another number of outputs."""
    if model.num_classes != released.model.num_classes:
        copy_trunk(model, released)
        return model
    try:
        model.load_state_dict(released.model.state_dict())
    except RuntimeError as error:
        raise ModelError(
            f"the released weights do not fit {model.architecture} with these arguments: {clipped(error)}"
        ) from error
    cast(dict[str, Any], model.pretrained_cfg).update(released.preprocessing)
    return model
