from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from activitynet import create_model
from activitynet.ensemble.combine import greedy_soup, uniform_soup
from activitynet.errors import ModelError


def models(count: int = 3) -> list[nn.Module]:
    torch.manual_seed(0)
    first = create_model("test_efficientnet_se", num_classes=4)
    made = [first]
    for _ in range(count - 1):
        other = copy.deepcopy(first)
        with torch.no_grad():
            for tensor in other.state_dict().values():
                if tensor.is_floating_point():
                    tensor.add_(0.1 * torch.rand_like(tensor))
        made.append(other)
    return made


def test_a_soup_is_the_mean_of_all_weights() -> None:
    made = models()
    before = [{name: tensor.clone() for name, tensor in model.state_dict().items()} for model in made]
    soup = uniform_soup(made).state_dict()
    assert list(soup) == list(before[0])
    for name, tensor in soup.items():
        each = [state[name] for state in before]
        expected = sum(each) / len(each) if tensor.is_floating_point() else each[0]
        torch.testing.assert_close(tensor, expected)
    for model, state in zip(made, before, strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_a_soup_of_one_is_that_one() -> None:
    (model,) = models(1)
    soup = uniform_soup([model])
    assert soup is not model
    assert all(torch.equal(soup.state_dict()[name], value) for name, value in model.state_dict().items())


def test_greedy_keeps_what_does_not_hurt() -> None:
    class Point(nn.Module):
        def __init__(self, x: float) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.tensor(x))

    def score(model: nn.Module) -> float:
        return -abs(model.x.item() - 1.0)

    soup, chosen = greedy_soup([Point(9.0), Point(0.5), Point(1.4), Point(-5.0)], score)
    assert chosen == [2, 1]
    assert soup.x.item() == pytest.approx(0.95)


def test_models_of_other_kinds_are_refused() -> None:
    first = create_model("test_resnet_se", num_classes=4)
    with pytest.raises(ModelError, match="model 2 cannot be in a soup"):
        uniform_soup([first, create_model("test_efficientnet_se", num_classes=4)])
    with pytest.raises(ModelError, match=r"model 2 cannot be in a soup .* shape \(5"):
        uniform_soup([first, create_model("test_resnet_se", num_classes=5)])
    with pytest.raises(ModelError, match="needs at least one model"):
        uniform_soup([])
    with pytest.raises(ModelError, match="needs at least one model"):
        greedy_soup([], lambda _: 0.0)
