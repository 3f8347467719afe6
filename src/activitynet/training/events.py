"""What a training run tells the functions that listen to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Event:
    """One moment of a run.

    Attributes:
        kind: ``"start"`` once, ``"step"`` after each optimiser step, ``"epoch"`` after each validation
            (epoch 0 is the one before training), ``"end"`` once.
        epoch: Epochs finished; during an epoch, the number of the current one, counted from 1.
        epochs: Epochs planned.
        step: Optimiser steps done since the run began.
        steps: Optimiser steps planned.
        loss: Loss of the step, or mean loss of the epoch; `None` where there is none.
        lr: Learning rate of the layers next to the head.
        images_per_second: Training photos a second over the epoch so far, waiting included.
        scores: What validation said, after an epoch: the scores by name, and F1 by class.
        best: Whether these scores are the best so far.
    """

    kind: Literal["start", "step", "epoch", "end"]
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None = None
    lr: float = 0.0
    images_per_second: float = 0.0
    scores: Mapping[str, Any] | None = None
    best: bool = False


Callback = Callable[[Event], None]
