"""A model zoo that tells, from one still photo, what a person is doing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# The whole public API: name -> the module it lives in. Loaded on first use, so that
# `import activitynet` costs milliseconds and no torch.
_PUBLIC = {
    "ACTIVITIES": "activitynet.data.dataset",
    "ActivityNetError": "activitynet.errors",
    "Classifier": "activitynet.classifier",
    "Ensemble": "activitynet.ensemble",
    "Prediction": "activitynet.classifier",
    "Recipe": "activitynet.training.recipe",
    "Scores": "activitynet.evaluation.metrics",
    "create_model": "activitynet.zoo",
    "list_models": "activitynet.zoo",
    "load_ensemble": "activitynet.ensemble",
    "model_info": "activitynet.zoo",
    "register_model": "activitynet.zoo",
    "draw_sample_data": "activitynet.data.drawn",
    "run_study": "activitynet.study",
}

if TYPE_CHECKING:
    from activitynet.classifier import Classifier, Prediction
    from activitynet.data.dataset import ACTIVITIES
    from activitynet.data.drawn import draw_sample_data
    from activitynet.ensemble import Ensemble, load_ensemble
    from activitynet.errors import ActivityNetError
    from activitynet.evaluation.metrics import Scores
    from activitynet.study import run_study
    from activitynet.training.recipe import Recipe
    from activitynet.zoo import create_model, list_models, model_info, register_model

__all__ = [
    "ACTIVITIES",
    "ActivityNetError",
    "Classifier",
    "Ensemble",
    "Prediction",
    "Recipe",
    "Scores",
    "__version__",
    "create_model",
    "draw_sample_data",
    "list_models",
    "load_ensemble",
    "model_info",
    "register_model",
    "run_study",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'activitynet' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
