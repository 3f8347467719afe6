from __future__ import annotations

import pytest
import torch

from activitynet.training.losses import Mixer, make_mixer
from activitynet.training.recipe import Mix

CONFIGS = [Mix(mixup=0.8), Mix(cutmix=1.0), Mix(mixup=0.2, cutmix=1.0)]


def mixer(config: Mix, num_classes: int = 8) -> Mixer:
    made = make_mixer(config, num_classes)
    assert made is not None
    return made


def batch(classes: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Photos that are each of one value, their label: the pixels tell what was mixed."""
    labels = torch.randperm(classes)
    return labels.float().view(-1, 1, 1, 1).expand(-1, 3, 32, 32).contiguous(), labels


def test_nothing_to_mix_is_no_mixer() -> None:
    assert make_mixer(Mix(), 8) is None
    assert make_mixer(Mix(mixup=0.2, probability=0.0), 8) is None


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_targets_have_the_proportions_of_the_pixels(config: Mix) -> None:
    torch.manual_seed(0)
    for _ in range(30):
        images, labels = batch()
        mixed, targets = mixer(config)(images, labels)
        assert targets.dtype == torch.float32
        assert targets.shape == (8, 8)
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(8))
        assert ((targets > 0).sum(dim=1) <= 2).all()
        # The mean value of a mixed photo is the mean label, as its targets weigh them.
        torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), targets @ torch.arange(8.0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_seed_alone_fixes_a_batch(config: Mix) -> None:
    images, labels = batch()
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(mixer(config)(images, labels))
    assert all(torch.equal(first, second) for first, second in zip(drawn[0], drawn[1], strict=True))
    assert not torch.equal(drawn[0][0], drawn[2][0])


def test_the_batch_that_came_in_is_left_alone() -> None:
    images, labels = batch()
    before = images.clone()
    for config in CONFIGS:
        mixer(config)(images, labels)
    assert torch.equal(images, before)


def test_one_of_the_two_is_drawn_for_each_batch() -> None:
    torch.manual_seed(0)
    both = mixer(Mix(mixup=1.0, cutmix=1.0))
    # CutMix keeps pixel values, MixUp makes new ones.
    cut = []
    for _ in range(100):
        images, labels = batch()
        mixed, _ = both(images, labels)
        cut.append(bool((mixed == mixed.round()).all()))
    assert 35 <= sum(cut) <= 65


def test_the_asked_share_of_batches_is_mixed() -> None:
    torch.manual_seed(0)
    sometimes = mixer(Mix(mixup=1.0, probability=0.25))
    images, labels = batch()
    results = [sometimes(images, labels) for _ in range(200)]
    unmixed = [result for result in results if result[0] is images and result[1] is labels]
    assert 125 <= len(unmixed) <= 170


def test_a_single_photo_passes_unmixed() -> None:
    images, labels = batch()
    for config in CONFIGS:
        mixed, targets = mixer(config)(images[:1], labels[:1])
        assert torch.equal(mixed, images[:1])
        assert targets.dtype == torch.int64
