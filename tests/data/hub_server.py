"""A Hugging Face Hub on this machine: data sets in folders, and as much of its interface as is asked for."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_REQUEST = re.compile(
    "(/api)?/datasets/(?P<repository>[^/]+/[^/]+)/(?P<what>resolve|tree|paths-info|revision)/(?P<revision>[^/]+)"
    "/?(?P<path>.*)"
)


def _hash(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()


@contextlib.contextmanager
def serve(root: Path) -> Iterator[str]:
    """Serve each folder ``org/name`` below a folder as a data set, in one revision; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def listed(self, folder: Path, paths: Iterable[Path]) -> None:
            entries = []
            for path in sorted(path for path in paths if path.exists()):
                entry = {"type": "directory", "path": str(path.relative_to(folder)), "size": 0, "oid": COMMIT}
                if path.is_file():
                    entry |= {"type": "file", "size": path.stat().st_size, "oid": _hash(path)}
                entries.append(entry)
            self.answer(json.dumps(entries).encode(), Content_Type="application/json")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.respond(json.loads(body) if body.startswith(b"{") else {})

        def do_GET(self) -> None:
            self.respond({})

        do_HEAD = do_GET  # noqa: N815

        def respond(self, asked: dict[str, list[str]]) -> None:
            found = _REQUEST.fullmatch(unquote(urlsplit(self.path).path))
            folder = root / found["repository"] if found else None
            if found is None or folder is None or not folder.is_dir():
                self.answer(b"", 404, X_Error_Code="RepoNotFound")
            elif found["revision"] not in ("main", COMMIT):
                self.answer(b"", 404, X_Error_Code="RevisionNotFound")
            elif found["what"] == "resolve":
                file = folder / found["path"]
                if file.is_file():
                    self.answer(file.read_bytes(), ETag=f'"{_hash(file)}"', X_Repo_Commit=COMMIT)
                else:
                    self.answer(b"", 404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
            elif found["what"] == "tree":
                below = folder / found["path"]
                if below.is_dir():
                    deep = "recursive=true" in self.path.lower()
                    self.listed(folder, below.rglob("*") if deep else below.iterdir())
                else:
                    self.answer(b"", 404, X_Error_Code="EntryNotFound")
            elif found["what"] == "paths-info":
                self.listed(folder, (folder / name for name in asked.get("paths", ())))
            else:
                siblings = [{"rfilename": str(file.relative_to(folder))} for file in folder.rglob("*.*")]
                info = {"id": found["repository"], "sha": COMMIT, "private": False, "siblings": siblings}
                self.answer(json.dumps(info).encode(), Content_Type="application/json")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
