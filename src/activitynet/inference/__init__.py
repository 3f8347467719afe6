"""Running a trained network over photos: one way to do it, for evaluation, training and prediction."""

from activitynet.inference.devices import best_device, device_of, has_bf16
from activitynet.inference.engine_choice import EngineName, compile_network, load_exported
from activitynet.inference.engines import Engine, Precision
from activitynet.inference.forward import forward_batches, forward_dataset, photo_loader
from activitynet.inference.predict import Prediction, stream_predictions
from activitynet.inference.prediction_file import PredictionFile, Tally
from activitynet.inference.tta import TTA, Ways, augmented

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
