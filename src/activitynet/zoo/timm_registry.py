"""Registers our architectures with timm.

timm reads a model's default configuration from ``default_cfgs`` of the module of its factory, and lists
models by module. So the factories that timm sees are all created in this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import timm
from timm.models import DefaultCfg, build_model_with_cfg, generate_default_cfgs
from torch import nn

from activitynet.errors import ModelError

default_cfgs: dict[str, DefaultCfg] = {}


def is_registered(name: str) -> bool:
    """Return whether timm knows the name."""
    return bool(timm.is_model(name))


def names() -> list[str]:
    """Return every name that timm knows, except deprecated ones."""
    return list(timm.list_models())


def add(name: str, build: Callable[..., nn.Module], config: Mapping[str, Any], feature_maps: int) -> None:
    """Register an architecture with timm.

    Args:
        name: Its name, which timm does not know yet.
        build: Creates the network from keyword arguments.
        config: Fields of timm's pretrained configuration.
        feature_maps: The number of feature maps of ``features_only``.

    Raises:
        ModelError: The configuration has a field that timm does not know.
    """
    try:
        default_cfgs.update(generate_default_cfgs({name: {"num_classes": 20, **config}}))
    except TypeError as error:
        raise ModelError(f"cannot register {name!r} with timm: {error}. Correct its config.") from error

    def entrypoint(
        pretrained: bool = False,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: dict[str, Any] | None = None,
        cache_dir: Any = None,
        **options: Any,
    ) -> nn.Module:
        # The caller's configuration may name weights; ours name none.
        if pretrained and not (pretrained_cfg or pretrained_cfg_overlay):
            raise ModelError(
                f"no pretrained weights of {name!r} are released yet. Create it with pretrained=False, or "
                "warm-start it: activitynet.create_model(name, init_from=…)."
            )
        model: nn.Module = build_model_with_cfg(
            build,
            name,
            pretrained,
            pretrained_cfg=pretrained_cfg,
            pretrained_cfg_overlay=pretrained_cfg_overlay,
            feature_cfg={"flatten_sequential": True, "out_indices": tuple(range(feature_maps))},
            cache_dir=cache_dir,
            **options,
        )
        return model

    entrypoint.__name__ = entrypoint.__qualname__ = name
    timm.models.register_model(entrypoint)
