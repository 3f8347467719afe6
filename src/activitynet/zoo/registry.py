"""The registry of architectures, by name."""

from __future__ import annotations

import fnmatch
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar, overload

from torch import nn

from activitynet.errors import ModelError, did_you_mean
from activitynet.hub import list_releases
from activitynet.zoo import timm_registry

_Factory = TypeVar("_Factory", bound=Callable[..., nn.Module])
_POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
_REQUIRED = ("num_classes", "in_chans")
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

#: The arguments of `create_model` that every architecture may have, and their defaults there.
DEFAULTS: Mapping[str, Any] = MappingProxyType({"in_chans": 3, "drop_rate": 0.0, "drop_path_rate": 0.0})


@dataclass(frozen=True)
class Architecture:
    """A registered architecture.

    Attributes:
        name: Its name.
        factory: Creates the network.
        options: The keyword arguments of the factory, and their defaults.
        source: Where the architecture comes from.
        config: The fields of timm's pretrained configuration that differ from timm's defaults.
        feature_maps: The number of feature maps of ``features_only``.
    """

    name: str
    factory: Callable[..., nn.Module]
    options: Mapping[str, Any]
    source: str
    config: Mapping[str, Any]
    feature_maps: int

    def check(self, arguments: Iterable[str]) -> None:
        """Check that the factory has these arguments.

        Raises:
            ModelError: It lacks one.
        """
        for name in arguments:
            if name not in self.options:
                raise ModelError(
                    f"{self.name} has no argument {name!r}.{did_you_mean(name, self.options)} "
                    f"It has: {', '.join(self.options)}."
                )

    def build(self, **arguments: Any) -> nn.Module:
        """Create the network, and record in it how.

        Its ``architecture`` is the name. Its ``model_args`` create the same network again: they are the
        arguments that differ from the defaults, and always the activation.

        Args:
            **arguments: Arguments of the factory.

        Raises:
            ModelError: An argument that the factory does not have, or a value that it does not take.
        """
        self.check(arguments)
        model = self.factory(**arguments)
        resolved = {**self.options, **arguments}
        defaults = {**self.options, **DEFAULTS}
        model.architecture = self.name  # type: ignore[assignment]
        model.model_args = {  # type: ignore[assignment]
            key: value
            for key, value in resolved.items()
            if key != "num_classes" and (key == "act" or value != defaults[key])
        }
        return model


_architectures: dict[str, Architecture] = {}

#: Every registered architecture by its name: a live, read-only view.
ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(_architectures)


@overload
def register_model(factory: _Factory, /) -> _Factory: ...


@overload
def register_model(
    *,
    options_of: Callable[..., nn.Module] | None = ...,
    source: str = ...,
    config: Mapping[str, Any] | None = ...,
    feature_maps: int = ...,
) -> Callable[[_Factory], _Factory]: ...


def register_model(
    factory: _Factory | None = None,
    /,
    *,
    options_of: Callable[..., nn.Module] | None = None,
    source: str = "",
    config: Mapping[str, Any] | None = None,
    feature_maps: int = 5,
) -> _Factory | Callable[[_Factory], _Factory]:
    """Register a factory under its function's name, here and with timm.

    The name then works in `create_model`, everything built on it, and ``timm.create_model``. The factory's
    arguments are those that ``model_args`` may hold: at least ``num_classes`` and ``in_chans``. An argument
    ``act`` is set to the activation of the trunk in a warm start. The network should keep
    timm's contract (see `activitynet.zoo.network.Network`)::

        @register_model(source="ours", config={"input_size": (3, 96, 96)})
        def small_net(num_classes: int = 20, in_chans: int = 3, width: int = 32) -> nn.Module:
            return SmallNet(num_classes, in_chans, width)

    Args:
        factory: The function, if the decorator is used without arguments.
        options_of: The class or function that a factory with ``**options`` passes them to. Its arguments are
            then the factory's.
        source: Where the architecture comes from, for `model_info`.
        config: Fields of timm's pretrained configuration: ``input_size``, ``mean``, ``std``, ``crop_pct``,
            ``interpolation``, ``first_conv``, ``classifier``. ImageNet's are the default.
        feature_maps: The number of feature maps of ``timm.create_model(…, features_only=True)``.

    Raises:
        ModelError: The name is taken, the configuration has an unknown field, an argument is missing, or the
            factory takes ``**options`` without ``options_of``.
    """

    def register(factory: _Factory) -> _Factory:
        name = factory.__name__
        if name in _architectures or timm_registry.is_registered(name):
            raise ModelError(f"a model named {name!r} is already registered. Choose another name.")
        architecture = Architecture(
            name, factory, _options(options_of or factory), source, dict(config or {}), feature_maps
        )
        timm_registry.add(architecture.name, architecture.build, architecture.config, feature_maps)
        _architectures[name] = architecture
        return factory

    return register if factory is None else register(factory)


def _options(factory: Callable[..., nn.Module]) -> dict[str, Any]:
    options = {}
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.kind in _VARIADIC:
            raise ModelError(
                f"cannot register {factory.__name__!r}: it takes {parameter}. "
                "Name its arguments one by one, or pass options_of."
            )
        if parameter.kind is not _POSITIONAL_ONLY:
            options[parameter.name] = parameter.default
    missing = [name for name in _REQUIRED if name not in options]
    if missing:
        raise ModelError(f"cannot register {factory.__name__!r}: it has no argument {' or '.join(missing)}.")
    return options


def list_models(pattern: str = "*", *, timm: bool = False, pretrained: bool = False) -> list[str]:
    """List the names that `create_model` knows.

    Args:
        pattern: A pattern with the wildcards ``*``, ``?`` and ``[…]``. One that starts with ``timm/`` lists
            timm's models.
        timm: Also list timm's models, as ``timm/NAME``; the pattern matches ``NAME``.
        pretrained: List the released weights instead, as ``ARCHITECTURE.TAG``.

    Returns:
        The names in natural order ("b2" before "b10"), timm's after the others.
    """
    if pretrained:
        released = [release.name for release in list_releases() if release.architecture is not None]
        return _sorted(fnmatch.filter(released, pattern))
    bare = pattern.removeprefix("timm/")
    ours = [] if bare != pattern else fnmatch.filter(_architectures, pattern)
    names = _sorted(ours)
    if timm or bare != pattern:
        names += [f"timm/{name}" for name in _sorted(fnmatch.filter(timm_names(), bare))]
    return names


def timm_names() -> list[str]:
    """Return the names of timm's own models, without ours."""
    return [name for name in timm_registry.names() if name not in _architectures]


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: [(int(d or 0), s) for d, s in re.findall(r"(\d*)(\D*)", name)])
