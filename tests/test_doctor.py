from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st

from activitynet.cli.main import run
from activitynet.doctor import (
    HIDDEN,
    check_packages,
    describe_folders,
    describe_hub,
    describe_machine,
    diagnose,
    redacted,
    try_all,
)

METADATA = """\
Metadata-Version: 2.4
Name: house
Version: 1
Provides-Extra: more
Provides-Extra: test
Requires-Dist: numpy>=999
Requires-Dist: pillow>=1
Requires-Dist: nothing-of-that-name>=2
Requires-Dist: never>=1; python_version < '3'
Requires-Dist: torch>=1; extra == 'more'
Requires-Dist: nor-this-one; extra == 'more'
Requires-Dist: house[more]; extra == 'test'
"""


SECRETS = ("hf_abcdefghijklmnop", "hunter2", "s3cr3t")


def test_all_that_is_installed_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--offline", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == []
    for name, found in told["what works"].items():
        assert found.startswith(("yes", "not tried")), (name, found)
    assert all(told["what works"][name].startswith("yes") for name in ("torch", "photos", "networks"))
    assert told["hub"]["reached"].startswith("not tried")
    assert "bfloat16" in told["what works"]["torch"]


def test_what_is_needed_and_broken_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "timm.py").write_text("raise ImportError('no such\\n\\x1b[2J symbol')")
    monkeypatch.syspath_prepend(tmp_path)
    assert run(["doctor", "--offline"]) == 1
    captured = capsys.readouterr()
    lines = {line.split("  ")[1]: line for line in captured.out.splitlines() if line.startswith("  ")}
    assert "no: ImportError: no such \\x1b[2J symbol" in lines["timm"]
    assert "\x1b" not in captured.out
    assert " yes" in lines["torchvision"]
    assert captured.err.startswith("error: timm: ImportError: no such")
    assert "pip install" in captured.err
    assert captured.err.count("\n") == 1


def test_after_a_crash_the_rest_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm.py").write_text("import os; os.abort()")
    monkeypatch.syspath_prepend(tmp_path)
    found = try_all(["timm", "photos"])
    assert found["timm"].startswith("no: the process ended with code -6")
    assert found["photos"].startswith("yes: jpeg")


def test_what_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm.py").write_text("import time; time.sleep(600)")
    monkeypatch.syspath_prepend(tmp_path)
    assert try_all(["timm"], seconds=1) == {"timm": "no: it took longer than 1 s"}


def test_the_command_itself_imports_no_torch() -> None:
    """What is broken must not break it."""
    program = "import activitynet.doctor, activitynet.hub, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "house-1.dist-info").mkdir()
    (tmp_path / "house-1.dist-info" / "METADATA").write_text(METADATA)
    monkeypatch.syspath_prepend(tmp_path)
    return "house"


def test_missing_and_old_packages_are_named_with_the_remedy(house: str) -> None:
    versions, problems = check_packages(house)
    assert versions["nothing-of-that-name"] == "missing"
    ((what, remedy),) = problems
    assert what == f"numpy is {np.__version__}; nothing-of-that-name is missing."
    assert remedy == "pip install 'numpy>=999' 'nothing-of-that-name>=2'"
    assert versions["nor-this-one"] == "missing (pip install 'house[more]')"
    assert "never" not in versions


def test_a_package_that_is_not_installed_asks_for_nothing() -> None:
    assert check_packages("no-such-distribution") == ({}, [])


def test_variables_are_listed_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(Path.home())
    for name, value in {
        "HF_TOKEN": "s3cr3t",
        "ACTIVITYNET_WEIGHTS": f"{home}/weights",
        "ACTIVITYNET_API_KEY": "hunter2",
        "HF_ENDPOINT": "https://me:hunter2@hub.example/api?token=s3cr3t",
        "HTTPS_PROXY": "http://me:hunter2@proxy.example:3128",
        "TORCH_HOME": f"{home}2/hf_abcdefghijklmnop",
        "SOMETHING_ELSE": "not asked for",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("activitynet.doctor.try_all", lambda names: dict.fromkeys(names, "yes"))
    told = diagnose(offline=True).sections["variables"]
    assert told["HF_TOKEN"] == told["ACTIVITYNET_API_KEY"] == HIDDEN
    assert told["ACTIVITYNET_WEIGHTS"] == "~/weights"
    assert told["HTTPS_PROXY"] == "http://…@proxy.example:3128"
    assert told["HF_ENDPOINT"].startswith("https://…@hub.example/api")
    assert told["TORCH_HOME"].startswith(f"{home}2/")
    assert "SOMETHING_ELSE" not in told
    assert not any(secret in str(told) for secret in SECRETS)


@given(before=st.text(), after=st.text(), secret=st.sampled_from(SECRETS[:1]))
def test_a_token_is_found_wherever_it_stands(before: str, after: str, secret: str) -> None:
    told = redacted({"a": [f"{before} {secret} {after}"], "b": 1, "c": None})
    assert secret not in str(told["a"])
    assert (told["b"], told["c"]) == (1, None)


@given(text=st.text())
def test_redacted_text_is_printable(text: str) -> None:
    assert redacted(text).isprintable()


class Server(http.server.BaseHTTPRequestHandler):
    status = 200
    seen: list[str | None]

    def do_HEAD(self) -> None:
        type(self).seen.append(self.headers.get("Authorization"))
        self.send_response(self.status)
        self.send_header("Location", "http://127.0.0.1:1/login")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    monkeypatch.setattr(Server, "seen", [], raising=False)
    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
        yield Server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "said"), [(200, "yes"), (302, "it redirects"), (503, "answers 503")])
def test_the_hub_is_asked_once_without_a_token(
    status: int, said: str, server: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "status", status)
    told = describe_hub(offline=False)
    assert said in told["reached"]
    assert told["token"] == "set"  # noqa: S105
    assert server.seen == [None]


def test_an_unreachable_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert describe_hub(offline=False)["reached"].startswith("no: ")


def test_folders_say_whether_they_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTIVITYNET_WEIGHTS", str(tmp_path / "not" / "yet"))
    told = describe_folders()
    assert told["current"]["writable"] is True
    assert told["ACTIVITYNET_WEIGHTS"]["exists"] is False
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_the_limits_of_a_container_are_those_of_the_machine(tmp_path: Path) -> None:
    for name, text in {
        "sys/fs/cgroup/cpu.max": "50000 100000\n",
        "sys/fs/cgroup/memory.max": "4000000000\n",
        "proc/cpuinfo": "model name\t: Somebody's 9\nflags\t\t: sse avx512_bf16 avx2\n\nmodel name\t: b\n",
        "proc/meminfo": "MemTotal: 1 kB\nMemAvailable:    2000000 kB\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    told = describe_machine(tmp_path)
    assert told["CPU quota"] == "50000 100000"
    assert told["memory limit"] == "4.0 GB"
    assert told["free memory"] == "2.0 GB"
    assert told["processor"].startswith("Somebody's 9")
