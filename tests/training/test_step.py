from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.dataset import Photo
from activitynet.data.preprocess import Preprocess
from activitynet.errors import TrainingError
from activitynet.training import Optimizer, Recipe, Schedule, train
from activitynet.training.step import compile_blocks
from activitynet.zoo import create_model
from activitynet.zoo.network import classifiers_of


def _fused(model):
    return [module.fused for module in model.modules() if hasattr(module, "fused")]


def test_compiling_is_by_choice_and_can_be_taken_back():
    model = create_model("test_resnet_se")
    for wanted in (False, True, False):
        compile_blocks(model, wanted)
        assert set(_fused(model)) == {wanted}


@pytest.mark.parametrize("name", ["test_efficientnet_se", "timm/test_resnet"])
def test_a_network_without_group_norms_cannot_be_compiled_and_is_told_so(name):
    model = create_model(name)
    compile_blocks(model, False)
    with pytest.raises(TrainingError, match=r"no block with a group norm.*compile to false"):
        compile_blocks(model, True)


def test_without_a_compiler_the_remedy_is_named(monkeypatch):
    from torch._inductor import config, cpp_builder

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    cpp_builder.cpp_compiler_search.cache_clear()
    with pytest.raises(TrainingError, match=r"needs a C\+\+ compiler.*compile to false"):
        compile_blocks(create_model("test_resnet_se"), True)
    cpp_builder.cpp_compiler_search.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("test_resnet", 1),
        ("test_vit", 1),
        ("test_convnext", 1),
        ("test_efficientnet", 1),
        ("deit_tiny_distilled_patch16_224", 2),
        ("pit_ti_distilled_224", 2),
        ("levit_128s", 2),
        ("efficientformer_l1", 2),
    ],
)
def test_networks_of_timm_learn_with_one_head_or_two(name: str, heads: int, tmp_path: Path) -> None:
    side = 224 if heads == 2 else 160
    for index in range(2):
        pixels = np.full((side, side, 3), 60 + 120 * index, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    photos = [Photo(tmp_path / f"{index}.png", index) for index in range(2)]
    recipe = Recipe(
        epochs=1, batch_size=2, precision="fp32", optimizer=Optimizer(lr=0.01), schedule=Schedule(warmup=0.0)
    ).override({"freeze": 1.0, "average.name": "none"})
    model = create_model(f"timm/{name}", num_classes=2)
    parts = classifiers_of(model)
    assert len(parts) == heads
    before = {key: value.clone() for key, value in model.named_parameters()}
    dataset = AugmentedPhotos(photos, recipe.augment, Preprocess(size=(side, side)))
    scores = iter((0.0, 1.0))
    result = train(model, dataset, lambda _: {"macro_f1": next(scores), "accuracy": 0.5}, recipe)
    assert np.isfinite(result.history[-1]["loss"])
    changed = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    heads_own = {id(parameter) for part in parts for parameter in part.parameters()}
    assert changed == {key for key, value in model.named_parameters() if id(value) in heads_own}
