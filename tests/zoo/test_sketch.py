from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import nn

from activitynet.errors import WeightsError
from activitynet.zoo import create_model, list_models
from activitynet.zoo.sketch import MAX_ARGUMENT, check_arguments, sketch

LARGE = ["tf_efficientnet_b7", "resnet152", "vit_large_patch16_224", "swin_base_patch4_window12_384"]


@pytest.mark.parametrize("name", [*list_models(), *(f"timm/{name}" for name in LARGE)])
def test_no_real_network_is_too_large_for_its_own_tensors(name: str) -> None:
    with torch.device("meta"):
        tensors = create_model(name).state_dict()
    assert sketch(lambda: create_model(name), len(tensors)).state_dict().keys() == tensors.keys()


def deep(layers: int) -> nn.Module:
    return nn.Sequential(*(nn.Identity() for _ in range(layers)))


def test_a_network_may_have_only_so_many_layers_for_its_tensors() -> None:
    tensors = {str(number): torch.zeros(1) for number in range(100)}
    assert len(list(sketch(lambda: deep(4_000), len(tensors)).children())) == 4_000
    with pytest.raises(WeightsError, match="far more layers"):
        sketch(lambda: deep(4_001), len(tensors))
    deep(5_000)  # nothing is left of the bound


def test_what_other_threads_make_is_not_counted() -> None:
    def make() -> nn.Module:
        thread = threading.Thread(target=deep, args=(5_000,))
        thread.start()
        thread.join()
        return deep(10)

    assert len(list(sketch(make, 0).children())) == 10


def test_what_a_network_keeps_besides_its_tensors_is_bounded() -> None:
    def make() -> nn.Module:
        model = nn.Linear(1, 1)
        model.register_buffer("mask", torch.zeros(2**15, 2**13), persistent=False)
        return model

    with pytest.raises(WeightsError, match="its buffers take 1024 MiB besides its tensors"):
        sketch(make, 0)


@pytest.mark.parametrize(
    "value", [MAX_ARGUMENT, -MAX_ARGUMENT, 0.5, None, True, "9" * 99, [1, [2, {"a": 3}]], {}]
)
def test_arguments_of_networks_are_taken(value: Any) -> None:
    check_arguments({"a": value})


@pytest.mark.parametrize("value", [MAX_ARGUMENT + 1, -(2**70), 1e6, [1, [2, {"a": 10**9}]]])
def test_numbers_that_no_network_has_are_refused(value: Any) -> None:
    with pytest.raises(WeightsError, match="largest number allowed is 65536"):
        check_arguments({"a": value})
