from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from activitynet import Ensemble
from activitynet.ensemble.cascade import fit_cascade
from activitynet.ensemble.ensemble import Cascade
from activitynet.errors import DataError, ModelError
from activitynet.weights import Card, Stages

Members = list[tuple[nn.Module, Card]]


def macro_f1(labels: np.ndarray, guesses: np.ndarray) -> float:
    return float(f1_score(labels, guesses, average="macro"))


def images(count: int = 24) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def test_with_a_threshold_of_one_all_members_are_asked(members: Members) -> None:
    ensemble = Ensemble(members)
    cascade = Cascade(ensemble, Stages(threshold=1.0, temperatures=(1.0, 1.0, 1.0)))
    with torch.no_grad():
        torch.testing.assert_close(cascade(images()), ensemble(images()), atol=1e-6, rtol=1e-6)
    assert cascade.seen == [24, 24, 24]


def test_with_a_threshold_of_zero_only_the_first_is_asked(members: Members) -> None:
    ensemble = Ensemble(members)
    cascade = Cascade(ensemble, Stages(threshold=0.0, temperatures=(2.0, 1.0, 1.0)))
    with torch.no_grad():
        expected = (ensemble.member_log_probs(0, images()) / 2).log_softmax(dim=1)
        torch.testing.assert_close(cascade(images()), expected)
    assert cascade.seen == [24, 0, 0]


def test_each_photo_is_decided_where_it_is_sure_enough(members: Members) -> None:
    ensemble = Ensemble(members)
    temperatures = (1.5, 1.2, 0.9)
    with torch.no_grad():
        answers = torch.stack([ensemble.member_log_probs(index, images()) for index in range(3)])
        stages = [
            (ensemble.combine(answers[: index + 1]) / temperature).log_softmax(dim=1)
            for index, temperature in enumerate(temperatures)
        ]
        threshold = float(stages[0].exp().max(dim=1).values.median())
        cascade = Cascade(ensemble, Stages(threshold=threshold, temperatures=temperatures))
        said = torch.cat([cascade(batch) for batch in images().split(7)])
    asked = [0, 0, 0]
    for row in range(24):
        for index in range(3):
            asked[index] += 1
            if stages[index][row].exp().max() > threshold or index == 2:
                torch.testing.assert_close(said[row], stages[index][row], atol=1e-5, rtol=1e-5)
                break
    assert cascade.seen == asked
    assert 0 < asked[1] < 24


def planted(members: Members, count: int = 3000) -> tuple[Ensemble, np.ndarray, np.ndarray]:
    """Outputs of a fair first member and two good ones, and the labels."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 4, count)
    hard = draw.random(count) < 0.3
    answers = draw.normal(size=(3, count, 4))
    answers[:, np.arange(count), labels] += np.where(hard, 1.0, 5.0)
    answers[1:, np.arange(count), labels] += np.where(hard, 3.0, 0.0)
    answers -= np.log(np.exp(answers).sum(axis=-1, keepdims=True))
    return Ensemble(members), answers, labels


def test_the_stated_loss_is_kept_and_work_is_saved(members: Members) -> None:
    ensemble, answers, labels = planted(members)
    whole = macro_f1(labels, ensemble.combine(torch.from_numpy(answers).float()).argmax(dim=1).numpy())
    asked = []
    for loss in (0.0, 0.01, 1.0):
        stages = fit_cascade(ensemble, answers, labels, macro_f1, loss=loss)
        guesses, calls = np.empty(len(labels), dtype=np.int64), 0
        for row in range(len(labels)):
            for index, temperature in enumerate(stages.temperatures):
                calls += 1
                said = ensemble.combine(torch.from_numpy(answers[: index + 1, row : row + 1]).float())
                sure = (said / temperature).softmax(dim=1)[0]
                if sure.max() > stages.threshold:
                    break
            guesses[row] = int(sure.argmax())
        assert macro_f1(labels, guesses) >= whole - loss - 1e-3
        asked.append(calls / len(labels))
    assert asked[0] < 2.5
    assert asked[0] >= asked[1] > asked[2] == 1.0


def test_a_cascade_is_saved_with_its_ensemble(members: Members, tmp_path: Path) -> None:
    stages = Stages(threshold=0.6, temperatures=(1.5, 1.2, 0.9))
    loaded = Ensemble.load(Ensemble(members, cascade=stages).save(tmp_path / "both"))
    assert loaded.cascade == stages
    with torch.no_grad():
        assert torch.equal(loaded.cascaded()(images()), Cascade(Ensemble(members), stages)(images()))


def test_there_may_be_none(members: Members) -> None:
    with pytest.raises(ModelError, match="no cascade"):
        Ensemble(members).cascaded()
    with pytest.raises(DataError, match="no labelled photos"):
        fit_cascade(Ensemble(members), np.zeros((3, 0, 4)), np.zeros(0, dtype=np.int64), macro_f1)
