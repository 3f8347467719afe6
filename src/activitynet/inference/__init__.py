"""Running a trained network over photos: one way to do it, for evaluation, training and prediction."""

from activitynet.inference.forward import device_of, forward_batches, forward_dataset, photo_loader
from activitynet.inference.predict import Prediction, stream_predictions

__all__ = [
    "Prediction",
    "device_of",
    "forward_batches",
    "forward_dataset",
    "photo_loader",
    "stream_predictions",
]
