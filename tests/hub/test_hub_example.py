"""The example of pushing and pulling, against the loopback Hub."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from loopback import Loopback

EXAMPLE = Path(__file__).parents[2] / "examples" / "hub_push_and_pull.py"


# The Hub's client uploads in a way that its own HTTP library has come to dislike.
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_weights_are_pushed_and_pulled(
    server: Loopback,
    weights: Path,
    without_xet: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")  # the repository is private
    monkeypatch.setattr(sys, "argv", [EXAMPLE.name, str(weights), "team/activities", "--private"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    pushed, pulled = capsys.readouterr().out.splitlines()
    (commit,) = {pushed.rpartition("@")[2]} & set(server.repositories["team/activities"].commits)
    assert commit
    assert server.repositories["team/activities"].private
    assert pulled == "pulled: walking, running, бег"
