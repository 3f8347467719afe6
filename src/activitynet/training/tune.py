"""Search a learning rate, and a batch that fits into memory."""

from __future__ import annotations

import copy
import itertools
import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from activitynet.data.augmented import AugmentedPhotos
from activitynet.errors import NotFiniteError, TrainingError
from activitynet.runtime import distributed
from activitynet.training.optim import checkpoint_gradients, freeze, set_training_mode
from activitynet.training.recipe import Recipe
from activitynet.training.sampler import Part, read_steps
from activitynet.training.step import DistillLoss, computes_in_bf16, prepare, step_seed

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
    distill_loss: DistillLoss | None = None,
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
        distill_loss: The distillation loss, for a recipe with teachers.

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
        ready = prepare(
            copy.deepcopy(model), dataset, recipe, seed=seed, workers=workers, distill_loss=distill_loss
        )
        set_training_mode(ready.model, freeze_norm=recipe.freeze_norm)

        def endless() -> Iterator[list[Part]]:
            for epoch in itertools.count(1):
                ready.batches.begin(epoch, done=0)
                dataset.set_epoch(epoch)
                yield from read_steps(iter(ready.loader), recipe.grad_accum_steps)

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


SAFETY = {"cuda": 1.3, "cpu": 1.8}
"""What the counted bytes are multiplied with, by kind of device.

The count itself is exact to a few per cent, but kernels take scratch space that torch does not tell of, and
an allocator cannot use all of what it holds: a heap that is never given back (`keep_freed_memory`) was
measured to grow to 1.7 times the count.
"""

_SMALL = (2, 4)  # images of the two passes that are measured


def largest_micro_batch(
    model: nn.Module,
    size: tuple[int, int],
    *,
    limit: int | None = None,
    grad_checkpointing: bool = False,
    bf16: bool = False,
) -> int:
    """Return how many images one forward and backward pass can take at once.

    Two small passes are run on a copy of the model, and every tensor that comes and goes is counted. Between
    two allocations there is a part of the memory that grows with the images and one that does not, so the
    two passes tell the peak for any number. To that come gradients, the optimiser's state (counted as Adam's)
    and the weights' average. All of it is multiplied with the `SAFETY` of the device.

    Args:
        model: A zoo model; parameters that do not require gradients count as frozen.
        size: Height and width of the images.
        limit: Bytes that training may take beside the model's own weights. `None` is what the model's device
            has free now: on a CPU under Linux, within the limits of its control groups.
        grad_checkpointing: Whether activations are computed again on the way back.
        bf16: Whether it multiplies in bfloat16.

    Returns:
        The number of images; 0 where not even one fits.

    Raises:
        TrainingError: The device does not tell its free memory, or the model cannot checkpoint gradients.
    """
    device = next(model.parameters()).device
    if limit is None:
        limit = free_memory(device)
    budget = limit / SAFETY.get(device.type, max(SAFETY.values())) - _standing_bytes(model)
    few, more = (
        _live_bytes(model, size, images, grad_checkpointing=grad_checkpointing, bf16=bf16)
        for images in _SMALL
    )
    each = (more - few) / (_SMALL[1] - _SMALL[0])
    always = few - _SMALL[0] * each
    if budget < always.max():
        return 0
    grows = each > 0
    return int(((budget - always[grows]) / each[grows]).min())


def auto_grad_accum_steps(
    model: nn.Module, size: tuple[int, int], recipe: Recipe, *, limit: int | None = None
) -> int:
    """Return in how few parts a recipe's batches have to be computed to fit into memory.

    Args:
        model: A zoo model on the device it is to be trained on.
        size: Height and width of the images that the model looks at outside training.
        recipe: What is to be done.
        limit: Bytes for each process, as for `largest_micro_batch`.

    Returns:
        A number of parts that divides a process's share of the batch: a value for the recipe's
        ``grad_accum_steps``.

    Raises:
        TrainingError: Not even one image fits, or the device does not tell its free memory.
    """
    model = copy.deepcopy(model)
    freeze(model, recipe.freeze, recipe.freeze_blocks)
    bf16 = computes_in_bf16(recipe, next(model.parameters()).device)
    largest = max(recipe.training_size(size, epoch) for epoch in (1, recipe.epochs))
    most = largest_micro_batch(
        model, largest, limit=limit, grad_checkpointing=recipe.grad_checkpointing, bf16=bf16
    )
    if most == 0:
        raise TrainingError(
            f"not even one image of {largest[0]} x {largest[1]} pixels fits into memory. Take a smaller "
            "model, lower the recipe's resolution, or set its grad_checkpointing to true."
        )
    share = max(1, recipe.batch_size // distributed.world_size())
    return next(parts for parts in range(1, share + 1) if share % parts == 0 and share // parts <= most)


def free_memory(device: torch.device, *, system: Path = Path("/")) -> int:
    """Return how many bytes a device has free.

    Args:
        device: A CUDA device, or the CPU.
        system: Where ``proc`` and ``sys`` lie.

    Raises:
        TrainingError: It does not tell.
    """
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "cpu":
        try:
            facts = dict(line.split(":") for line in (system / "proc/meminfo").read_text().splitlines())
            free = int(facts["MemAvailable"].split()[0]) * 1024
            return max(0, min([free, *_left_by_control_groups(system)]))
        except (OSError, ValueError, KeyError):
            pass  # not Linux
    raise TrainingError(f"this machine does not tell how much memory {str(device)!r} has free; give a limit.")


def _left_by_control_groups(system: Path) -> Iterator[int]:
    """Yield what each control group around this process leaves, in version 1 or 2 of their file system."""
    for line in (system / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            yield from _left_by(system / root / folder, *names)


def _left_by(folder: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    try:
        most = (folder / limit).read_text().strip()
        used = int((folder / usage).read_text())
        facts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:  # no such limit, or the group lies outside a container's view
        return
    if most != "max":
        yield int(most) - used + int(facts.get(reclaimable, 0))


def _standing_bytes(model: nn.Module) -> int:
    """Return what lies in memory at every moment beside the weights."""
    learning = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    whole = sum(tensor.nbytes for tensor in model.state_dict().values())
    return 3 * learning + whole  # a gradient and two moments; the average


def _live_bytes(
    model: nn.Module, size: tuple[int, int], images: int, *, grad_checkpointing: bool, bf16: bool
) -> Tensor:
    """Return the bytes of live tensors after each allocation of a forward and backward pass.

    Parameters, buffers and gradients, which are there before, are not counted.
    """
    model = copy.deepcopy(model).to(memory_format=torch.channels_last).train()
    checkpoint_gradients(model, grad_checkpointing)
    device = next(model.parameters()).device
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.grad = torch.zeros_like(parameter)
    standing = [*model.parameters(), *model.buffers(), *(p.grad for p in learning if p.grad is not None)]
    with torch.random.fork_rng(), _LiveBytes(standing) as live:
        batch = torch.zeros(images, 3, *size, device=device).contiguous(memory_format=torch.channels_last)
        targets = torch.zeros(images, dtype=torch.long, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = model(batch)
        F.cross_entropy(logits.float(), targets).backward()
    return torch.tensor(live.trace, dtype=torch.double)


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive, each storage once.

    Args:
        standing: Tensors that do not count.

    Attributes:
        trace: The bytes after each allocation.
    """

    def __init__(self, standing: Sequence[Tensor]) -> None:
        super().__init__()
        self.trace: list[int] = []
        self._now = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in standing}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._note, made)
        return made

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._now += size
        self.trace.append(self._now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.remove(key)
        self._now -= size
