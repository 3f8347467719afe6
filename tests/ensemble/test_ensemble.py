from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_members import CLASSES, member
from torch import nn

from activitynet import Ensemble
from activitynet.errors import ModelError, StorageError, WeightsError
from activitynet.inference import stream_predictions
from activitynet.weights import Card

Members = list[tuple[nn.Module, Card]]


def images(count: int = 9, size: int = 32) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(5))


def photos(count: int = 7) -> list[Image.Image]:
    noise = np.random.default_rng(0)
    return [Image.fromarray(noise.integers(0, 256, (50, 40, 3), dtype=np.uint8)) for _ in range(count)]


@torch.no_grad()
def probabilities(model: nn.Module, card: Card, batch: torch.Tensor) -> torch.Tensor:
    """What a member says, by hand, in the order of CLASSES."""
    said = (model(batch) / card.temperature).softmax(dim=1)
    return torch.stack([said[:, card.classes.index(name)] for name in CLASSES], dim=1)


@pytest.mark.parametrize("batch_size", [1, 4, 9])
def test_an_ensemble_is_the_mean_of_its_members(members: Members, batch_size: int) -> None:
    ensemble = Ensemble(members)
    expected = torch.stack([probabilities(*each, images()) for each in members]).mean(dim=0)
    with torch.no_grad():
        said = torch.cat([ensemble(batch).exp() for batch in images().split(batch_size)])
    torch.testing.assert_close(said, expected, atol=1e-6, rtol=0)
    assert expected.std(dim=0).max() > 0.01, "the members have to say something"


def test_the_order_of_members_does_not_matter(members: Members) -> None:
    with torch.no_grad():
        said = Ensemble(members, weights=[1, 2, 3])(images())
        turned = Ensemble(members[::-1], classes=CLASSES, weights=[3, 2, 1])(images())
    torch.testing.assert_close(said, turned, atol=1e-6, rtol=1e-6)


def test_weights_and_logits(members: Members) -> None:
    each = torch.stack([probabilities(*one, images()) for one in members])
    shares = torch.tensor([0.5, 0.5, 0.0]).view(3, 1, 1)
    with torch.no_grad():
        weighted = Ensemble(members, weights=[2, 2, 0])(images()).exp()
        of_logits = Ensemble(members, weights=[2, 2, 0], average="logits")(images()).exp()
    torch.testing.assert_close(weighted, (each * shares).sum(dim=0), atol=1e-6, rtol=0)
    geometric = (each.log() * shares).sum(dim=0).softmax(dim=1)
    torch.testing.assert_close(of_logits, geometric, atol=1e-6, rtol=0)


def test_members_may_look_at_other_sizes(members: Members) -> None:
    other = member("test_resnet_se", 3, size=48)
    ensemble = Ensemble([members[0], other], temperature=0.5)
    predicted = list(ensemble.predict(photos(), batch_size=3, top=4))
    alone = [
        list(stream_predictions(model, photos(), preprocess=card.preprocess, classes=card.classes, top=4))
        for model, card in (members[0], other)
    ]
    for both, first, second in zip(predicted, *alone, strict=True):
        mean = {name: (dict(first.top)[name] + dict(second.top)[name]) / 2 for name in CLASSES}
        sharper = {name: value**2 for name, value in mean.items()}  # a temperature of one half
        for name, value in both.top:
            assert value == pytest.approx(sharper[name] / sum(sharper.values()), abs=1e-5)


def test_a_broken_photo_carries_its_error(members: Members) -> None:
    good, bad, more = Ensemble(members).predict([photos(1)[0], b"no photo", photos(2)[1]], batch_size=3)
    assert good.error is None
    assert more.error is None
    assert bad.label is None
    assert "bytes[1]" in str(bad.error)


def test_saved_and_loaded_it_says_the_same(members: Members, tmp_path: Path) -> None:
    ensemble = Ensemble(
        members, weights=[1, 2, 1], average="logits", temperature=1.3, metrics={"val": {"macro_f1": 0.5}}
    )
    loaded = Ensemble.load(ensemble.save(tmp_path / "both"))
    with torch.no_grad():
        assert torch.equal(loaded(images()), ensemble(images()))
    assert (loaded.temperature, loaded.average, loaded.classes) == (1.3, "logits", CLASSES)
    assert loaded.metrics == ensemble.metrics
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [
        "1-test_resnet_se",
        "2-test_efficientnet_se",
        "3-test_resnet_se",
        "README.md",
        "config.json",
    ]
    again = Ensemble.load(loaded.save(tmp_path / "both"))  # in its own place
    with torch.no_grad():
        assert torch.equal(again(images()), ensemble(images()))


def test_a_member_that_was_exchanged_is_refused(members: Members, tmp_path: Path) -> None:
    folder = Ensemble(members).save(tmp_path / "both")
    other = Ensemble(members[::-1]).save(tmp_path / "other")
    (folder / "1-test_resnet_se").rename(tmp_path / "away")
    (other / "1-test_resnet_se").rename(folder / "1-test_resnet_se")
    with pytest.raises(WeightsError, match="1-test_resnet_se' is not the member"):
        Ensemble.load(folder)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("members", [], "members"),
        ("average", "median", "average"),
        ("temperature", 0, "temperature"),
        ("ensemble_version", 2, "ensemble_version"),
        ("classes", ["cook", "dance", "run", "fly"], "has other classes than its ensemble: 'fly'"),
        ("cascade", {"threshold": 0.5, "temperatures": [1]}, "one temperature for each member"),
        ("cascade", {"threshold": 2, "temperatures": [1, 1, 1]}, "threshold"),
    ],
)
def test_a_card_that_cannot_be_is_refused(
    field: str, value: object, said: str, members: Members, tmp_path: Path
) -> None:
    folder = Ensemble(members).save(tmp_path / "both")
    card = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**card, field: value}))
    with pytest.raises(WeightsError, match=said):
        Ensemble.load(folder)


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "a/b", ".hidden", "", "a\n"])
def test_a_member_lies_beside_the_card(name: str, members: Members, tmp_path: Path) -> None:
    folder = Ensemble(members).save(tmp_path / "both")
    card = json.loads((folder / "config.json").read_text())
    card["members"][0]["folder"] = name
    (folder / "config.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match=r"field 'members\[0\]\.folder'"):
        Ensemble.load(folder)


def test_other_files_are_not_lost(members: Members, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="other files"):
        Ensemble(members).save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_members_of_other_classes_are_refused(members: Members) -> None:
    other = member("test_resnet_se", 0, classes=("cook", "dance", "run", "fly"))
    with pytest.raises(ModelError, match=r"member 2 has other classes than its ensemble: '(swim|fly)'"):
        Ensemble([members[0], other])


@pytest.mark.parametrize("weights", [[1, 1], [0, 0, 0], [1, 1, -1], [1, 1, float("nan")]])
def test_weights_that_mean_nothing_are_refused(weights: list[float], members: Members) -> None:
    with pytest.raises(ModelError, match="needs 3 weights"):
        Ensemble(members, weights=weights)


def test_no_members_no_ensemble() -> None:
    with pytest.raises(ModelError, match="needs at least one member"):
        Ensemble([])
