from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from activitynet import Classifier
from activitynet.errors import ModelError
from activitynet.runtime.devices import resolve_device

_PROGRAM = """
import resource, sys
import torch
from activitynet.runtime.devices import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
torch.ones(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything")
def test_memory_is_taken_from_the_system_once_and_not_at_every_step() -> None:
    def faults(mode: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, mode], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert faults("kept") < faults("default") / 4


@pytest.mark.parametrize(
    ("name", "says"),
    [("cud", "'cud' is not a device"), ("xpu", "no 'xpu' device"), ("meta", "no 'meta' device")],
)
def test_a_device_that_is_not_there_is_one_line(name: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        resolve_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none_is_refused_at_once() -> None:
    with pytest.raises(ModelError, match=r"no 'cuda' device .* use 'cpu'"):
        Classifier("test_resnet_se", device="cuda")
