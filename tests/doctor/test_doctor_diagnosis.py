from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from activitynet.cli.main import run
from activitynet.doctor.trials import run_trials


def test_all_that_is_installed_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--offline", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == []
    for name, found in told["what works"].items():
        assert found.startswith(("yes", "not tried")), (name, found)
    assert all(told["what works"][name].startswith("yes") for name in ("torch", "photos", "engine torch"))
    assert told["hub"]["reached"].startswith("not tried")
    assert told["devices"]["threads"] >= 1
    assert "bfloat16" in told["devices"]


def test_what_is_needed_and_broken_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "timm.py").write_text("raise ImportError('no such\\n\\x1b[2J symbol')")
    monkeypatch.syspath_prepend(tmp_path)
    assert run(["doctor", "--offline"]) == 1
    captured = capsys.readouterr()
    lines = {line.split("  ")[1]: line for line in captured.out.splitlines() if line.startswith("  ")}
    assert "no: ImportError: no such \\x1b[2J symbol" in lines["timm"]
    assert " yes (" in lines["torchvision"]
    assert captured.err.startswith("error: timm: ImportError: no such")
    assert "pip install" in captured.err
    assert captured.err.count("\n") == 1


def test_what_crashes_is_a_line_and_the_rest_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "timm.py").write_text("import os; os.abort()")
    monkeypatch.syspath_prepend(tmp_path)
    first, second = run_trials(["timm", "photos"])
    assert first.fault is not None
    assert "SIGABRT" in first.fault
    assert second.summary.startswith("yes (jpeg")


def test_what_hangs_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm.py").write_text("import time; time.sleep(600)")
    monkeypatch.syspath_prepend(tmp_path)
    (only,) = run_trials(["timm"], seconds=1)
    assert only.fault == "nothing came of it in 1 s"


def test_the_command_itself_imports_no_torch() -> None:
    """What is broken must not break it."""
    program = "import activitynet.doctor, activitynet.hub, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
