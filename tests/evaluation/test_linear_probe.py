from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from activitynet.errors import TrainingError
from activitynet.evaluation.linear_probe import fit_head


class Headed(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def get_classifier(self) -> nn.Module:
        return self.head


def clouds(labels: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussian clouds, one a class, off centre and of uneven scale."""
    centres = torch.randn(10, 6, generator=torch.Generator().manual_seed(0)) * 3
    noise = torch.randn(len(labels), 6, generator=torch.Generator().manual_seed(seed))
    return (centres[labels] + noise) * torch.logspace(-2, 2, 6) + 50, labels


def accuracy(truth: np.ndarray, guess: np.ndarray) -> float:
    return float((truth == guess).mean())


@pytest.mark.parametrize("present", [[0, 1], [1, 4], [0, 2, 3, 4]])
def test_the_head_that_is_put_in_place_scores_what_is_reported(present: list[int]) -> None:
    torch.manual_seed(0)
    head = nn.Linear(6, 6)
    labels = torch.tensor(present).repeat_interleave(40)
    train, val = clouds(labels, 1), clouds(labels, 2)
    reported = fit_head(Headed(head), train=train, val=val, score=accuracy)
    with torch.inference_mode():
        guess = head(val[0]).argmax(dim=1)
    assert reported > 0.9
    assert accuracy(val[1].numpy(), guess.numpy()) == pytest.approx(reported)
    assert set(guess.tolist()) <= set(present)


def test_only_a_linear_head_can_be_fitted() -> None:
    data = clouds(torch.tensor([0, 1]), 0)
    with pytest.raises(TrainingError, match="Identity"):
        fit_head(Headed(nn.Identity()), train=data, val=data, score=accuracy)
