"""A search for the learning rate: a short run in which it rises from far too low to far too high.

Smith 2017, https://arxiv.org/abs/1506.01186.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from activitynet.data.augmented import AugmentedPhotos
from activitynet.errors import TrainingError
from activitynet.training.batches import Part, read_steps
from activitynet.training.optim import set_training_mode
from activitynet.training.prepare import prepare
from activitynet.training.recipe import Recipe
from activitynet.training.step import NotFiniteError, Teach, step_seed

_SMOOTHED_OVER = 0.1  # share of the steps that the loss is averaged over
_DIVERGED = 4.0  # times the lowest smoothed loss


@dataclass(frozen=True)
class LearningRates:
    """What a search has found.

    Attributes:
        rates: The rates tried, rising by the same factor each step.
        losses: The loss at each: an exponential mean over about a tenth of the steps, corrected for its bias.
        suggestion: The rate at which the loss fell fastest.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


def find_learning_rate(
    model: nn.Module,
    dataset: AugmentedPhotos,
    recipe: Recipe,
    *,
    seed: int = 0,
    workers: int = 0,
    steps: int = 100,
    lowest: float = 1e-6,
    highest: float = 1.0,
    teach: Teach | None = None,
) -> LearningRates:
    """Try rates from low to high, a step each, on a copy of a model; the model itself is not touched.

    It ends early when the loss is no longer finite, or four times its lowest. Everything but the rate is as
    at the start of the recipe's run.

    Args:
        model: A zoo model, on the kind of device that it is to be trained on.
        dataset: Training photos.
        recipe: What the run is to do; its rate and schedule do not matter.
        seed: Where all randomness comes from.
        workers: Processes that load photos. The result does not depend on it.
        steps: Rates to try, at least 20.
        lowest: The first rate, greater than 0.
        highest: The last.
        teach: The loss that distils, for a recipe with teachers.

    Returns:
        The rates, the losses and the suggestion.

    Raises:
        TrainingError: The rates make no range, or the loss falls at none of them.
    """
    if steps < 20 or not 0 < lowest < highest < math.inf:
        raise TrainingError(
            f"cannot search {steps} learning rates from {lowest} to {highest}: "
            "try at least 20, rising from above 0."
        )
    with torch.random.fork_rng():  # the caller's generators stay as they were
        ready = prepare(copy.deepcopy(model), dataset, recipe, seed=seed, workers=workers, teach=teach)
        set_training_mode(ready.model, freeze_norm=recipe.freeze_norm)

        def endless() -> Iterator[list[Part]]:
            for epoch in itertools.count(1):
                ready.batches.begin(epoch, done=0)
                dataset.set_epoch(epoch)
                yield from read_steps(iter(ready.loader), recipe.accumulate)

        rates: list[float] = []
        losses: list[float] = []
        memory, mean = 1 - 1 / (_SMOOTHED_OVER * steps), 0.0
        for step, parts in enumerate(itertools.islice(endless(), steps)):
            torch.manual_seed(step_seed(seed, step))
            rate = lowest * (highest / lowest) ** (step / (steps - 1))
            for group in ready.optimizer.param_groups:
                group["lr"] = rate * group.get("lr_scale", 1.0)
            try:
                loss = ready.take_step(parts)
            except NotFiniteError:
                break
            mean = memory * mean + (1 - memory) * loss
            rates.append(rate)
            losses.append(mean / (1 - memory ** (step + 1)))
            if losses[-1] > _DIVERGED * min(losses):
                break
    suggestion = rates[_steepest(losses, round(_SMOOTHED_OVER * steps))]
    return LearningRates(tuple(rates), tuple(losses), suggestion)


def _steepest(losses: Sequence[float], lag: int) -> int:
    """Return where the stretch of twice the lag begins over which a loss falls most before it is lowest.

    The first ``lag`` losses are means of too few to count.

    Raises:
        TrainingError: It falls nowhere.
    """
    bottom = min(range(lag, len(losses)), key=losses.__getitem__, default=0)
    falls = {start: losses[start] - losses[start + 2 * lag] for start in range(lag, bottom - 2 * lag + 1)}
    steepest = max(falls, key=falls.__getitem__, default=None)
    if steepest is None or falls[steepest] <= 0:
        raise TrainingError(
            "the loss falls at none of the learning rates tried. "
            "Begin the search lower, take larger batches, or check the labels."
        )
    return steepest
