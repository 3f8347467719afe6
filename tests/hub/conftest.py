"""The loopback Hub, the client pointed at it, and weights to put there."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants
from loopback import Loopback

from activitynet.hub import client


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder of a small network of timm's; read it, do not change it."""
    import torch

    from activitynet.data.preprocess import Preprocess
    from activitynet.weights import Card, save_weights
    from activitynet.zoo import create_model

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "model"
    name = "timm/test_resnet"
    card = Card(
        architecture=name,
        classes=("walking", "running", "бег"),
        preprocess=Preprocess(size=(64, 64), resize="squash"),
        temperature=1.5,
        training_data="drawings",
        license="cc0-1.0",
    )
    save_weights(folder, create_model(name, num_classes=3), card)
    return folder


@pytest.fixture
def files(weights: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in weights.iterdir()}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """The loopback Hub, with the real client, fresh and without a cache, pointed at it."""
    hub = Loopback()
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    # A loaded machine may stall for longer than users would wait; tests of silence ask for less.
    monkeypatch.setattr(client, "SECONDS", 60.0)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 60.0)
    for name in ("HF_TOKEN", "ACTIVITYNET_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    huggingface_hub.close_session()
    yield hub
    huggingface_hub.close_session()
    hub.close()


@pytest.fixture(autouse=True)
def every_call_has_a_timeout(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which the client sends a request that it would wait for without end."""
    http = importlib.import_module(type(huggingface_hub.get_session()).__module__.partition(".")[0])
    unbounded: list[str] = []
    send = http.HTTPTransport.handle_request

    def watched(self: Any, request: Any) -> Any:
        timeout = request.extensions.get("timeout", {})
        if None in [timeout.get(kind) for kind in ("connect", "read", "write", "pool")]:
            unbounded.append(f"{request.method} {request.url}")
        return send(self, request)

    monkeypatch.setattr(http.HTTPTransport, "handle_request", watched)
    yield
    if unbounded:
        pytest.fail(f"requests without a timeout: {unbounded}")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What is waited for between two tries, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture
def without_xet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upload as before Xet, whose own protocol goes to servers that cannot be had here."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
