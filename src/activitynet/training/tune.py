"""Search for a learning rate, and for a batch size that fits into memory."""

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

_SMOOTHED_OVER = 0.1  # share of the steps over which the loss is averaged
_DIVERGED = 4.0  # multiple of the lowest smoothed loss at which the search ends


@dataclass(frozen=True)
class LearningRates:
    """Result of a learning-rate search.

    Attributes:
        rates: The rates tried, a geometric sequence.
        losses: The loss at each rate: a bias-corrected exponential mean over about a tenth of the steps.
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
    """Try learning rates from low to high, one step each, on a copy of a model.

    The search ends early if the loss is not finite, or is four times its minimum. All other settings are
    those at the start of a run with the recipe.

    Args:
        model: A zoo model, on the kind of device to train on. It is not changed.
        dataset: Training photos.
        recipe: The recipe; its learning rate and schedule are ignored.
        seed: Random seed.
        workers: Processes that load photos. The result does not depend on it.
        steps: Number of rates, at least 20.
        lowest: The first rate, greater than 0.
        highest: The last rate.
        distill_loss: The distillation loss, for a recipe with teachers.

    Returns:
        The rates, the losses and the suggestion.

    Raises:
        TrainingError: The range of rates is invalid, or the loss does not fall.
    """
    if steps < 20 or not 0 < lowest < highest < math.inf:
        raise TrainingError(
            f"cannot search {steps} learning rates from {lowest} to {highest}; choose at least 20 rates, "
            "from above 0 to a higher one."
        )
    with torch.random.fork_rng():  # keep the caller's generators unchanged
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
    """Return the start of the window of 2 * lag steps with the largest fall before the minimum.

    The first ``lag`` losses are ignored, since they average too few steps.

    Raises:
        TrainingError: The loss does not fall.
    """
    bottom = min(range(lag, len(losses)), key=losses.__getitem__, default=0)
    falls = {start: losses[start] - losses[start + 2 * lag] for start in range(lag, bottom - 2 * lag + 1)}
    steepest = max(falls, key=falls.__getitem__, default=None)
    if steepest is None or falls[steepest] <= 0:
        raise TrainingError(
            "the loss does not fall at any of the learning rates. "
            "Start at a lower rate, use larger batches, or check the labels."
        )
    return steepest


SAFETY = {"cuda": 1.3, "cpu": 1.8}
"""Safety factor on the counted bytes, by kind of device.

The count is exact to a few per cent, but torch does not report the scratch space of kernels, and allocators
waste memory: with `keep_freed_memory`, the heap grew to 1.7 times the count in a measurement.
"""

_SMALL = (2, 4)  # batch sizes of the two measured passes


def largest_micro_batch(
    model: nn.Module,
    size: tuple[int, int],
    *,
    limit: int | None = None,
    grad_checkpointing: bool = False,
    bf16: bool = False,
) -> int:
    """Return the largest batch size whose forward and backward pass fits into memory.

    Two small passes run on a copy of the model, and the bytes of all live tensors are counted after each
    allocation. Since these are linear in the batch size, two passes give the peak for any batch size.
    Gradients, optimiser state (as for Adam) and averaged weights are added. The sum is multiplied by the
    `SAFETY` of the device.

    Args:
        model: A zoo model; parameters that do not require gradients count as frozen.
        size: Height and width of the images.
        limit: Bytes for training, without the model's own weights. `None` takes the free memory of the
            model's device; on a CPU under Linux, within the limits of its control groups.
        grad_checkpointing: Whether to use gradient checkpointing.
        bf16: Whether to use bfloat16.

    Returns:
        The number of images; 0 if not even one fits.

    Raises:
        TrainingError: The device does not report its free memory, or the model does not support gradient
            checkpointing.
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
    fixed = few - _SMALL[0] * each
    if budget < fixed.max():
        return 0
    grows = each > 0
    return int(((budget - fixed[grows]) / each[grows]).min())


def auto_grad_accum_steps(
    model: nn.Module, size: tuple[int, int], recipe: Recipe, *, limit: int | None = None
) -> int:
    """Return the smallest ``grad_accum_steps`` with which a recipe's batches fit into memory.

    Args:
        model: A zoo model on the device to train on.
        size: Height and width of the model's images outside training.
        recipe: The recipe.
        limit: Bytes for each process; see `largest_micro_batch`.

    Returns:
        The number of parts per step; it divides each process's share of the batch.

    Raises:
        TrainingError: Not even one image fits, or the device does not report its free memory.
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
            f"not even one image of {largest[0]} x {largest[1]} pixels fits into memory. Use a smaller "
            "model, lower the recipe's resolution, or set its grad_checkpointing to true."
        )
    share = max(1, recipe.batch_size // distributed.world_size())
    return next(parts for parts in range(1, share + 1) if share % parts == 0 and share // parts <= most)


def free_memory(device: torch.device, *, system: Path = Path("/")) -> int:
    """Return the free memory of a device in bytes.

    Args:
        device: A CUDA device, or the CPU.
        system: Parent folder of ``proc`` and ``sys``.

    Raises:
        TrainingError: The device does not report its free memory.
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
    raise TrainingError(
        f"cannot determine the free memory of {str(device)!r}; set the recipe's grad_accum_steps."
    )


def _left_by_control_groups(system: Path) -> Iterator[int]:
    """Yield the free bytes of each control group (version 1 or 2) of this process."""
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
    except OSError:  # no limit, or the group is not visible in this container
        return
    if most != "max":
        yield int(most) - used + int(facts.get(reclaimable, 0))


def _standing_bytes(model: nn.Module) -> int:
    """Return the bytes of gradients, optimiser state and averaged weights."""
    trainable = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    whole = sum(tensor.nbytes for tensor in model.state_dict().values())
    return 3 * trainable + whole  # gradient and two moments; average


def _live_bytes(
    model: nn.Module, size: tuple[int, int], images: int, *, grad_checkpointing: bool, bf16: bool
) -> Tensor:
    """Return the bytes of live tensors after each allocation of a forward and backward pass.

    Parameters, buffers and gradients are not counted.
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
    """Counts the bytes of live tensors, each storage once.

    Args:
        standing: Tensors that are not counted.

    Attributes:
        trace: The bytes after each allocation.
    """

    def __init__(self, standing: Sequence[Tensor]) -> None:
        super().__init__()
        self.trace: list[int] = []
        self._now = 0
        self._known = {tensor.untyped_storage().data_ptr() for tensor in standing}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._note, made)
        return made

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        if address in self._known:
            return
        self._known.add(address)
        self._now += size
        self.trace.append(self._now)
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self._known.remove(address)
        self._now -= size
