from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from activitynet import create_model
from activitynet.data.augment import Augment
from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.dataset import Photo
from activitynet.data.preprocess import Preprocess
from activitynet.errors import TrainingError
from activitynet.training import Checkpoint, Event, FitResult, Loss, Mix, Optimizer, Recipe, RunFolder, train
from activitynet.training.checkpoint import read_checkpoint

RECIPE = Recipe(
    epochs=3,
    batch_size=4,
    drop_rate=0.3,
    optimizer=Optimizer(lr=0.01),
    loss=Loss(balance=0.5),
    augment=Augment(color=0.3),
    mix=Mix(mixup=0.4, cutmix=1.0, until=0.7),
    checkpoint=Checkpoint(every_steps=1),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    made = []
    for index in range(14):
        pixels = noise.integers(0, 128, (40, 40, 3), dtype=np.uint8)
        pixels[..., index % 2] += 100
        Image.fromarray(pixels).save(folder / f"{index}.png")
        made.append(Photo(folder / f"{index}.png", index % 2))
    return made


def fit(
    photos: list[Photo],
    recipe: Recipe = RECIPE,
    *,
    scores: Iterator[float] | None = None,
    architecture: str = "test_efficientnet_se",
    drop_path_rate: float = 0.2,
    **options: object,
) -> tuple[nn.Module, FitResult]:
    torch.manual_seed(0)
    model = create_model(
        architecture, num_classes=2, drop_rate=recipe.drop_rate, drop_path_rate=drop_path_rate
    )
    dataset = AugmentedPhotos(photos, recipe.augment, Preprocess(size=(32, 32)), seed=5)

    def validate(network: nn.Module) -> Mapping[str, float]:
        # Without scores of a test's own, a number that follows from the weights alone.
        weight = network.get_classifier().weight.double()
        return {"macro_f1": next(scores) if scores else (weight**2).sum().item(), "accuracy": 0.5}

    return model, train(model, dataset, validate, recipe, seed=5, **options)  # type: ignore[arg-type]


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    for (name, tensor), expected in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(tensor, expected), name


def stop_at(kind: str, step: int) -> Callable[[Event], None]:
    def callback(event: Event) -> None:
        if event.kind == kind and event.step == step:
            raise KeyboardInterrupt

    return callback


def assert_same_states(one: Path, other: Path) -> None:
    first, second = (read_checkpoint(folder / "checkpoints" / "last")[0] for folder in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()


@pytest.mark.processor
@pytest.mark.parametrize("average", ["ema", "swa", "none"])
@pytest.mark.parametrize("anchor", [0.0, 0.3])
def test_resumed_is_the_uninterrupted_run_to_the_bit(
    photos: list[Photo], tmp_path: Path, average: str, anchor: float
) -> None:
    recipe = RECIPE.override(average__name=average, average__anchor=anchor, grad_accum_steps=2)
    whole, result = fit(photos, recipe, run=RunFolder(tmp_path / "whole"))
    cut = RunFolder(tmp_path / "cut")
    # In the first epoch, at the end of one, in the middle of the second, and before the last one's end.
    for kind, step in (("step", 1), ("step", 3), ("epoch", 3), ("step", 5), ("step", 9)):
        with pytest.raises(KeyboardInterrupt):
            fit(photos, recipe, run=cut, resume=True, callbacks=[stop_at(kind, step)])
    torch.manual_seed(99)
    resumed, again = fit(photos, recipe, run=cut, resume=True)
    assert_same_weights(resumed, whole)
    assert result.history == again.history
    assert_same_states(tmp_path / "whole", cut.path)


def test_a_run_that_ends_early_is_saved_even_without_checkpoints_on_the_way(
    photos: list[Photo], tmp_path: Path
) -> None:
    recipe = RECIPE.override({"checkpoint.every_steps": 0, "checkpoint.every_minutes": 0})
    fit(photos, recipe, run=RunFolder(tmp_path / "whole"))
    cut = RunFolder(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        fit(photos, recipe, run=cut, callbacks=[stop_at("step", 5)])
    assert read_checkpoint(cut.last)[1]["step"] == 5
    fit(photos, recipe, run=cut, resume=True)
    assert_same_states(tmp_path / "whole", cut.path)


def test_the_parts_of_a_step_are_one_batch(photos: list[Photo]) -> None:
    # Plain gradient descent: of a gradient that is zero but for rounding, Adam would make a whole step.
    recipe = RECIPE.override(
        {
            "epochs": 1,
            "mix.mixup": 0.0,
            "mix.cutmix": 0.0,
            "drop_rate": 0.0,
            "precision": "fp32",
            "optimizer.name": "sgd",
            "optimizer.clip_norm": 0.0,
            "average.name": "none",
        }
    )
    options = {"architecture": "test_resnet_se", "drop_path_rate": 0.0}
    start, _ = fit(photos, recipe.override(epochs=0), **options)  # type: ignore[arg-type]
    whole, _ = fit(photos, recipe, **options)  # type: ignore[arg-type]
    parts, _ = fit(photos, recipe.override(grad_accum_steps=2), **options)  # type: ignore[arg-type]
    moved = {name: tensor - start.state_dict()[name] for name, tensor in whole.state_dict().items()}
    apart = {name: tensor - whole.state_dict()[name] for name, tensor in parts.state_dict().items()}
    distances = [torch.cat([change.flatten() for change in each.values()]).norm() for each in (moved, apart)]
    assert distances[1] < 0.01 * distances[0]
    with pytest.raises(TrainingError, match="a multiple of 3"):
        fit(photos, recipe.override(grad_accum_steps=3))


def test_mixing_ends_where_the_recipe_says(photos: list[Photo]) -> None:
    never, _ = fit(photos, RECIPE.override({"mix.until": 0.0}))
    without, _ = fit(photos, RECIPE.override({"mix.mixup": 0.0, "mix.cutmix": 0.0}))
    always, _ = fit(photos, RECIPE.override({"mix.until": 1.0}))
    assert_same_weights(never, without)
    assert not torch.equal(never.get_classifier().weight, always.get_classifier().weight)


def test_epochs_that_are_named_or_among_the_best_are_kept(photos: list[Photo], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    kept: dict[Path, nn.Module] = {}

    def keep(path: Path, model: nn.Module, entry: Mapping[str, object]) -> None:
        path.mkdir(parents=True)
        kept[path] = model
        assert run.snapshot(int(str(entry["epoch"]))) == path

    recipe = RECIPE.override({"epochs": 5, "checkpoint.epochs": [2, 4], "checkpoint.top": 2})
    fit(photos, recipe, run=run, save_epoch=keep, scores=iter([0.1, 0.5, 0.2, 0.7, 0.3, 0.6]))
    left = sorted(path.name for path in (run.path / "checkpoints").glob("epoch-*"))
    assert left == ["epoch-0002", "epoch-0003", "epoch-0004", "epoch-0005"]
    assert run.snapshot(1) in kept  # it was among the best two for a while


def test_workers_and_the_callers_randomness_change_nothing(photos: list[Photo]) -> None:
    alone, _ = fit(photos)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    helped, _ = fit(photos, workers=2)
    assert_same_weights(alone, helped)
    torch.manual_seed(0)
    create_model("test_efficientnet_se", num_classes=2, drop_rate=0.3, drop_path_rate=0.2)
    after_model = torch.get_rng_state()
    fit(photos)
    assert torch.equal(torch.get_rng_state(), after_model)
    assert not torch.equal(before, after_model)


def test_another_seed_gives_other_weights(photos: list[Photo]) -> None:
    torch.manual_seed(0)
    one, _ = fit(photos, RECIPE.override(epochs=1))
    other, _ = fit(photos, RECIPE.override(epochs=1, optimizer__lr=0.02))
    assert not torch.equal(one.get_classifier().weight, other.get_classifier().weight)


def test_the_best_epoch_is_what_the_model_ends_with(photos: list[Photo], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    events: list[Event] = []
    model, result = fit(photos, run=run, scores=iter([0.1, 0.9, 0.3, 0.2]), callbacks=[events.append])
    one_epoch, _ = fit(photos, scores=iter([0.1, 0.9, 0.3, 0.2]), callbacks=[])
    assert result.best_epoch == 1
    assert result.best["macro_f1"] == 0.9
    assert_same_weights(model, one_epoch)
    assert [event.kind for event in events if event.kind != "step"] == ["start", *["epoch"] * 4, "end"]
    assert [event.best for event in events if event.kind == "epoch"] == [True, True, False, False]
    assert sum(event.kind == "step" for event in events) == 3 * (14 // 4)
    assert [json.loads(line)["epoch"] for line in run.metrics.read_text().splitlines()] == [0, 1, 2, 3]
    assert not model.training


def test_no_epoch_better_than_the_start_gives_the_start_back(photos: list[Photo]) -> None:
    model, result = fit(photos, scores=iter([0.9, 0.1, 0.1, 0.1]))
    untrained, _ = fit(photos, RECIPE.override(epochs=0))
    assert result.best_epoch == 0
    assert_same_weights(model, untrained)


def test_patience_stops_early(photos: list[Photo]) -> None:
    _, result = fit(photos, RECIPE.override(epochs=50, patience=2), scores=iter([0.1, 0.5, 0.4, 0.4, 0.9]))
    assert [row["epoch"] for row in result.history] == [0, 1, 2, 3]


@pytest.mark.processor
def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_rate(
    photos: list[Photo], tmp_path: Path
) -> None:
    """Which is looked at first, the loss or the weights, depends on how the processor rounds."""
    recipe = RECIPE.override(optimizer__lr=1000.0, optimizer__clip_norm=0.0, optimizer__name="sgd")
    with pytest.raises(TrainingError, match=r" at step \d+ \(epoch \d, rate [\de+.]+\)\. .*checkpoints/last"):
        fit(photos, recipe, run=RunFolder(tmp_path / "run"))
    assert (tmp_path / "run" / "checkpoints" / "last" / "state.safetensors").exists()


def test_the_loss_and_the_weights_tell_the_same_when_they_are_no_longer_finite(
    photos: list[Photo], tmp_path: Path
) -> None:
    steps: list[int] = []

    def poison(optimizer: torch.optim.Optimizer, *_: object) -> None:
        steps.append(1)
        if len(steps) == 4:
            optimizer.param_groups[0]["params"][0].data.fill_(float("nan"))

    for every_steps, what in (
        (1, r"'model\..*' is not finite at step 4"),
        (0, "the loss became nan at step 5"),
    ):
        steps.clear()
        run = RunFolder(tmp_path / str(every_steps))
        hook = register_optimizer_step_post_hook(poison)
        try:
            with pytest.raises(TrainingError, match=rf"^{what} \(epoch 2, rate .*checkpoints/last"):
                fit(photos, RECIPE.override({"checkpoint.every_steps": every_steps}), run=run)
        finally:
            hook.remove()
        assert read_checkpoint(run.last)[1]["step"] == 3


def test_frozen_layers_do_not_move(photos: list[Photo]) -> None:
    start, _ = fit(photos, RECIPE.override(epochs=0))
    model, _ = fit(photos, RECIPE.override(freeze=1.0))
    head = {
        f"{name}"
        for name, p in model.named_parameters()
        if any(p is q for q in model.get_classifier().parameters())
    }
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, start.get_parameter(name)) == (name not in head), name


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    photos: list[Photo], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, _ = fit(photos, run=RunFolder(tmp_path / "whole"))
    cut = RunFolder(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        fit(photos, run=cut, callbacks=[stop_at("epoch", 6)])
    file = cut.last / "state.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    resumed, _ = fit(photos, run=cut, resume=True)
    assert_same_weights(resumed, whole)
    assert_same_states(tmp_path / "whole", cut.path)
    assert "is damaged" in caplog.text
    assert "Resuming from the previous checkpoint" in caplog.text


def test_a_run_whose_checkpoints_are_all_damaged_does_not_resume(photos: list[Photo], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        fit(photos, run=run, callbacks=[stop_at("step", 5)])
    for file in run.last.iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(TrainingError, match=r"checkpoint in .*last.* is damaged; start without resume"):
        fit(photos, run=run, resume=True)
