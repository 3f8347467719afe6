"""Every recipe trains, end to end, at a tiny scale."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from activitynet import Classifier
from activitynet.training import list_recipes

NETWORKS = {
    "deep_seers_resnet18_se": "resnet18_se",
    "deep_seers_efficientnet_b0_se": "efficientnet_b0_se",
}


@pytest.mark.parametrize("recipe", list_recipes())
def test_it_learns_and_keeps_snapshots(recipe: str, sample_data: Path, tmp_path: Path) -> None:
    classifier = Classifier(NETWORKS.get(recipe, "test_resnet_se"), image_size=64)
    result = classifier.fit(
        sample_data,
        run=tmp_path / "run",
        recipe=recipe,
        settings={"epochs": 2, "batch_size": 20, "checkpoint.epochs": [1, 2]},
        workers=0,
        progress=False,
    )
    assert [row["epoch"] for row in result.history] == [0, 1, 2]
    assert all(math.isfinite(row["loss"]) for row in result.history[1:])
    first, second = (
        Classifier.load(tmp_path / "run" / "checkpoints" / name).model.state_dict()
        for name in ("epoch-0001", "epoch-0002")
    )
    assert any(not torch.equal(tensor, second[name]) for name, tensor in first.items())
