"""Tensors on disk: safetensors in and out, checked, and never a pickle."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from activitynet.errors import WeightsError, clipped, shown
from activitynet.serialization import atomic
from activitynet.serialization.records import read_bounded

MAX_TENSOR_BYTES = 2**36
"""Most bytes of a file of tensors: 64 GiB."""

_DTYPES = frozenset(
    {torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.bool}
    | {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
)


def save_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, torch.Tensor],
    *,
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Write named tensors to a safetensors file in one step.

    Args:
        path: The file to write.
        tensors: Name to tensor, on any device; tensors that share memory are written separately.
        metadata: Text for the file's header.

    Returns:
        The SHA-256 of the file, as hexadecimal digits.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    data = safetensors.torch.save(plain, dict(metadata) if metadata is not None else None)
    atomic.write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def read_tensors(path: str | os.PathLike[str], *, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """Read a safetensors file whole, and check it.

    Args:
        path: The file to read.
        sha256: The expected SHA-256; `None` accepts any.

    Returns:
        Name to tensor, on the CPU.

    Raises:
        WeightsError: The file is missing, truncated or malformed, has another hash, or holds a number
            that is not finite.
    """
    path = Path(path)
    try:
        data = read_bounded(path, MAX_TENSOR_BYTES)
    except OSError as error:
        raise WeightsError(f"cannot read weights file {str(path)!r}: {error.strerror}.") from error
    if data.startswith(b"version https://git-lfs.github.com/spec/"):
        raise WeightsError(f"{str(path)!r} is a Git LFS pointer, not the weights. Run `git lfs pull`.")
    if sha256 is not None and (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise WeightsError(
            f"{str(path)!r} is not the file its card describes: SHA-256 is {found[:12]}…, expected "
            f"{sha256[:12]}…. It was changed or cut short; copy or download it again."
        )
    try:
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise WeightsError(
            f"{str(path)!r} is not a valid safetensors file ({clipped(error)}). Copy or download it again."
        ) from error
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise WeightsError(
                f"tensor {shown(name)} in {str(path)!r} has type {kind}, which is not supported."
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(f"tensor {shown(name)} in {str(path)!r} holds numbers that are not finite.")
    return tensors


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata that `save_tensors` wrote into a file's header.

    Raises:
        WeightsError: The file is missing or malformed.
    """
    try:
        if not Path(path).is_file():  # a pipe would block
            raise FileNotFoundError("it is missing, or not a regular file")
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"cannot read {str(path)!r}: {clipped(error)}.") from error
