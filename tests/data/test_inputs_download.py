from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import pytest
from PIL import Image

from activitynet.data import inputs
from activitynet.data.inputs import fetch, iter_photos
from activitynet.errors import ImageError


class _Handler(http.server.BaseHTTPRequestHandler):
    """A small web site on this machine, good and bad."""

    hung_up = threading.Event()

    def do_GET(self) -> None:
        places = {
            "/ftp": "ftp://127.0.0.1/a.png",
            "/file": "file:///etc/hostname",
            "/loop": "/loop",
            "/to": "/photo",
        }
        if self.path in places:
            self._answer(302, b"", Location=places[self.path])
        elif self.path == "/photo":
            image = Image.new("RGB", (8, 6), "red")
            self._answer(200, image.tobytes())
        elif self.path == "/large":
            self._answer(200, bytes(5000))
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            except ConnectionError:
                self.hung_up.set()
        elif self.path == "/silent":
            time.sleep(0.5)
        elif self.path == "/garbage":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients here leave early on purpose."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_photo_is_fetched_also_behind_a_redirect(site: str) -> None:
    assert fetch(f"{site}/photo") == fetch(f"{site}/to") == Image.new("RGB", (8, 6), "red").tobytes()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "the server answers 404"),
        ("/loop", "the server answers 302"),
        ("/file", "the server answers 302"),
        ("/ftp", "unknown url type: ftp"),
        ("/garbage", "this is not HTTP"),
        ("/a b", "control characters"),
    ],
)
def test_what_cannot_be_fetched_is_named(site: str, path: str, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        fetch(site + path)
    message = str(caught.value)
    assert message.startswith(f"cannot fetch photo {site + path!r}: ")
    assert reason in message
    assert "\n" not in message


def test_size_and_time_are_bounded(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_BYTES", 4999)
    with pytest.raises(ImageError, match="it has more than"):
        fetch(f"{site}/large")
    monkeypatch.setattr(inputs, "MAX_BYTES", 5000)
    assert len(fetch(f"{site}/large")) == 5000
    monkeypatch.setattr(inputs, "MAX_SECONDS", 0.2)
    with pytest.raises(ImageError, match="it takes over"):
        fetch(f"{site}/slow")
    assert _Handler.hung_up.wait(2)  # in the midst of it, not when the server was done
    monkeypatch.setattr(inputs, "TIMEOUT", 0.1)
    with pytest.raises(ImageError, match="timed out"):
        fetch(f"{site}/silent")


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ImageError, match=r"Connection refused\. Check the address"):
        fetch("http://127.0.0.1:1/a.png")


def test_an_error_of_the_web_is_an_item_of_the_stream(site: str) -> None:
    ((name, load),) = iter_photos(f"{site}/missing", allow_urls=True)
    assert name == f"{site}/missing"
    with pytest.raises(ImageError, match="the server answers 404"):
        load()
    ((_, load),) = iter_photos(f"{site}/photo", allow_urls=True)
    with pytest.raises(ImageError, match=f"{site}/photo.*not a JPEG"):
        load()  # raw pixels are no image file
