"""The page's server as programs meet it: bounds, refusals, hostile names, many at once."""

from __future__ import annotations

import csv
import html
import http.client
import io
import re
import secrets
import socket
import tempfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from activitynet.demo import Limits, Upload
from activitynet.demo.answering import Answering
from activitynet.demo.guard import HEADERS, is_local
from activitynet.demo.server import _listen
from activitynet.errors import DemoError
from activitynet.inference.writers import csv_cells, csv_header, csv_line

LIMITS = Limits(bytes=200_000, photos=5, pixels=250_000)
Served = Callable[..., AbstractContextManager[int]]


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def trouble(self) -> list[str]:
        return [html.unescape(text) for text in re.findall(r'class="trouble"[^>]*>(.*?)</', self.text)]

    @property
    def verdict(self) -> str:
        return html.unescape(re.findall(r'id="verdict">(.*?)<[/s]', self.text, re.DOTALL)[0]).strip()


def ask(
    port: int,
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str = "/",
    headers: dict[str, str] | None = None,
) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, text)


def form(*photos: tuple[str, bytes], **fields: str) -> tuple[bytes, dict[str, str]]:
    boundary = secrets.token_hex(8)
    parts = [
        f'Content-Disposition: form-data; name="photos"; filename="{name}"\r\n'.encode()
        + b"Content-Type: image/jpeg\r\n\r\n"
        + content
        for name, content in photos
    ]
    parts += [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields.items()
    ]
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), part) for part in parts)
    return body + f"--{boundary}--\r\n".encode(), {
        "Content-Type": f"multipart/form-data; boundary={boundary}"
    }


def post(port: int, *photos: tuple[str, bytes], **fields: str) -> Reply:
    body, headers = form(*photos, **fields)
    return ask(port, body, headers=headers)


@pytest.fixture(scope="module")
def port(served: Served, classifier: Any) -> Iterator[int]:
    with served(classifier, limits=LIMITS) as port:
        yield port


@pytest.fixture(scope="module")
def photo(drawn: list[Path]) -> bytes:
    return drawn[0].read_bytes()


def test_a_photo_gets_the_label_of_predict(port: int, drawn: list[Path], classifier: Any) -> None:
    verdicts = set()
    for path, expected in zip(drawn, classifier.predict(drawn), strict=True):
        reply = post(port, (path.name, path.read_bytes()))
        assert reply.status == 200
        assert reply.verdict == expected.label
        told = re.findall(r'<td class="number">([\d.]+) %</td>', reply.text)
        shown = [100 * probability for _, probability in expected.top]
        assert [float(number) for number in told] == pytest.approx(shown, abs=0.06)
        verdicts.add(reply.verdict)
    assert len(verdicts) > 1


def test_a_photo_that_lies_on_its_side_is_turned_once(port: int, classifier: Any, drawn: list[Path]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    with Image.open(drawn[3]) as image:
        image.convert("RGB").crop((0, 0, 64, 30)).save(file, "JPEG", exif=exif)
    (expected,) = classifier.predict(file.getvalue())
    told = re.findall(r'<td class="number">([\d.]+) %</td>', post(port, ("a.jpg", file.getvalue())).text)
    assert told == [f"{100 * probability:.1f}" for _, probability in expected.top]


def test_unknown_is_an_answer(port: int, photo: bytes, classifier: Any, served: Served) -> None:
    (expected,) = classifier.predict(photo)
    above = 100 * (expected.probability + 1) / 2
    reply = post(port, ("a.jpg", photo), unknown_below=f"{above}")
    assert reply.verdict == "unknown"
    assert f"Most like it is {expected.label}." in html.unescape(reply.text)
    assert f'value="{above:.4g}"' in reply.text  # the next photo is asked about with the same
    assert post(port, ("a.jpg", photo), unknown_below="0").verdict == expected.label
    with served(classifier, unknown_below=1.0) as other:
        assert post(other, ("a.jpg", photo)).verdict == "unknown"


@pytest.mark.parametrize("value", ["-1", "101", "nan", "many"])
def test_a_threshold_that_is_none_gets_a_sentence(port: int, photo: bytes, value: str) -> None:
    reply = post(port, ("a.jpg", photo), unknown_below=value)
    assert (reply.status, reply.trouble) == (400, ["“Unknown below” takes a number from 0 to 100."])


def test_several_photos_are_a_table_and_a_csv(port: int, drawn: list[Path], classifier: Any) -> None:
    reply = post(port, *((path.name, path.read_bytes()) for path in drawn[:3]), ("bad.jpg", b"no photo"))
    assert reply.status == 200
    (content,) = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', reply.text)
    rows = list(csv.reader(io.StringIO(b64decode(content).decode())))
    expected = list(classifier.predict(drawn[:3]))
    assert rows[0] == csv_header(5)
    assert [row[0] for row in rows[1:]] == [*(path.name for path in drawn[:3]), "bad.jpg"]
    for row, prediction in zip(rows[1:], expected, strict=False):
        assert row[1] == ""
        assert row[2::2] == [label for label, _ in prediction.top]
        assert [float(cell) for cell in row[3::2]] == pytest.approx([share for _, share in prediction.top])
    assert rows[4][1].startswith("cannot read photo 'bad.jpg': it is not a JPEG")
    assert set(rows[4][2:]) == {""}
    assert reply.trouble == [rows[4][1]]
    assert "4 photos, 1 of them not read" in reply.text


def test_a_csv_is_the_commands(classifier: Any, drawn: list[Path]) -> None:
    uploads = [Upload(str(path), path.read_bytes()) for path in drawn[:3]]
    answer = Answering(classifier, max_pixels=10**6).answer(uploads, unknown_below=0, heat=False)
    lines = [csv_line(csv_cells(prediction, 5)) for prediction in classifier.predict(drawn[:3])]
    assert answer.csv() == csv_line(csv_header(5)) + "".join(lines)


def test_too_many_bytes_get_a_sentence(port: int, photo: bytes) -> None:
    reply = post(port, ("a.jpg", photo + b"\0" * LIMITS.bytes))
    assert (reply.status, reply.trouble) == (413, [LIMITS.too_large()])
    assert "0.2 MB" in LIMITS.too_large()


def test_an_endless_upload_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        lines = ["POST / HTTP/1.1", f"Host: 127.0.0.1:{port}", "Transfer-Encoding: chunked"]
        lines += ["Content-Type: multipart/form-data; boundary=b", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        piece = b"x" * 65536
        sent = 0
        with pytest.raises(OSError, match=r".*"):  # noqa: PT012
            while sent < 1000 * LIMITS.bytes:
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                sent += len(piece)
    assert 8 * LIMITS.bytes < sent


def test_too_many_photos_get_a_sentence(port: int) -> None:
    for count in (LIMITS.photos + 1, LIMITS.photos + 2):
        reply = post(port, *((f"{at}.jpg", b"x" * 500) for at in range(count)))
        assert (reply.status, reply.trouble) == (413, [LIMITS.too_many()])


def test_too_many_pixels_get_a_sentence_that_names_the_photo(port: int) -> None:
    file = io.BytesIO()
    Image.new("1", (501, 500)).save(file, "PNG")
    reply = post(port, ("big.png", file.getvalue()))
    assert reply.status == 200
    (sentence,) = reply.trouble
    assert sentence.startswith("cannot read photo 'big.png': it has 501 x 500 pixels; the limit is 250000")


@pytest.mark.parametrize("bounds", [{"bytes": 0}, {"photos": 0}, {"pixels": -1}])
def test_bounds_that_admit_nothing_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(DemoError, match="must be 1 or more"):
        Limits(**bounds)


def test_what_is_no_form_of_photos_gets_a_sentence(port: int, photo: bytes) -> None:
    kinds = ["image/jpeg", "application/x-www-form-urlencoded", "application/json", "multipart/mixed"]
    for kind in kinds:
        assert ask(port, photo, headers={"Content-Type": kind}).status == 415
    assert ask(port, photo).status == 415
    body, headers = form(("a.jpg", photo), ("b.jpg", photo))
    unnamed = {"Content-Type": "multipart/form-data"}
    endless = {"Content-Type": "multipart/form-data; boundary=" + 1000 * "b"}
    for broken, said in (
        (b"--" + 1000 * b"b" + b"--", endless),
        (body, unnamed),
        (body[:40], headers),
        (body[:-30], headers),
        (b"x", headers),
    ):
        reply = ask(port, broken, headers=said)
        assert (reply.status, reply.trouble) == (400, ["This is no whole form of photos: send it again."])
    for name in ("heat", "unknown_below"):
        part = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n1\r\n'.encode()
        many = {"Content-Type": "multipart/form-data; boundary=b"}
        reply = ask(port, 11 * part + b"--b--", headers=many)
        assert (reply.status, len(reply.trouble)) == (400, 1)
    for empty in (form(), form(("", b"")), form(photos="a.jpg")):
        reply = ask(port, empty[0], headers=empty[1])
        assert (reply.status, reply.trouble) == (400, ["Choose a photo first."])


def test_other_methods_and_addresses_get_a_sentence(port: int) -> None:
    reply = ask(port, method="PUT")
    assert (reply.status, reply.trouble) == (405, ["This address does not take such a request."])
    assert "POST" in reply.headers["allow"]
    for path in ("/photo", "/../demo.css", "/%2e%2e/pyproject.toml", "/demo.css/"):
        reply = ask(port, method="GET", path=path)
        assert (reply.status, reply.trouble) == (404, ["There is nothing at this address."])


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_are_refused(port: int, photo: bytes, headers: dict[str, str]) -> None:
    body, kind = form(("a.jpg", photo))
    reply = ask(port, body, headers=kind | headers)
    assert reply.status == 403
    assert reply.text.startswith("Refused: this was sent by another site (")
    own = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
    assert ask(port, body, headers=kind | own).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "[", "[::1"])
def test_other_names_for_this_machine_are_refused(port: int, host: str) -> None:
    for method in ("GET", "POST"):
        reply = ask(port, method=method, headers={"Host": f"{host}:{port}"})
        assert reply.status == 403
        assert reply.text.startswith("Refused: ")
    assert ask(port, method="GET", headers={"Host": f"localhost:{port}"}).status == 200


def test_a_page_for_others_goes_by_addresses_and_its_own_name(served: Served, classifier: Any) -> None:
    with served(classifier, host="0.0.0.0") as port:  # noqa: S104  what is asked about, not what is listened at
        page = ask(port, method="GET", headers={"Host": f"10.0.0.1:{port}"})
        assert "Photos go to the machine that serves this page and nowhere else" in page.text
        assert ask(port, method="GET", headers={"Host": socket.gethostname()}).status == 200
        assert ask(port, method="GET", headers={"Host": "evil.example"}).status == 403
    assert [is_local(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "pc")] == [  # noqa: S104
        *(True, True, True),
        *(False, False),
    ]


def test_every_answer_forbids_what_is_elsewhere_and_being_kept(port: int, photo: bytes) -> None:
    body, headers = form(("a.jpg", photo))
    replies = [ask(port, body, headers=headers), ask(port, headers={"Host": "evil"})]
    replies += [ask(port, method="GET", path=path) for path in ("/", "/demo.css", "/demo.js", "/none")]
    for reply in replies:
        assert {name.lower(): value for name, value in HEADERS.items()}.items() <= reply.headers.items()
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert not re.search(r"\b(?:style|on\w+)=", replies[0].text)  # which the policy would stop


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "<script>alert(1)</script>.jpg", "'><img src=x onerror=alert(1)>", "a\tb\u202e.jpg"],
)
def test_a_name_is_nothing_but_text(port: int, photo: bytes, name: str) -> None:
    shown = html.escape(name.replace("\t", r"\t").replace("\u202e", r"\u202e"), quote=False)
    for photos in ([(name, photo)], [(name, b"no photo")], [(name, photo), (name, b"no photo")]):
        page = post(port, *photos).text
        assert shown in html.escape(html.unescape(page), quote=False)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert name not in page or name == "../../etc/passwd"


def test_names_of_classes_and_weights_are_nothing_but_text(
    served: Served, classifier: Any, photo: bytes
) -> None:
    with served(classifier, name="<i>w</i>") as port:
        page = post(port, ("a.jpg", photo)).text
    assert "&lt;i&gt;w&lt;/i&gt;" in page
    assert "&lt;b&gt;run&lt;/b&gt;" in page
    assert "<i>" not in page
    assert "<b>" not in page


def test_twenty_requests_at_once_are_answered_each_with_its_own(
    port: int, drawn: list[Path], classifier: Any
) -> None:
    expected = [prediction.label for prediction in classifier.predict(drawn)]
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda path: post(port, (path.name, path.read_bytes()), heat="on"), drawn))
    assert len(drawn) == 20
    assert [reply.verdict for reply in replies] == expected
    assert all(path.name in reply.text for path, reply in zip(drawn, replies, strict=True))


def test_nothing_is_kept_on_the_disk(port: int, monkeypatch: pytest.MonkeyPatch, drawn: list[Path]) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a file was made")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(tempfile, "_mkstemp_inner", refuse)
    assert post(port, *((path.name, path.read_bytes()) for path in drawn[:5])).status == 200
    assert post(port, ("large.jpg", b"x" * 190_000)).status == 200


def test_members_say_what_they_thought(served: Served, ensemble: Any, drawn: list[Path]) -> None:
    from activitynet import Classifier

    photo = drawn[5]
    with served(ensemble) as port:
        reply = post(port, (photo.name, photo.read_bytes()), heat="on")
        assert post(port, (photo.name, photo.read_bytes())).text.count("Heat map of") == 0
    assert reply.verdict == ensemble.predict_one(photo).label
    rows = re.findall(
        r'<tr><th scope="row">(\d-\w+)</th><td class="number">([\d.]+) %</td><td>(.*?)</tr>',
        reply.text,
        re.DOTALL,
    )
    assert [(name, share) for name, share, _ in rows] == [
        ("1-test_resnet_se", "75.0"),
        ("2-test_resnet_se", "25.0"),
    ]
    for (_, _, row), model, card in zip(rows, ensemble.members, ensemble.cards, strict=True):
        alone = Classifier(model, card.classes, image_size=card.preprocess.size[0], resize="squash")
        alone.preprocess = card.preprocess
        said = alone.predict_one(photo)
        assert html.unescape(re.sub("</?strong[^>]*>|<svg.*", "", row, flags=re.DOTALL)).strip() == said.label
        assert f'<td class="number">{100 * said.probability:.1f} %</td>' in row
    assert reply.text.count('alt="Heat map of') == 2


def test_where_it_looks_is_shown_or_said_why_not(
    served: Served, classifier: Any, port: int, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activitynet.errors import ModelError

    assert 'alt="Heat map of what speaks for' in post(port, ("a.jpg", photo), heat="on").text
    assert "Heat map" not in post(port, ("a.jpg", photo)).text

    def cannot(*_: Any, **__: Any) -> Any:
        raise ModelError("this network has no map of places")

    monkeypatch.setattr(classifier, "explain", cannot, raising=False)
    reply = post(port, ("a.jpg", photo), heat="on")
    assert reply.status == 200
    assert "There is no heat map: this network has no map of places" in reply.text


def test_an_engine_answers_and_is_explained_only_if_asked(
    served: Served, classifier: Any, photo: bytes, tmp_path: Path
) -> None:
    from activitynet import Classifier

    engine = Classifier.load(classifier.save(tmp_path / "model"), engine="torch", precision="fp32")
    with served(engine) as port:
        page = ask(port, method="GET").text
        assert "takes some 60 times as long" in page
        assert "checked" not in page
        reply = post(port, ("a.jpg", photo), heat="on")
    assert reply.verdict == classifier.predict_one(photo).label
    assert 'alt="Heat map of what speaks for' in reply.text


def test_a_fault_is_said_and_the_page_goes_on(
    port: int, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Answering, "answer", lambda *_, **__: 1 / 0)
        reply = post(port, ("a.jpg", photo))
    assert reply.status == 500
    assert reply.trouble == ["This is a fault of the program: its terminal says more. Please report it."]
    assert post(port, ("a.jpg", photo)).status == 200


def test_an_address_that_is_taken_is_one_clear_line() -> None:
    with _listen("127.0.0.1", 0) as taken:
        number = taken.getsockname()[1]
        wanted = rf"cannot listen at '127\.0\.0\.1', port {number}: .*Choose another port"
        with pytest.raises(DemoError, match=wanted):
            _listen("127.0.0.1", number)
