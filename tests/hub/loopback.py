"""A server on this machine that speaks the part of the Hub's HTTP API that its client uses, and can fail.

Two servers, as there are two in truth: the Hub itself, which redirects to another origin for large files, and
that origin. Their faults are switched on one by one.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass
class Fault:
    """Something that goes wrong with the requests whose method and path a pattern matches.

    Attributes:
        kind: ``"status"``, ``"silent"``, ``"cut"``, ``"reset"``, ``"short"``, ``"long"``, ``"flip"``,
            ``"elsewhere"``.
        where: Matched against ``"METHOD PATH"``; the second server's paths start with ``/large/``.
        times: How many requests fail.
        status: The answer of ``"status"``.
        headers: More headers of it, or the Location of ``"elsewhere"``.
    """

    kind: str
    where: str
    times: int = 10**9
    status: int = 500
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Repository:
    """Commits, each a whole state of the files, and the branches that name some of them."""

    commits: dict[str, dict[str, bytes]] = dataclasses.field(default_factory=dict)
    branches: dict[str, str] = dataclasses.field(default_factory=dict)
    private: bool = False


def is_large(name: str) -> bool:
    return not name.endswith((".json", ".md"))


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class Loopback:
    """The two servers, with the repositories that they hold and every request that they saw."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.tokens: list[tuple[str, str | None]] = []
        self.sizes: dict[str, int] = {}  # sizes that are claimed instead of the true ones
        self.headers: dict[str, str] = {}  # headers that are sent in place of the true ones
        self.released = threading.Event()
        self._servers = [_Server(self), _Server(self)]
        # Two names, for a client may hold two ports of one host to be one place.
        self.endpoint, self.large = (
            f"http://{host}:{server.server_port}"
            for host, server in zip(("127.0.0.1", "localhost"), self._servers, strict=True)
        )
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.01,)) for server in self._servers
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self.released.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()

    def put(self, repository: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Commit files, in place of what the branch had."""
        where = self.repositories.setdefault(repository, Repository())
        commit = hashlib.sha1(
            f"{len(where.commits)}{sorted(files)}".encode(), usedforsecurity=False
        ).hexdigest()
        where.commits[commit] = dict(files)
        where.branches[branch] = commit
        self.objects.update({hashlib.sha256(data).hexdigest(): data for data in files.values()})
        return commit

    def fail(self, kind: str, where: str, **options: Any) -> None:
        self.faults.append(Fault(kind, where, **options))

    def heal(self) -> None:
        self.faults.clear()
        self.requests.clear()

    def next_fault(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.where, request):
                fault.times -= 1
                return fault
        return None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: Loopback) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        hub = self.server.hub
        self._fault = None
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        request = f"{self.command} {path}"
        if request == _AGENTS:
            self._error(404, "EntryNotFound")
            return
        hub.requests.append(request)
        hub.tokens.append((request, self.headers.get("Authorization")))
        body = self._body()
        self._fault = hub.next_fault(request)
        if self._fault is not None and self._before():
            return
        for pattern, answer in _ROUTES:
            if found := re.fullmatch(pattern, request):
                answer(self, body, *found.groups())
                return
        self._error(404, "EntryNotFound")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815

    def _before(self) -> bool:
        """Do what a fault does in place of an answer, and tell whether that was all."""
        fault, hub = self._fault, self.server.hub
        assert fault is not None
        if fault.kind == "status":
            self._send(fault.status, b"{}", fault.headers)
        elif fault.kind == "elsewhere":
            self._send(302, b"", fault.headers)
        elif fault.kind == "silent":
            hub.released.wait(60)
            self.close_connection = True
        elif fault.kind == "reset":
            self.close_connection = True
        else:
            return False
        return True

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        fault = self._fault.kind if self._fault is not None and self.command == "GET" else None
        claimed = len(body)
        if fault == "flip":
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        elif fault == "short":
            body, claimed = body[:-10], len(body) - 10
        elif fault == "long":
            body, claimed = body + b"0" * 10, len(body) + 10
        elif fault == "cut":
            body = body[: len(body) // 2]
            self.close_connection = True
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(claimed))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": code})

    def _find(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        repository = self.server.hub.repositories.get(name)
        if repository is None or (repository.private and "Authorization" not in self.headers):
            self._error(401, "RepoNotFound")
            return None
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            self._error(404, "RevisionNotFound")
            return None
        return commit, repository.commits[commit]

    def resolve(self, body: bytes, name: str, revision: str, file: str) -> None:
        if (found := self._find(name, revision)) is None:
            return
        commit, files = found
        if file not in files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        data = files[file]
        size = self.server.hub.sizes.get(file, len(data))
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if is_large(file):
            sha256 = hashlib.sha256(data).hexdigest()
            headers |= {"ETag": f'"{git_sha1(data)}"', "X-Linked-Etag": f'"{sha256}"'}
            headers |= {
                "X-Linked-Size": str(size),
                "Location": f"{self.server.hub.large}/large/{sha256}",
            }
            self._send(302, b"", headers)
            return
        headers["ETag"] = f'"{git_sha1(data)}"'
        headers |= self.server.hub.headers
        if size != len(data):
            headers["Content-Length"] = str(size)
        self._send(200, data, headers)

    def large(self, body: bytes, sha256: str) -> None:
        data = self.server.hub.objects[sha256]
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if found is None:
            self._send(200, data)
            return
        start = int(found[1])
        self._send(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        hub = self.server.hub
        status = 409 if name in hub.repositories else 200
        if status == 200:
            hub.put(name, {})
            hub.repositories[name].private = asked.get("visibility") == "private"
        self._json({"url": f"{hub.endpoint}/{name}", "id": name}, status)

    def branch(self, body: bytes, name: str, branch: str) -> None:
        branches = self.server.hub.repositories[name].branches
        status = 409 if branch in branches else 200
        branches.setdefault(branch, branches["main"])
        self._json({}, status)

    def valid_yaml(self, body: bytes) -> None:
        self._json({"errors": [], "warnings": []})

    def preupload(self, body: bytes, name: str, revision: str) -> None:
        entries = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if is_large(file["path"]) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._json({"files": entries})

    def batch(self, body: bytes, name: str) -> None:
        hub = self.server.hub
        objects = []
        for wanted in json.loads(body)["objects"]:
            entry: dict[str, Any] = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in hub.objects:
                entry["actions"] = {"upload": {"href": f"{hub.large}/large/{wanted['oid']}"}}
            objects.append(entry)
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, body: bytes, sha256: str) -> None:
        if hashlib.sha256(body).hexdigest() != sha256:
            self._error(400, "BadHash")
            return
        self.server.hub.objects[sha256] = body
        self._send(200, b"")

    def commit(self, body: bytes, name: str, branch: str) -> None:
        hub = self.server.hub
        if (found := self._find(name, branch)) is None:
            return
        files = dict(found[1])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = hub.objects[value["oid"]]
        commit = hub.put(name, files, branch)
        self._json({"commitUrl": f"{hub.endpoint}/{name}/commit/{commit}", "commitOid": commit})

    def info(self, body: bytes, name: str, revision: str | None) -> None:
        if (found := self._find(name, revision or "main")) is not None:
            self._json({"id": name, "sha": found[0], "siblings": [{"rfilename": file} for file in found[1]]})


# What the client asks once a process, to tell the Hub who runs it: at any time, so it is no part of a test.
_AGENTS = "GET /api/agent-harnesses"

_NAME = r"([^/]+/[^/]+)"
_ROUTES: list[tuple[str, Callable[..., None]]] = [
    (rf"(?:GET|HEAD) /{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
    (r"(?:GET|HEAD) /large/([0-9a-f]{64})", _Handler.large),
    (r"PUT /large/([0-9a-f]{64})", _Handler.upload),
    (r"POST /api/repos/create", _Handler.create),
    (r"POST /api/validate-yaml", _Handler.valid_yaml),
    (rf"POST /api/models/{_NAME}/branch/(.+)", _Handler.branch),
    (rf"POST /api/models/{_NAME}/preupload/(.+)", _Handler.preupload),
    (rf"POST /{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (rf"POST /api/models/{_NAME}/commit/(.+)", _Handler.commit),
    (rf"GET /api/models/{_NAME}(?:/revision/(.+))?", _Handler.info),
]
