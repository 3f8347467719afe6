"""Running a trained network over photos: one way to do it, for evaluation, training and prediction."""

from activitynet.inference.engines import Engine, EngineName, Precision, compile_network, load_exported
from activitynet.inference.predict import (
    Prediction,
    forward_batches,
    forward_dataset,
    photo_loader,
    stream_predictions,
)
from activitynet.inference.tta import TTA, Ways, augmented
from activitynet.inference.writers import PredictionFile, Tally
from activitynet.runtime.devices import best_device, device_of, has_bf16

__all__ = [
    "TTA",
    "Engine",
    "EngineName",
    "Precision",
    "Prediction",
    "PredictionFile",
    "Tally",
    "Ways",
    "augmented",
    "best_device",
    "compile_network",
    "device_of",
    "forward_batches",
    "forward_dataset",
    "has_bf16",
    "load_exported",
    "photo_loader",
    "stream_predictions",
]
