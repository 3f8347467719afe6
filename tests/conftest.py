"""What all tests share: no network, the drawn data, and the real photos where there are some."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

REAL_DATA = os.environ.get("ACTIVITYNET_TEST_DATA")

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each of several workers with a thread for each core would only wait for the others. Read when torch
    # is first imported, and by every process that a test starts.
    os.environ["OMP_NUM_THREADS"] = "1"

# A busy machine is no failure: no test judges speed.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if REAL_DATA is not None:
        return
    reason = "needs the real photos: set ACTIVITYNET_TEST_DATA to the folder that holds activities/"
    for item in items:
        if "real_photos" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real photos and the backbone; for tests marked `real_photos`."""
    if REAL_DATA is None:
        pytest.fail("a test that uses real_data has to be marked real_photos.")
    folder = Path(REAL_DATA)
    if not (folder / "activities").is_dir():
        pytest.fail(f"ACTIVITYNET_TEST_DATA is {REAL_DATA!r}, which holds no folder 'activities'.")
    return folder


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn data set with train and val; read it, do not change it."""
    from activitynet import draw_sample_data

    folder = tmp_path_factory.mktemp("drawn") / "data"
    return draw_sample_data(folder, train_per_class=3, val_per_class=2, size=64, seed=0)


def _is_outside(family: int, address: Any) -> bool:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return False
    host = address[0]
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host not in ("localhost", "")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse connections to other machines, and fail a test that tried one."""
    attempts: list[Any] = []

    def guarded(method: Any) -> Any:
        def connect(sock: socket.socket, address: Any) -> Any:
            if _is_outside(sock.family, address):
                attempts.append(address)
                raise ConnectionRefusedError(
                    f"tests do not reach the network, and this one tried {address!r}"
                )
            return method(sock, address)

        return connect

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
    yield
    if attempts:
        pytest.fail(f"the test tried to reach the network: {attempts}")


@pytest.fixture
def randomised() -> Callable[..., Any]:
    """A function that makes every parameter and statistic of a module's norms count."""
    import torch
    from torch import nn

    def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d | nn.GroupNorm):
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.3)
            if isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.running_mean, std=0.3)
                nn.init.uniform_(part.running_var, 0.2, 2.0)
        return module

    return randomise
