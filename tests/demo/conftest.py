from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

CLASSES = ("cook", "dance", "<b>run</b>", "swim", "read", "walk")


def _lively(name: str, seed: int) -> Any:
    """A network that nobody taught, whose answers differ from photo to photo."""
    from activitynet import create_model

    torch.manual_seed(seed)
    model = create_model(name, num_classes=len(CLASSES)).eval()
    with torch.no_grad():
        model.get_classifier().weight.mul_(30)
    return model


@pytest.fixture(scope="session")
def classifier() -> Any:
    from activitynet import Classifier

    return Classifier(_lively("test_resnet_se", 0), CLASSES, image_size=32)


@pytest.fixture(scope="session")
def ensemble() -> Any:
    from activitynet import Ensemble
    from activitynet.data.preprocess import Preprocess
    from activitynet.weights import Card

    def member(name: str, seed: int, size: int, classes: tuple[str, ...]) -> Any:
        card = Card(architecture=name, classes=classes, preprocess=Preprocess(size=(size, size)))
        return _lively(name, seed), card

    backwards = tuple(reversed(CLASSES))
    return Ensemble(
        [member("test_resnet_se", 0, 32, CLASSES), member("test_resnet_se", 1, 64, backwards)],
        weights=[3, 1],
    )


@pytest.fixture(scope="session")
def drawn(sample_data: Path) -> list[Path]:
    """Drawn photos, of several classes."""
    return [sorted(folder.iterdir())[0] for folder in sorted((sample_data / "val").iterdir())]


@pytest.fixture(scope="session")
def served() -> Callable[..., AbstractContextManager[int]]:
    """Serves a predictor's page as the command does, in a thread; gives the port."""
    from activitynet.demo.app import make_app
    from activitynet.demo.server import _listen, make_server

    @contextmanager
    def serve(predictor: Any, **options: Any) -> Iterator[int]:
        with _listen("127.0.0.1", 0) as listening:
            server = make_server(make_app(predictor, name=options.pop("name", "runs/mine"), **options))
            thread = threading.Thread(target=server.run, args=([listening],))
            thread.start()
            try:
                while not server.started:
                    time.sleep(0.01)
                yield listening.getsockname()[1]
            finally:
                server.should_exit = True
                thread.join()

    return serve
