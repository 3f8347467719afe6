from __future__ import annotations

import itertools
import json
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from activitynet import create_model
from activitynet.data.preprocess import Preprocess
from activitynet.inference import Prediction, stream_predictions

CLASSES = ("walking", "running", "dancing")
PREPROCESS = Preprocess(size=(32, 32))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return create_model("test_efficientnet_se", num_classes=3).eval()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    for index in range(9):
        pixels = noise.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.jpg")
    return folder


def stream(model: nn.Module, photos: object, **options: object) -> list[Prediction]:
    return list(stream_predictions(model, photos, preprocess=PREPROCESS, classes=CLASSES, **options))  # type: ignore[arg-type]


def test_predictions_are_the_softmax_of_the_model(model: nn.Module, photos: Path) -> None:
    for path, prediction in zip(sorted(photos.iterdir()), stream(model, photos), strict=True):
        with Image.open(path) as image, torch.inference_mode():
            expected = model(PREPROCESS(image)[None]).softmax(dim=1)[0]
        assert Path(prediction.source) == path
        assert prediction.label == CLASSES[int(expected.argmax())]
        assert prediction.probability == pytest.approx(float(expected.max()), abs=1e-5)
        assert [label for label, _ in prediction.top] == [
            CLASSES[i] for i in expected.argsort(descending=True)
        ]
        assert sum(p for _, p in prediction.top) == pytest.approx(1)


@pytest.mark.parametrize("batch_size", [1, 4, 9, 100])
def test_answers_do_not_depend_on_the_batch_size(model: nn.Module, photos: Path, batch_size: int) -> None:
    expected = stream(model, photos, batch_size=3)
    for ours, theirs in zip(stream(model, photos, batch_size=batch_size), expected, strict=True):
        assert (ours.source, ours.label) == (theirs.source, theirs.label)
        assert ours.probability == pytest.approx(theirs.probability, abs=1e-5)


def test_bad_photos_carry_their_error_and_the_rest_go_on(
    model: nn.Module, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("not a photo")
    mixed = [
        tmp_path / "text.jpg",
        photos / "0.jpg",
        tmp_path / "missing.jpg",
        photos / "1.jpg",
        b"",
        photos / "2.jpg",
    ]
    for batch_size in (1, 2, 6):
        predictions = stream(model, mixed, batch_size=batch_size)
        assert [prediction.error is None for prediction in predictions] == [False, True] * 3
        assert "text.jpg" in str(predictions[0].error)
        assert "missing.jpg" in str(predictions[2].error)
        assert predictions[0].label is None
        good = stream(model, [photos / f"{index}.jpg" for index in range(3)])
        assert [p.label for p in predictions if p.error is None] == [p.label for p in good]


def test_temperature_softens_and_never_changes_the_label(model: nn.Module, photos: Path) -> None:
    sharp, soft = stream(model, photos, temperature=0.1), stream(model, photos, temperature=10.0)
    assert [p.label for p in sharp] == [p.label for p in soft]
    assert all(a.probability > b.probability for a, b in zip(sharp, soft, strict=True))  # type: ignore[operator]


def test_it_streams(model: nn.Module, photos: Path) -> None:
    taken: list[int] = []

    def endless() -> object:
        while True:
            taken.append(1)
            yield photos / "0.jpg"

    stream_ = stream_predictions(model, endless(), preprocess=PREPROCESS, classes=CLASSES, batch_size=2)
    assert [next(stream_).label for _ in range(6)]
    assert len(taken) <= 10
    stream_.close()


def test_batches_fill_across_broken_photos(photos: Path) -> None:
    sizes: list[int] = []

    class Counting(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            sizes.append(len(images))
            return torch.zeros(len(images), 3)

    mixed = [item for index in range(9) for item in (photos / f"{index}.jpg", b"broken")]
    assert len(stream(Counting(), mixed, batch_size=4)) == 18
    assert sizes == [4, 4, 1]


def test_memory_holds_two_batches_whatever_the_number_of_photos(model: nn.Module) -> None:
    held, most = 0, 0
    lock = threading.Lock()

    class Counted(np.ndarray):
        """A photo that tells when it is let go of."""

    def release() -> None:
        nonlocal held
        with lock:
            held -= 1

    def many() -> Iterator[np.ndarray]:
        nonlocal held, most
        for _ in range(300):
            photo = np.zeros((8, 8, 3), np.uint8).view(Counted)
            weakref.finalize(photo, release)
            with lock:
                held += 1
                most = max(most, held)
            yield photo

    options = {"preprocess": PREPROCESS, "classes": CLASSES, "batch_size": 4, "workers": 2}
    assert sum(1 for _ in stream_predictions(model, many(), **options)) == 300  # type: ignore[arg-type]
    assert most <= 2 * 4 + 2 + 2


def test_a_stream_that_is_left_stops_its_threads(model: nn.Module, photos: Path) -> None:
    before = threading.active_count()
    running = stream_predictions(
        model, itertools.repeat(photos / "0.jpg"), preprocess=PREPROCESS, classes=CLASSES
    )
    next(running)
    assert threading.active_count() > before
    running.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_prediction_is_plain_json(model: nn.Module, photos: Path) -> None:
    values = json.loads(json.dumps(stream(model, photos / "0.jpg", top=2)[0].to_dict()))
    assert len(values["top"]) == 2
    assert values["top"][0] == {"label": values["label"], "probability": values["probability"]}
