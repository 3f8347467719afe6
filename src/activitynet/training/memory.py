"""How a training run spends memory."""

from __future__ import annotations

from torch import nn

from activitynet.errors import TrainingError


def checkpoint_gradients(model: nn.Module, wanted: bool) -> None:
    """Let a model compute activations again on the way back instead of keeping them, or not.

    Raises:
        TrainingError: The network has no way to.
    """
    try:
        model.set_grad_checkpointing(wanted)  # type: ignore[operator]
    except (AssertionError, AttributeError) as error:
        if wanted:
            raise TrainingError(
                f"{type(model).__name__} cannot compute its activations again; set the recipe's "
                "grad_checkpointing to false."
            ) from error
