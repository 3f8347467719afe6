from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from activitynet import create_model
from activitynet.data.audit import Audit, audit, cleaned
from activitynet.data.dataset import Photo, PhotoData
from activitynet.data.preprocess import Preprocess
from activitynet.errors import DataError
from activitynet.evaluation.label_errors import with_label_issues
from activitynet.weights import Card, save_weights

CLASSES = ("rare", "reds", "greens", "blues")
WRONG = ("t3", "v9")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that nobody has trained: colours pass through it all the same."""
    torch.manual_seed(0)
    model = create_model("squeezenet1_1", num_classes=4)
    folder = tmp_path_factory.mktemp("weights") / "model"
    card = Card(
        architecture="squeezenet1_1",
        model_args=model.model_args,
        classes=CLASSES,
        preprocess=Preprocess(size=(64, 64), resize="squash"),
        metrics={},
        training_data="none",
        license="none",
    )
    save_weights(folder, model, card)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PhotoData:
    """Noise in three colours; two photos have the label of another one, and one photo is broken."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)

    def photo(name: str, colour: int) -> Photo:
        pixels = rng.integers(0, 256, (8, 8, 3)) // (1 + 3 * (np.arange(3) != colour))
        path = folder / f"{name}.png"
        Image.fromarray(pixels.astype(np.uint8)).resize((64, 64)).save(path)
        return Photo(path, 1 + (colour + (name in WRONG)) % 3)

    train = [photo(f"t{index}", index % 3) for index in range(45)]
    val = [photo(f"v{index}", index % 3) for index in range(15)]
    rare = photo("rare", 1)
    broken = folder / "broken.png"
    broken.write_bytes(b"no photo")
    return PhotoData(CLASSES, (*train, dataclasses.replace(rare, label=0), Photo(broken, 1)), tuple(val))


@pytest.fixture(scope="module")
def found(data: PhotoData, weights: Path) -> Audit:
    return with_label_issues(audit(data), data, weights)


def test_planted_errors_are_named_with_their_true_class(data: PhotoData, found: Audit) -> None:
    label_issues = [finding for finding in found.findings if finding.kind == "suspicious_label"]
    named = {Path(finding.photos[0].path).stem: finding for finding in label_issues}
    assert set(WRONG) <= set(named)
    assert len(label_issues) <= 4
    for name in WRONG:
        (photo,), suggestion = named[name].photos, named[name].suggestion
        assert suggestion is not None
        colour = int(name[1:]) % 3
        assert (photo.label, suggestion.label) == (CLASSES[1 + (colour + 1) % 3], CLASSES[1 + colour])
        assert photo.split == {"t": "train", "v": "val"}[name[0]]
        assert 0 <= suggestion.given_probability < suggestion.probability <= 1
        assert f"labelled {photo.label!r}, but rather {suggestion.label!r}" in named[name].message
    leads = [s.suggestion.probability - s.suggestion.given_probability for s in label_issues if s.suggestion]
    assert leads == sorted(leads, reverse=True)
    assert found.findings[: -len(label_issues)] == audit(data).findings


def test_suspects_stay_unless_asked_and_are_kept_to_score_on(data: PhotoData, found: Audit) -> None:
    broken = {data.train[-1]}
    kept = cleaned(data, found)
    assert set(data.train) - set(kept.train) == broken
    assert kept.val == data.val
    dropped = cleaned(data, found, drop_label_issues=True)
    gone = {photo.path.stem for photo in set(data.train) - set(dropped.train)}
    assert gone == {"broken"} | {
        Path(path).stem for path in found.label_issues() if Path(path).stem.startswith("t")
    }
    assert "t3" in gone
    assert dropped.val == data.val


def test_a_rare_class_is_not_judged_and_named(
    data: PhotoData, weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "activitynet"):
        found = with_label_issues(audit(data), data, weights)
    assert "fewer than 5 groups of photos: rare" in caplog.text
    for finding in found.findings:
        if finding.suggestion is not None:
            assert "rare" not in (finding.photos[0].label, finding.suggestion.label)


def test_the_duplicate_of_a_photo_does_not_vouch_for_its_label(
    data: PhotoData, weights: Path, tmp_path: Path
) -> None:
    wrong = next(photo for photo in data.train if photo.path.stem == "t3")
    copies = []
    for index in range(6):
        copy = tmp_path / f"copy{index}.png"
        copy.write_bytes(wrong.path.read_bytes())
        copies.append(Photo(copy, wrong.label))
    more = dataclasses.replace(data, train=(*data.train, *copies))
    label_issues = {Path(path).stem for path in with_label_issues(audit(more), more, weights).label_issues()}
    assert {"t3", *(f"copy{index}" for index in range(6))} <= label_issues


def test_too_few_photos_are_refused(data: PhotoData, weights: Path) -> None:
    few = PhotoData(CLASSES, data.train[4:9], data.val[:3])
    with pytest.raises(DataError, match="5 groups each, and here 0 of 4 have"):
        with_label_issues(Audit(12, ()), few, weights)
