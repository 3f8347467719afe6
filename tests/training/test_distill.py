from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from activitynet.data.augment import Augment
from activitynet.data.augmented import AugmentedPhotos
from activitynet.data.dataset import Photo
from activitynet.data.preprocess import Preprocess
from activitynet.errors import TrainingError, WeightsError
from activitynet.training.distill import Teachers, _projection, distance_loss, load_teachers
from activitynet.training.recipe import Distill
from activitynet.weights import (
    Card,
    EnsembleCard,
    Member,
    find_weights,
    load_weights,
    read_card,
    save_ensemble,
    save_weights,
)
from activitynet.zoo import create_model

CLASSES = ("dancing", "running", "sleeping")
STUDENT = Preprocess(size=(32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
CPU = torch.device("cpu")


def save_teacher(
    folder: Path, preprocess: Preprocess = STUDENT, *, seed: int = 0, temperature: float = 1.0
) -> str:
    torch.manual_seed(seed)
    model = create_model("test_resnet_se", num_classes=len(CLASSES))
    nn.init.normal_(model.get_classifier().weight)  # type: ignore[operator]
    card = Card(
        architecture="test_resnet_se", classes=CLASSES, preprocess=preprocess, temperature=temperature
    )
    save_weights(folder, model, card)
    return str(folder)


def load(*folders: str, temperature: float = 2.0) -> Teachers:
    teachers = load_teachers(Distill(folders, temperature=temperature), CLASSES, STUDENT, CPU)
    assert teachers is not None
    return teachers


def batch(side: int = 32) -> torch.Tensor:
    """Pixel values of four photos."""
    torch.manual_seed(1)
    return torch.rand(4, 3, side, side)


def normal(pixels: torch.Tensor, preprocess: Preprocess = STUDENT) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocess.mean, preprocess.std))
    return (pixels - mean) / std


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_teacher(tmp_path_factory.mktemp("teacher") / "model")


def test_a_recipe_without_teachers_has_none() -> None:
    assert load_teachers(Distill(), CLASSES, STUDENT, CPU) is None


def test_the_loss_is_the_divergence_of_hinton(teacher: str) -> None:
    images, logits = normal(batch()), torch.randn(4, 3)
    learned = (load_weights(teacher)[0](images).detach() / 3).softmax(dim=1)
    said = (logits / 3).softmax(dim=1)
    reference = (learned * (learned / said).log()).sum(dim=1) * 9
    loss = load(teacher, temperature=3.0).loss(images, logits)
    assert loss.shape == (4,)
    torch.testing.assert_close(loss, reference, rtol=1e-4, atol=1e-6)


def test_a_student_that_agrees_costs_nothing(teacher: str) -> None:
    images = normal(batch())
    model, _ = load_weights(teacher)
    torch.testing.assert_close(load(teacher).loss(images, model(images)), torch.zeros(4))


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_features_add_their_unlikeness_by_their_weight_and_the_teachers_share(
    tmp_path: Path, teacher: str, share: float
) -> None:
    names = [teacher] if share == 1.0 else [teacher, save_teacher(tmp_path / "other", seed=5)]
    images, logits, features = normal(batch()), torch.randn(4, 3), torch.randn(4, 7)
    teachers = load_teachers(Distill(tuple(names), features=3.0), CLASSES, STUDENT, CPU)
    assert teachers is not None
    taught = []
    for name in names:
        model = load_weights(name)[0]
        taught.append(model.forward_head(model.forward_features(images), pre_logits=True))  # type: ignore[operator]
    added = 3 * share * sum(distance_loss(features, each) for each in taught)
    alone = load(*names).loss(images, logits)
    torch.testing.assert_close(teachers.loss(images, logits, features), alone + added)
    torch.testing.assert_close(load(*names).loss(images, logits, features), alone)
    torch.testing.assert_close(teachers.probabilities(images), load(*names).probabilities(images))


@pytest.mark.parametrize(("own", "taught"), [(8, 8), (5, 16), (16, 5)])
def test_unlikeness_is_one_less_the_mean_correlation(own: int, taught: int) -> None:
    torch.manual_seed(0)
    features, other = torch.rand(32, own), torch.rand(32, taught)
    found = distance_loss(features, other)
    assert found.shape == (32,)
    aims = other @ checked_directions(taught, own)
    correlations = [np.corrcoef(features[:, i], aims[:, i])[0, 1] for i in range(own)]
    assert found.mean().item() == pytest.approx(1 - np.mean(correlations), abs=1e-3)
    assert distance_loss(3 * aims + 2, other).mean().item() == pytest.approx(0, abs=3e-3)
    assert distance_loss(-aims, other).mean().item() == pytest.approx(2, abs=3e-3)


def checked_directions(taught: int, own: int) -> torch.Tensor:
    directions = _projection(taught, own)
    smaller = directions.T @ directions if own <= taught else directions @ directions.T
    torch.testing.assert_close(smaller, torch.eye(min(own, taught)), rtol=0, atol=1e-5)
    return directions


def test_learning_makes_features_alike() -> None:
    torch.manual_seed(0)
    images, taught = torch.rand(64, 20), torch.rand(64, 12)
    student = nn.Linear(20, 12)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.02)
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = distance_loss(student(images), taught).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.8
    assert losses[-1] < losses[0] - 0.2


@pytest.mark.parametrize("photos", [1, 2])
def test_features_of_few_or_equal_photos_keep_the_loss_and_its_slope_finite(photos: int) -> None:
    features = torch.ones(photos, 4, requires_grad=True)
    loss = distance_loss(features, torch.ones(photos, 6))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_teachers_are_averaged_as_probabilities(tmp_path: Path, teacher: str) -> None:
    other = save_teacher(tmp_path / "other", seed=5)
    images = normal(batch())
    each = [(load_weights(folder)[0](images) / 2).softmax(dim=1) for folder in (teacher, other)]
    assert not torch.allclose(*each, atol=0.01)
    torch.testing.assert_close(load(teacher, other).probabilities(images), (each[0] + each[1]) / 2)


def test_a_teacher_sees_its_own_normalisation(tmp_path: Path, teacher: str) -> None:
    own = Preprocess(size=(32, 32), mean=(0.1, 0.2, 0.6), std=(1, 0.5, 0.1))
    folder = save_teacher(tmp_path / "other", own)
    pixels = batch()
    expected = (load_weights(folder)[0](normal(pixels, own)) / 2).softmax(dim=1)
    torch.testing.assert_close(load(folder).probabilities(normal(pixels)), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(load(teacher).probabilities(normal(pixels)), expected, atol=0.01)


@pytest.mark.parametrize("side", [32, 48, 96])
def test_a_teacher_sees_images_of_its_own_size(tmp_path: Path, side: int) -> None:
    folder = save_teacher(tmp_path / "other", Preprocess(size=(48, 64), mean=STUDENT.mean, std=STUDENT.std))
    seen: list[torch.Tensor] = []
    teachers = load(folder)
    teachers.teachers[0].model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = normal(batch(side))
    teachers.probabilities(images)
    assert seen[0].shape == (4, 3, 48, 64)
    resized = F.interpolate(images, (48, 64), mode="bilinear", antialias=True)
    torch.testing.assert_close(seen[0], resized)


@pytest.mark.parametrize(("shown", "seen"), [(64, 128), (96, 160), (128, 192), (192, 224), (256, 224)])
def test_a_teacher_looks_at_small_images_half_way_enlarged(tmp_path: Path, shown: int, seen: int) -> None:
    folder = save_teacher(tmp_path / "other", Preprocess(size=(224, 224), mean=STUDENT.mean, std=STUDENT.std))
    sizes: list[torch.Size] = []
    teachers = load(folder)
    teachers.teachers[0].model.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape))
    teachers.probabilities(normal(batch(shown)))
    assert sizes == [(4, 3, seen, seen)]


def test_openvino_says_the_same_where_bfloat16_will_do() -> None:
    pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    classes = read_card(find_weights("default")).classes
    recipe = Distill(("default",), features=1.0)
    fast, plain = (load_teachers(recipe, classes, STUDENT, CPU, bf16=bf16) for bf16 in (True, False))
    assert fast is not None
    assert plain is not None
    images = normal(F.interpolate(batch(4), (96, 96), mode="bicubic").clamp(0, 1))
    with torch.autocast("cpu", torch.bfloat16):  # as in a step
        said = fast.probabilities(images)
    assert said.dtype is torch.float32
    assert said.std(dim=0).max() > 0.04  # it tells photos apart
    torch.testing.assert_close(said, plain.probabilities(images), rtol=0, atol=0.03)
    features, exact = (teachers.teachers[0](images).features for teachers in (fast, plain))
    assert features.shape == (4, 1280)
    assert torch.corrcoef(torch.stack([features.flatten(), exact.flatten()]))[0, 1] > 0.98
    fast.teachers[0].model.register_forward_pre_hook(lambda *_: pytest.fail("torch was asked"))
    assert torch.equal(fast.probabilities(images), said)


def test_teachers_are_asked_how_often_they_are_right(tmp_path: Path, teacher: str) -> None:
    photos = []
    for index in range(90):
        path = tmp_path / f"{index}.png"
        pixels = np.random.default_rng(index).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(path)
        photos.append(Photo(path, index % 3))
    dataset = AugmentedPhotos(photos, Augment(), STUDENT, seed=3)
    teachers = load(teacher)
    dataset.set_epoch(1)
    raw, labels, _ = dataset.collate([dataset[index] for index in range(90)])
    right = teachers.probabilities(dataset.color_jitter(raw, CPU)).argmax(dim=1).numpy() == labels
    dataset.set_epoch(2)
    assert 0 < right.mean() < 1
    assert teachers.accuracy(dataset, CPU) == right.mean()
    assert teachers.accuracy(dataset, CPU, photos=45) == right[::2].mean()


def test_a_teacher_says_what_its_card_calibrates(tmp_path: Path, teacher: str) -> None:
    soft = save_teacher(tmp_path / "soft", temperature=4.0)  # the same weights
    images = normal(batch())
    torch.testing.assert_close(
        load(soft, temperature=1.0).probabilities(images),
        load(teacher, temperature=4.0).probabilities(images),
    )


def test_teachers_neither_learn_nor_change(teacher: str) -> None:
    teachers = load(teacher)
    before = {name: value.clone() for name, value in teachers.state_dict().items()}
    nn.ModuleDict({"teachers": teachers}).train()
    assert teachers.train() is teachers
    assert not any(module.training for module in teachers.modules())
    images, logits = normal(batch()).requires_grad_(), torch.randn(4, 3, requires_grad=True)
    teachers.loss(images, logits).mean().backward()
    assert logits.grad is not None
    assert logits.grad.any()
    assert images.grad is None
    assert all(weight.grad is None and not weight.requires_grad for weight in teachers.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teachers.state_dict().items())


def test_extreme_logits_keep_loss_and_slope_finite(teacher: str) -> None:
    logits = torch.tensor([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [0, 0, 0], [1e4, 1e4, 1e4]], requires_grad=True)
    loss = load(teacher).loss(normal(batch()), logits)
    loss.mean().backward()
    assert loss.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_classes_may_be_in_another_order(teacher: str) -> None:
    turned = load_teachers(Distill((teacher,)), CLASSES[::-1], STUDENT, CPU)
    assert turned is not None
    images = normal(batch())
    torch.testing.assert_close(turned.probabilities(images), load(teacher).probabilities(images).flip(1))


def test_an_ensemble_teaches_by_its_shares(tmp_path: Path, teacher: str) -> None:
    members = [load_weights(teacher), load_weights(save_teacher(tmp_path / "other", seed=5))]
    card = EnsembleCard(
        members=(Member(folder="a", weight=0.75, sha256=""), Member(folder="b", weight=0.25, sha256="")),
        classes=CLASSES,
    )
    save_ensemble(tmp_path / "both", members, card)
    images = normal(batch())
    each = [(model(images) / 2).softmax(dim=1) for model, _ in members]
    expected = 0.75 * each[0] + 0.25 * each[1]
    torch.testing.assert_close(load(str(tmp_path / "both")).probabilities(images), expected)
    mixed = (expected + each[0]) / 2
    torch.testing.assert_close(load(str(tmp_path / "both"), teacher).probabilities(images), mixed)


@pytest.mark.parametrize(
    ("classes", "difference"),
    [
        (("dancing", "Running", "sleeping"), "the teacher has 'running', the model does not"),
        (("dancing", "running"), "the teacher has 'sleeping', the model does not"),
        ((*CLASSES, "walking"), "the model has 'walking', the teacher does not"),
    ],
)
def test_other_classes_are_refused(teacher: str, classes: tuple[str, ...], difference: str) -> None:
    with pytest.raises(TrainingError) as caught:
        load_teachers(Distill((teacher,)), classes, STUDENT, CPU)
    assert repr(teacher) in str(caught.value)
    assert difference in str(caught.value)


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        load(str(tmp_path / "nowhere"))
