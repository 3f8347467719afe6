from __future__ import annotations

import dataclasses
import itertools

import pytest
import timm.loss
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import sigmoid_focal_loss

from activitynet.training.losses import class_weights, make_loss
from activitynet.training.recipe import Loss

LABELS = [0] * 40 + [1] * 9 + [2] * 3  # of four classes; the last has no photo
CONFIGS = [
    Loss(name=name, weighting=weighting, smoothing=smoothing)  # type: ignore[arg-type]
    for name, weighting, smoothing in itertools.product(
        ("cross_entropy", "focal", "bce", "logit_adjusted"), ("frequency", "effective_number"), (0.0, 0.1)
    )
]
PLAIN = {"smoothing": 0.0, "balance": 0.0}


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels and probabilities."""
    torch.manual_seed(0)
    return 3 * torch.randn(8, 4), torch.arange(8) % 4, torch.rand(8, 4).softmax(dim=1)


@given(
    labels=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    balance=st.floats(0, 1),
    beta=st.floats(0, 0.999999),
    weighting=st.sampled_from(["frequency", "effective_number"]),
)
def test_weights_average_to_one_over_the_photos(
    labels: list[int], balance: float, beta: float, weighting: str
) -> None:
    config = Loss(weighting=weighting, balance=balance, beta=beta)  # type: ignore[arg-type]
    weights = class_weights(labels, 7, config)
    assert weights.dtype == torch.float32
    assert weights[labels].mean().item() == pytest.approx(1, abs=1e-4)
    assert weights[6] == 1


def test_full_balance_gives_every_class_the_same_pull() -> None:
    labels = [0] * 90 + [1] * 9 + [2]
    weights = class_weights(labels, 3, Loss(balance=1.0))
    pull = [weights[index].item() * labels.count(index) for index in range(3)]
    assert pull == pytest.approx([pull[0]] * 3)


def test_effective_number_weights_are_those_of_the_paper() -> None:
    weights = class_weights(LABELS, 4, Loss(weighting="effective_number", beta=0.9))
    paper = [(1 - 0.9) / (1 - 0.9**count) for count in (40, 9, 3)]
    assert (weights[:3] / weights[0]).tolist() == pytest.approx([value / paper[0] for value in paper])
    alike = class_weights(LABELS, 4, Loss(weighting="effective_number", beta=0.0))
    assert alike.tolist() == [1, 1, 1, 1]
    nearly = class_weights(LABELS, 4, Loss(weighting="effective_number", beta=0.999999))
    torch.testing.assert_close(nearly, class_weights(LABELS, 4, Loss(balance=1.0)), rtol=1e-4, atol=0)


def test_cross_entropy_is_that_of_torch() -> None:
    logits, labels, soft = batch()
    config = Loss(smoothing=0.1, balance=0.5)
    for targets in (labels, soft):
        ours = make_loss(config, LABELS, 4)(logits, targets)
        weights = class_weights(LABELS, 4, config)
        theirs = F.cross_entropy(logits, targets, weights, label_smoothing=0.1, reduction="none")
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_certain_probabilities_are_as_good_as_labels(config: Loss) -> None:
    logits, labels, _ = batch()
    loss = make_loss(config, LABELS, 4)
    hard = loss(logits, labels)
    assert hard.shape == (8,)
    assert hard.dtype == torch.float32
    torch.testing.assert_close(loss(logits, F.one_hot(labels, 4).float()), hard)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_mixture_costs_the_mixture_of_its_labels_costs(config: Loss) -> None:
    config = dataclasses.replace(config, balance=0.0, beta=0.0)  # a mixture's weight is a mixture, too
    logits, labels, _ = batch()
    loss = make_loss(config, LABELS, 4)
    one, other = F.one_hot(labels, 4).float(), F.one_hot(labels.roll(1), 4).float()
    torch.testing.assert_close(
        loss(logits, 0.3 * one + 0.7 * other), 0.3 * loss(logits, labels) + 0.7 * loss(logits, labels.roll(1))
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_without_gamma_is_cross_entropy(smoothing: float) -> None:
    logits, labels, soft = batch()
    focal = make_loss(Loss(name="focal", gamma=0.0, smoothing=smoothing), LABELS, 4)
    plain = make_loss(Loss(smoothing=smoothing), LABELS, 4)
    for targets in (labels, soft):
        torch.testing.assert_close(focal(logits, targets), plain(logits, targets))


def test_focal_loss_of_two_classes_is_that_of_torchvision() -> None:
    scores, labels = 3 * torch.randn(16), torch.arange(16) % 2
    loss = make_loss(Loss(name="focal", gamma=1.5, **PLAIN), [0, 1], 2)  # type: ignore[arg-type]
    ours = loss(torch.stack([torch.zeros(16), scores], dim=1), labels)
    theirs = sigmoid_focal_loss(scores, labels.float(), alpha=-1, gamma=1.5)
    torch.testing.assert_close(ours, theirs)


def test_focal_loss_is_that_of_the_paper() -> None:
    logits, labels, _ = batch()
    weights = class_weights(LABELS, 4, Loss(balance=1.0))
    chance = logits.softmax(dim=1)[range(8), labels]
    ours = make_loss(Loss(name="focal", gamma=2.0, smoothing=0.0, balance=1.0), LABELS, 4)(logits, labels)
    torch.testing.assert_close(ours, -weights[labels] * (1 - chance) ** 2 * chance.log())


def test_binary_cross_entropy_is_that_of_timm_summed_over_classes() -> None:
    logits, labels, _ = batch()
    theirs = timm.loss.BinaryCrossEntropy(smoothing=0.1, reduction="none")(logits, labels).sum(dim=1)
    plain = make_loss(Loss(name="bce", smoothing=0.1, balance=0.0), LABELS, 4)
    torch.testing.assert_close(plain(logits, labels), theirs)
    weights = class_weights(LABELS, 4, Loss(balance=0.5))
    weighted = make_loss(Loss(name="bce", smoothing=0.1, balance=0.5), LABELS, 4)
    torch.testing.assert_close(weighted(logits, labels), weights[labels] * theirs)


def test_binary_cross_entropy_smooths_mixtures_like_labels() -> None:
    logits, _, soft = batch()
    loss = make_loss(Loss(name="bce", smoothing=0.2, balance=0.0), LABELS, 4)
    smooth = soft * 0.8 + 0.2 / 4
    chance = logits.sigmoid()
    reference = -(smooth * chance.log() + (1 - smooth) * (1 - chance).log()).sum(dim=1)
    torch.testing.assert_close(loss(logits, soft), reference)


def test_logit_adjustment_adds_the_log_of_the_shares() -> None:
    logits, labels, soft = batch()
    counts = torch.tensor([40, 9, 3, 0.5])  # a class without photos counts as half a photo
    loss = make_loss(Loss(name="logit_adjusted", tau=1.5, **PLAIN), LABELS, 4)  # type: ignore[arg-type]
    adjusted = logits + 1.5 * (counts / counts.sum()).log()
    for targets in (labels, soft):
        reference = F.cross_entropy(adjusted, targets, reduction="none")
        torch.testing.assert_close(loss(logits, targets), reference)
    off = make_loss(Loss(name="logit_adjusted", tau=0.0), LABELS, 4)
    torch.testing.assert_close(off(logits, labels), make_loss(Loss(), LABELS, 4)(logits, labels))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_extreme_logits_keep_losses_and_slopes_finite(config: Loss, gamma: float) -> None:
    rows = torch.tensor(list(itertools.product((-1e4, 0.0, 1e4), repeat=4)))
    loss = make_loss(dataclasses.replace(config, gamma=gamma), LABELS, 4)
    for targets in (*(torch.full((len(rows),), label) for label in range(4)), torch.full_like(rows, 0.25)):
        logits = rows.clone().requires_grad_()
        losses = loss(logits, targets)
        losses.mean().backward()
        assert losses.isfinite().all()
        assert (losses >= 0).all()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_loss_moves_to_another_device_whole(config: Loss) -> None:
    loss = make_loss(config, LABELS, 4).to("meta")
    assert loss(torch.empty(2, 4, device="meta"), torch.empty(2, 4, device="meta")).is_meta
