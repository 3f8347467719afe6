"""The state of a run on disk: a safetensors file with JSON in its header, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from activitynet.errors import TrainingError, WeightsError
from activitynet.tensors import read_metadata, read_tensors, save_tensors

Tensors = dict[str, torch.Tensor]

_FILE = "state.safetensors"
_GROUP = "group"  # before the number of a parameter group, where others are of parameters


def save_checkpoint(folder: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint into its folder, as one file that takes the old one's place in one step.

    Args:
        folder: Where: ``checkpoints/last`` of a run, say.
        tensors: Every tensor of the state, by name.
        state: The rest, as JSON values.

    Raises:
        StorageError: It cannot be written; the previous checkpoint stays.
    """
    metadata = {"state": json.dumps(state, allow_nan=False), "checksum": _checksum(tensors)}
    save_tensors(folder / _FILE, tensors, metadata=metadata)


def read_checkpoint(folder: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read a checkpoint folder and check it against its own checksum.

    Raises:
        TrainingError: There is none, or it is not what was saved.
    """
    try:
        metadata = read_metadata(folder / _FILE)
        tensors = read_tensors(folder / _FILE)
        state, whole = json.loads(metadata["state"]), metadata["checksum"] == _checksum(tensors)
    except (WeightsError, ValueError, KeyError) as error:
        raise TrainingError(
            f"no checkpoint can be read from {str(folder)!r} ({error}). "
            "Start without resume, or name another run."
        ) from error
    if not whole:
        raise TrainingError(f"the checkpoint in {str(folder)!r} is damaged; start without resume.")
    return tensors, state


def has_checkpoint(folder: Path) -> bool:
    """Tell whether a checkpoint was ever saved to this folder."""
    return (folder / _FILE).exists()


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[Tensors, dict[str, Any]]:
    """Take an optimiser's state apart into tensors and JSON values."""
    whole = optimizer.state_dict()
    tensors: Tensors = {}
    scalars: dict[str, dict[str, Any]] = {}
    groups: list[dict[str, Any]] = [{} for _ in whole["param_groups"]]
    for index, values in whole["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                scalars.setdefault(str(index), {})[name] = value
    for index, values in enumerate(whole["param_groups"]):
        for name, value in values.items():
            if isinstance(value, torch.Tensor):  # Lamb counts its steps so
                tensors[f"{_GROUP}{index}.{name}"] = value
            else:
                groups[index][name] = value
    return tensors, {"groups": groups, "scalars": scalars}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors, values: Mapping[str, Any]) -> None:
    """Put an optimiser back into the state that `flatten_optimizer` took apart."""
    state: dict[int, dict[str, Any]] = {int(i): dict(entry) for i, entry in values["scalars"].items()}
    groups = [dict(group) for group in values["groups"]]
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        if index.startswith(_GROUP):
            groups[int(index.removeprefix(_GROUP))][name] = tensor
        else:
            state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def with_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the tensors with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the tensors whose names begin with ``prefix.``, without it."""
    start = prefix + "."
    return {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}
