"""Whatever goes wrong on the way: a clear line or a right retry, never wrong weights or a broken cache."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from loopback import Loopback
from repositories import REPOSITORY

from activitynet import hub
from activitynet.errors import ActivityNetError, HubError, WeightsError
from activitynet.hub import client
from activitynet.weights import find_weights, load_weights, push_weights

ANY, CONFIG, LARGE = r".", r"(HEAD|GET) .*config\.json", r"GET /large/"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def ready(server: Loopback, files: dict[str, bytes], waits: list[float]) -> Loopback:
    server.put(REPOSITORY, files)
    return server


@pytest.fixture
def impatient(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SECONDS", 0.15)
    monkeypatch.setattr(client, "UPLOAD_SECONDS", 0.15)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.15)


def refused(kind: type[ActivityNetError], pattern: str, source: str = REPOSITORY) -> None:
    with pytest.raises(kind, match=pattern) as caught:
        load_weights(find_weights(source))
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(r"\S\.$", message)


def nothing_is_broken(ready: Loopback, files: dict[str, bytes]) -> None:
    """A later good pull works, from the cache that the fault left."""
    ready.heal()
    cache = Path(constants.HF_HUB_CACHE)
    assert not list(cache.rglob("*.incomplete"))
    folder = find_weights(REPOSITORY)
    load_weights(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == files


@pytest.mark.parametrize("where", [CONFIG, r"model\.safetensors", LARGE])
@pytest.mark.parametrize(
    ("status", "pattern"),
    [
        (401, "does not know your token|no such repository, or it is private"),
        (403, "has no right to do that"),
        (404, "answers 404|no such"),
        (429, "too many requests"),
        (500, "has a fault \\(500\\)"),
        (418, "answers 418"),
    ],
)
def test_a_refusal_is_told(
    ready: Loopback, files: dict[str, bytes], status: int, pattern: str, where: str
) -> None:
    ready.fail("status", where, status=status)
    refused(HubError, pattern)
    nothing_is_broken(ready, files)


@pytest.mark.parametrize("where", [CONFIG, LARGE])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(
    ready: Loopback, files: dict[str, bytes], status: int, where: str
) -> None:
    ready.fail("status", where, status=status, times=2)
    nothing_but_the_right(files)


def nothing_but_the_right(files: dict[str, bytes]) -> None:
    folder = find_weights(REPOSITORY)
    load_weights(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == files


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("where", [CONFIG, LARGE])
def test_a_silent_server_is_not_waited_for(ready: Loopback, files: dict[str, bytes], where: str) -> None:
    ready.fail("silent", where)
    refused(HubError, "the server is silent")
    assert sum("/large/" in request for request in ready.requests) <= 6  # the client's own tries, and no more
    nothing_is_broken(ready, files)


@pytest.mark.usefixtures("impatient", "waits", "without_xet")
def test_a_silent_server_ends_a_push(server: Loopback, weights: Path) -> None:
    for where in ("repos/create", "preupload", "objects/batch", "PUT", "commit"):
        server.heal()
        server.fail("silent", where)
        with pytest.raises(HubError, match="the server is silent"):
            push_weights(weights, REPOSITORY)
    server.heal()
    load_weights(find_weights(push_weights(weights, REPOSITORY)))


@pytest.mark.parametrize(("status", "pattern"), [(401, "token"), (403, "has no right"), (500, "has a fault")])
@pytest.mark.parametrize("where", ["repos/create", "preupload", "PUT", "commit"])
@pytest.mark.usefixtures("waits", "without_xet")
def test_a_refused_push_is_told(
    server: Loopback, weights: Path, status: int, pattern: str, where: str
) -> None:
    server.fail("status", where, status=status)
    with pytest.raises(HubError, match=f"cannot push to '{REPOSITORY}@main': .*{pattern}"):
        push_weights(weights, REPOSITORY)
    server.heal()
    load_weights(find_weights(push_weights(weights, REPOSITORY)))


def test_a_server_without_xet_says_how_to_push_to_it(server: Loopback, weights: Path) -> None:
    with pytest.raises(HubError, match=r"Not Found.*HF_HUB_DISABLE_XET=1\.$"):
        push_weights(weights, REPOSITORY)


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_connection_that_breaks_is_taken_up_again(
    ready: Loopback, files: dict[str, bytes], kind: str
) -> None:
    ready.fail(kind, LARGE, times=2)
    nothing_but_the_right(files)
    assert sum("GET /large/" in request for request in ready.requests) == 3


@pytest.mark.parametrize("kind", ["cut", "reset"])
@pytest.mark.parametrize("where", [r"GET .*config\.json", LARGE])
def test_a_connection_that_always_breaks_is_told(
    ready: Loopback, files: dict[str, bytes], kind: str, where: str
) -> None:
    if kind == "cut" and where == LARGE:
        ready.fail("cut", where, times=1)  # half of it arrives, and then nothing more
        ready.fail("reset", where)
    else:
        ready.fail(kind, where)
    refused(HubError, "cannot be reached")
    nothing_is_broken(ready, files)


@pytest.mark.parametrize("kind", ["short", "long", "flip"])
@pytest.mark.parametrize("where", [r"GET .*config\.json", LARGE])
def test_wrong_bytes_are_fetched_again_or_refused(
    ready: Loopback, files: dict[str, bytes], kind: str, where: str
) -> None:
    ready.fail(kind, where)
    refused(HubError, "Consistency check failed|does not match the hash that the server sent")
    nothing_is_broken(ready, files)


@pytest.mark.parametrize("where", [r"GET .*config\.json", r"GET .*README", LARGE])
def test_a_byte_that_is_flipped_once_is_set_right(
    ready: Loopback, files: dict[str, bytes], where: str
) -> None:
    ready.fail("flip", where, times=1)
    nothing_but_the_right(files)


def test_a_cache_that_rots_is_mended(ready: Loopback, files: dict[str, bytes]) -> None:
    for name in ("config.json", "model.safetensors"):  # nothing depends on the page
        path = find_weights(REPOSITORY) / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.resolve().write_bytes(data)
        nothing_but_the_right(files)


@pytest.mark.parametrize("where", [r"HEAD .*config\.json", r"HEAD .*model", LARGE])
def test_a_redirect_elsewhere_brings_no_other_file(
    ready: Loopback, files: dict[str, bytes], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    other = Loopback()
    try:
        evil = {name: bytes(len(data)) for name, data in files.items()}
        other.put(REPOSITORY, evil)
        name = "config.json" if "config" in where else "model.safetensors"
        elsewhere = other.endpoint.replace("127.0.0.1", "localhost")
        target = f"{elsewhere}/{REPOSITORY}/resolve/main/{name}"
        ready.fail("elsewhere", where, headers={"Location": target})
        refused(HubError, "not the Hub's|no valid (hash|commit)|does not match the hash")
        assert {token for _, token in other.tokens} <= {None}
        nothing_is_broken(ready, files)
    finally:
        other.close()


def test_endless_redirects_end(ready: Loopback, files: dict[str, bytes]) -> None:
    target = f"{ready.endpoint}/{REPOSITORY}/resolve/main/config.json"
    ready.fail("elsewhere", CONFIG, headers={"Location": target})
    refused(HubError, "redirects")
    nothing_is_broken(ready, files)


PULL = """
import ctypes, os, resource, sys
from activitynet.cli.main import run
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if os.geteuid() == 0:  # no mode keeps the superuser from writing, unless that right (1) is given up
    libc, head, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(head, sets) == 0
    sets[0] &= ~2
    assert libc.capset(head, sets) == 0
sys.exit(run(["pull", sys.argv[1]]))
"""


@pytest.fixture
def child(server: Loopback) -> Callable[..., subprocess.Popen[str]]:
    def start(limit: int = 0) -> subprocess.Popen[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            "HF_ENDPOINT": server.endpoint,
            "HF_HUB_CACHE": constants.HF_HUB_CACHE,
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        command = [sys.executable, "-c", PULL, REPOSITORY, str(limit)]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


@pytest.mark.slow
def test_a_full_disk_is_told(
    ready: Loopback, files: dict[str, bytes], child: Callable[..., subprocess.Popen[str]]
) -> None:
    started = child(limit=len(files["model.safetensors"]) // 2)
    _, errors = started.communicate(timeout=240)
    assert started.returncode == 2, errors
    assert re.search(r"error: cannot get 'model\.safetensors'.*File too large.*HF_HOME", errors)
    nothing_is_broken(ready, files)


@pytest.mark.slow
def test_two_processes_pull_at_once(
    ready: Loopback, files: dict[str, bytes], child: Callable[..., subprocess.Popen[str]]
) -> None:
    both = [child(), child()]
    for started in both:
        out, errors = started.communicate(timeout=240)
        assert started.returncode == 0, errors
        assert {file.name: file.read_bytes() for file in Path(out.strip()).iterdir()} == files
    nothing_is_broken(ready, files)


def change_mode(mode: int) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(exist_ok=True)
    for entry in [cache, *(path for path in cache.rglob("*") if path.is_dir())]:
        entry.chmod(mode)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="gives up a right of the superuser as Linux has it")
def test_a_read_only_cache_serves_what_it_has_and_refuses_the_rest(
    ready: Loopback, files: dict[str, bytes], child: Callable[..., subprocess.Popen[str]]
) -> None:
    change_mode(0o555)
    started = child()
    _, errors = started.communicate(timeout=240)
    assert started.returncode == 2, errors
    assert re.search(r"error: cannot get 'config\.json'.*Permission denied.*HF_HOME", errors), errors
    change_mode(0o755)
    nothing_is_broken(ready, files)
    change_mode(0o555)
    started = child()
    out, errors = started.communicate(timeout=240)
    assert started.returncode == 0, errors
    assert Path(out.strip()).is_dir()
    change_mode(0o755)


def test_what_is_cached_needs_no_network(
    ready: Loopback, files: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    folder = find_weights(REPOSITORY)
    ready.heal()
    assert find_weights(f"{REPOSITORY}@{folder.name}") == folder
    assert ready.requests == []  # a commit: not one request
    ready.close()
    huggingface_hub.close_session()
    with caplog.at_level(logging.WARNING, "activitynet"):
        assert find_weights(REPOSITORY) == folder
    assert "using the cached version" in caplog.text
    load_weights(folder)
    refused(HubError, "cannot be reached .*set ACTIVITYNET_WEIGHTS", "team/other")


def test_offline_mode_is_kept(
    ready: Loopback, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = find_weights(REPOSITORY)
    ready.heal()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_weights(REPOSITORY) == folder
    refused(HubError, "offline mode", "team/other")
    assert ready.requests == []


def test_a_repository_that_is_gone_is_not_taken_from_the_cache(ready: Loopback) -> None:
    find_weights(REPOSITORY)
    del ready.repositories[REPOSITORY]
    refused(HubError, "no such repository")


@pytest.mark.parametrize(
    ("source", "pattern"),
    [
        ("team/other", "no such repository"),
        (f"{REPOSITORY}@nothing", "no such revision"),
        (f"{REPOSITORY}@../../x", "not the name of a revision"),
        ("team/../x", "there is no folder"),
        ("a/b/c", "there is no folder"),
    ],
)
def test_unknown_names_are_told(ready: Loopback, source: str, pattern: str) -> None:
    refused(ActivityNetError, pattern, source)


def test_a_mistyped_folder_is_not_looked_for_on_the_hub(
    ready: Loopback, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "model").mkdir(parents=True)
    with pytest.raises(
        WeightsError, match=r"'runs/modle' is not here: .*\. Did you mean 'runs/model'\?.*@main"
    ):
        find_weights("runs/modle")
    for source in ("modle", "./modle", str(tmp_path / "modle"), "runs/model/x"):
        with pytest.raises(WeightsError, match="there is no folder"):
            find_weights(source)
    with pytest.raises(WeightsError, match="Did you mean 'default'"):
        find_weights("defualt")
    assert ready.requests == []
    refused(HubError, "no such repository", "runs/modle@main")


def test_a_folder_here_wins(
    ready: Loopback, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "team").mkdir()
    (tmp_path / REPOSITORY).symlink_to(weights)
    assert find_weights(REPOSITORY) == Path(REPOSITORY)
    assert ready.requests == []


def test_a_mirror_stands_in_for_the_hub(
    ready: Loopback, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "team").mkdir(parents=True)
    (mirror / "team" / "model").symlink_to(weights)
    (mirror / "model@v2").symlink_to(weights)
    monkeypatch.setenv("ACTIVITYNET_WEIGHTS", str(mirror))
    assert find_weights(REPOSITORY) == mirror / REPOSITORY
    assert find_weights("team/model@v2") == mirror / "model@v2"
    assert find_weights("any/model@v2") == mirror / "model@v2"
    assert ready.requests == []
    refused(HubError, "no such revision", f"{REPOSITORY}@v3")  # another state is not taken for it
    monkeypatch.setenv("ACTIVITYNET_WEIGHTS", str(mirror / "none"))
    refused(HubError, "ACTIVITYNET_WEIGHTS is .* not a folder")


def test_a_reference_reads_what_it_writes() -> None:
    for text in ("team/model@main", "a/b@refs/pr/1", "A.b/c-d_e@" + "0" * 40):
        assert str(hub.Reference.parse(text)) == text
    for text in (
        "",
        "a",
        "a/",
        "/b",
        "a/b/c",
        "a/b@",
        "a/..",
        "a/b@/x",
        "a/b@x//y",
        "a b/c",
        "a/b\n",
        "-a/b",
    ):
        with pytest.raises(HubError):
            hub.Reference.parse(text)
