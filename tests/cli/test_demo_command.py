"""activitynet demo: served by a process of its own, until Ctrl-C."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from activitynet import Classifier, create_model
from activitynet.cli.main import run


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = create_model("test_resnet_se", num_classes=2)
    folder = tmp_path_factory.mktemp("weights") / "model"
    return Classifier(model, ["running", "walking"], image_size=32).save(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches all processes of a console there")
def test_it_says_its_address_and_ends_with_ctrl_c(weights: Path) -> None:
    bounds = ("--max-mb", "2", "--max-photos", "3", "--max-megapixels", "1.5", "--unknown-below", "0.25")
    process = subprocess.Popen(
        [sys.executable, "-m", "activitynet", "demo", "--weights", str(weights), "--port", "0", *bounds],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    with process:
        try:
            line = process.stdout.readline()  # type: ignore[union-attr]
            found = re.fullmatch(r"(.*) answers at http://127\.0\.0\.1:(\d+) until Ctrl-C ends it\.\n", line)
            assert found, line
            assert found[1] == str(weights)
            connection = http.client.HTTPConnection("127.0.0.1", int(found[2]), timeout=60)
            connection.request("GET", "/")
            page = " ".join(connection.getresponse().read().decode().split())
            assert "At most 3 at once, of 2 MB together and 1.5 million pixels each." in page
            assert 'name="unknown_below" min="0" max="100" step="any" value="25"' in page
            process.send_signal(signal.SIGINT)  # while the browser stays connected
            said = process.communicate(timeout=60)
            connection.close()
        finally:
            process.kill()
    assert said == ("", "")
    assert process.returncode == 0


def test_a_taken_port_is_one_clear_line(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(["demo", "--weights", str(weights), "--port", port]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: cannot listen at '127.0.0.1', port {port}: ")
    assert said.count("\n") == 1


def test_a_host_that_is_none_is_one_clear_line(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--weights", str(weights), "--host", "127.0.0.1.5", "--port", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: cannot listen at '127.0.0.1.5', port 0: ")


def test_without_its_packages_it_says_how_to_get_them(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("activitynet.demo")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run(["demo", "--weights", str(weights)]) == 2
    assert "pip install 'activitynet[demo]'" in capsys.readouterr().err
