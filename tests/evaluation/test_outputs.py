from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from activitynet import Classifier
from activitynet.data.dataset import Photo
from activitynet.data.open import open_data
from activitynet.evaluation import collect_outputs
from activitynet.zoo import create_model

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of few cores


@pytest.fixture(scope="module")
def weights(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = open_data(sample_data)
    torch.manual_seed(0)
    model = create_model("test_resnet_se", num_classes=len(data.classes))
    classifier = Classifier(model, data.classes, image_size=64)
    return classifier.save(tmp_path_factory.mktemp("weights") / "model")


def test_numbers_do_not_depend_on_batches_and_workers(weights: Path, sample_data: Path) -> None:
    classifier = Classifier.load(weights)
    whole = classifier.collect_outputs(sample_data, batch_size=64, workers=0)
    for batch_size, workers in ((1, 0), (7, 2)):
        parts = classifier.collect_outputs(sample_data, batch_size=batch_size, workers=workers)
        np.testing.assert_allclose(parts.logits, whole.logits, atol=1e-5)
        np.testing.assert_array_equal(parts.sizes, whole.sizes)
        np.testing.assert_array_equal(parts.brightness, whole.brightness)
        assert parts.scores() == whole.scores()


@pytest.mark.slow
def test_two_processes_say_what_one_says(weights: Path, sample_data: Path) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "activitynet", "evaluate", weights, sample_data, "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    alone = Classifier.load(weights).evaluate(sample_data, workers=0)
    printed = json.loads(done.stdout)
    assert printed == {**json.loads(json.dumps(alone.to_dict())), "ignored": printed["ignored"]}


def test_sizes_and_brightness_are_the_photos(tmp_path: Path) -> None:
    for name, size, grey in (("a", (40, 20), 0), ("b", (300, 200), 128), ("c", (64, 64), 255)):
        Image.new("RGB", size, (grey,) * 3).save(tmp_path / f"{name}.png")
    photos = [Photo(tmp_path / f"{name}.png", 0) for name in "abc"]
    classifier = Classifier(create_model("test_resnet_se", num_classes=2), ["x", "y"], image_size=64)
    found = collect_outputs(classifier.model, photos, classifier.preprocess, ["x", "y"])
    assert found.sizes.tolist() == [[40, 20], [300, 200], [64, 64]]
    assert found.brightness == pytest.approx([0, 128 / 255, 1], abs=0.01)


def test_temperature_never_changes_the_predicted_class(weights: Path, sample_data: Path) -> None:
    classifier = Classifier.load(weights)
    before = classifier.collect_outputs(sample_data, workers=0)
    classifier.temperature = 17.0
    after = classifier.collect_outputs(sample_data, workers=0)
    np.testing.assert_array_equal(before.predicted, after.predicted)
    np.testing.assert_array_equal(after.log_probabilities.argmax(axis=1), after.predicted)
    assert np.exp(after.log_probabilities).max() < np.exp(before.log_probabilities).max()
