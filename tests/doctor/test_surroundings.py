from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from activitynet.doctor import machine, surroundings


class Outputs(http.server.BaseHTTPRequestHandler):
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
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Outputs]]:
    monkeypatch.setattr(Outputs, "seen", [], raising=False)
    with http.server.HTTPServer(("127.0.0.1", 0), Outputs) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
        yield Outputs
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "said"), [(200, "yes"), (302, "leads elsewhere"), (503, "answers 503")])
def test_the_hub_is_asked_once_without_a_token(
    status: int, said: str, server: type[Outputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "status", status)
    told = surroundings.hub(offline=False)
    assert said in told["reached"]
    assert told["token"] == "there is one"  # noqa: S105
    assert server.seen == [None]


def test_a_hub_that_is_not_there_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert surroundings.hub(offline=False)["reached"].startswith("no: ")


def test_folders_say_whether_they_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTIVITYNET_WEIGHTS", str(tmp_path / "not" / "yet"))
    told = surroundings.folders()
    assert told["here"]["writable"] is True
    assert told["ACTIVITYNET_WEIGHTS"]["there"] is False
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
    told = machine.machine(system=tmp_path)
    assert told["cores"]["usable"] == 0.5
    assert told["memory"]["limit"] == "4.0 GB"
    assert told["memory"]["free"] == "2.0 GB"
    assert told["features"] == "avx2 avx512_bf16"
    assert told["processor"].startswith("Somebody's 9")
