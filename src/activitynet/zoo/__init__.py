"""Networks by name, including timm's, and warm starts.

Importing this package also registers its networks with timm: ``timm.create_model("resnet18_se")`` then works.
"""

from __future__ import annotations

from activitynet.zoo import efficientnet, resnet, squeezenet  # noqa: F401  importing registers them
from activitynet.zoo.build import ModelInfo, model_info
from activitynet.zoo.create import create_model
from activitynet.zoo.registry import list_models, register_model
from activitynet.zoo.warm_start import WarmStart, warm_start

__all__ = [
    "ModelInfo",
    "WarmStart",
    "create_model",
    "list_models",
    "model_info",
    "register_model",
    "warm_start",
]
