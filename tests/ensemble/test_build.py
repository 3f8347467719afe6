from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_members import member

from activitynet import Classifier, Ensemble
from activitynet.data.loader import PhotoDataset
from activitynet.data.open import open_data
from activitynet.ensemble.build import build_ensemble, build_soup, collect_member_log_probs, find_members
from activitynet.errors import ModelError, WeightsError
from activitynet.inference import forward_dataset
from activitynet.weights import load_weights, save_weights


@pytest.fixture(scope="module")
def folders(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Random networks whose heads are fitted: they know a little, and each something else."""
    root = tmp_path_factory.mktemp("members")
    made = []
    resnet, efficientnet = "test_resnet_se", "test_efficientnet_se"
    for name, size, seed in ((resnet, 64, 0), (efficientnet, 32, 1), (resnet, 64, 2)):
        save_weights(root / f"start-{seed}", *member(name, seed, size=size))
        classifier = Classifier(name, init_from=root / f"start-{seed}", image_size=size)
        classifier.fine_tune(sample_data, epochs=0, seed=seed, workers=0, progress=False)
        made.append(classifier.save(root / "abc"[seed]))
    return made


def test_each_member_answers_as_it_does_alone(folders: list[Path], sample_data: Path) -> None:
    photos = open_data(sample_data).val[::5]
    answers, labels = collect_member_log_probs(Ensemble([load_weights(path) for path in folders]), photos)
    assert labels.tolist() == [photo.label for photo in photos]
    for path, said in zip(folders, answers, strict=True):
        model, card = load_weights(path)
        logits, _ = forward_dataset(model, PhotoDataset(photos, card.preprocess))
        np.testing.assert_allclose(said, logits.log_softmax(dim=1).numpy(), atol=1e-4)


@pytest.mark.parametrize("method", ["uniform", "greedy", "weights"])
def test_what_is_built_is_what_is_reported(
    method: str, folders: list[Path], sample_data: Path, tmp_path: Path
) -> None:
    data = open_data(sample_data)
    ensemble, report = build_ensemble(folders, data.val, data.classes, method=method, cascade_loss=0.02)
    assert [row.name for row in report.candidates] == [str(folder) for folder in folders]
    assert sum(row.share for row in report.candidates) == pytest.approx(1)
    loaded = Ensemble.load(ensemble.save(tmp_path / "built"))
    scores = loaded.evaluate(sample_data)
    assert scores.macro_f1 == pytest.approx(report.ensemble.macro_f1, abs=1e-9)
    assert scores.accuracy == pytest.approx(report.ensemble.accuracy)
    cascade = loaded.cascaded()
    played = cascade.evaluate(sample_data)
    assert report.cascade is not None
    assert played.macro_f1 == pytest.approx(report.cascade.macro_f1, abs=1e-9)
    assert played.macro_f1 >= scores.macro_f1 - 0.02 - 1e-9
    costs = sorted(row.macs for row in report.candidates if row.share)
    asked = np.array(cascade.seen) / len(data.val)
    assert report.cascade.macs == pytest.approx(float(asked @ costs))
    assert report.ensemble.macs == sum(costs)
    assert report.ensemble.ece_fitted <= report.ensemble.ece + 0.1  # on 40 photos it moves by chance


def test_a_run_stands_for_its_snapshots_and_its_best_epoch(folders: list[Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    snapshots = [run / "checkpoints" / name for name in ("epoch-0002", "epoch-0010")]
    for place, source in zip((*snapshots, run / "model"), folders, strict=True):
        save_weights(place, *load_weights(source))
    (run / "checkpoints" / "last").mkdir()
    assert list(find_members([run, folders[1]])) == [*snapshots, run / "model", folders[1]]
    save_weights(run / "model", *load_weights(folders[0]))  # the best epoch is a snapshot as well
    assert list(find_members([run])) == snapshots


def test_a_soup_of_twins_is_the_twin(folders: list[Path], sample_data: Path) -> None:
    data = open_data(sample_data)
    soup, card, chosen = build_soup([folders[0], folders[0]], data.val, data.classes)
    twin, _ = load_weights(folders[0])
    assert chosen == (folders[0], folders[0])
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in soup.state_dict().items())
    scores = Classifier.load(folders[0]).evaluate(sample_data)
    assert card.metrics["val"]["macro_f1"] == pytest.approx(scores.macro_f1, abs=1e-9)


def test_a_greedy_soup_is_not_worse_than_its_best(folders: list[Path], sample_data: Path) -> None:
    data = open_data(sample_data)
    best = max(Classifier.load(folder).evaluate(sample_data).macro_f1 for folder in (folders[0], folders[2]))
    _, card, chosen = build_soup([folders[0], folders[2]], data.val, data.classes, greedy=True)
    assert card.metrics["val"]["macro_f1"] >= best - 1e-9
    assert set(chosen) <= {folders[0], folders[2]}


def test_what_cannot_be_built(folders: list[Path], sample_data: Path, tmp_path: Path) -> None:
    data = open_data(sample_data)
    with pytest.raises(ModelError, match="needs at least one member"):
        build_ensemble([], data.val, data.classes)
    with pytest.raises(ModelError, match="needs at least one model"):
        build_soup([], data.val, data.classes)
    with pytest.raises(ModelError, match=r"b' cannot be in a soup with .*a'"):
        build_soup(folders[:2], data.val, data.classes)
    with pytest.raises(ModelError, match="unknown method 'median'"):
        build_ensemble(folders, data.val, data.classes, method="median")  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="nowhere"):
        build_ensemble([str(tmp_path / "nowhere")], data.val, data.classes)
