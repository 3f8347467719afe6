"""The page in a real browser, which can reach nothing but this machine."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
AXE = os.environ.get("ACTIVITYNET_TEST_AXE")
WIDTHS = {"phone": 390, "desk": 1280}

if not (CHROMIUM and DRIVER):
    pytest.skip("needs chromium and chromedriver on the PATH", allow_module_level=True)
if not AXE:
    pytest.skip("needs axe-core: set ACTIVITYNET_TEST_AXE to its axe.min.js", allow_module_level=True)

Served = Callable[..., AbstractContextManager[int]]


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads: Path) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    # No sandbox: CI runs as root in a container. The page is our own. The camera is a drawn one.
    for switch in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
        *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ):
        options.add_argument(switch)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(60)
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def port(served: Served, ensemble: Any) -> Iterator[int]:
    with served(ensemble) as port:
        yield port


@pytest.fixture
def page(browser: Any, port: int) -> Iterator[Any]:
    """The page, freshly opened; at the end, that nothing went wrong in it and nothing left this machine."""
    browser.get_log("performance")
    open_page(browser, port)
    yield browser
    assert browser.get_log("browser") == []
    assert {url.split("/")[2] for url in requested(browser)} == {f"127.0.0.1:{port}"}


def requested(browser: Any) -> list[str]:
    """Addresses that the browser asked the network for."""
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [entry["params"] for entry in entries if entry["method"] == "Network.requestWillBeSent"]
    urls = [params["request"]["url"] for params in sent]
    return [url for url in urls if not url.startswith(("data:", "blob:", "chrome:", "about:"))]


def open_page(
    browser: Any, port: int, scheme: str = "light", size: str = "desk", *, script: bool = True
) -> None:
    width = WIDTHS[size]
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
    browser.get(f"http://127.0.0.1:{port}/")


def choose(page: Any, *photos: Path) -> None:
    field = page.find_element("id", "photos")
    field.clear()  # or the driver adds to what was chosen before
    field.send_keys("\n".join(map(str, photos)))


def answer(page: Any, act: Callable[[], None]) -> str:
    """Do what asks, and return the text of the answer."""
    from selenium.webdriver.support.ui import WebDriverWait

    page.execute_script("document.getElementById('answer').dataset.old = true")
    act()
    new = "return !document.querySelector('#answer[data-old]')"
    WebDriverWait(page, 30).until(lambda _: page.execute_script(new))
    return page.find_element("id", "answer").get_property("textContent").strip()


def leave(page: Any, act: Callable[[], None]) -> None:
    """Do what leads to another page, and wait for that one: a click may return before it is there."""
    from selenium.webdriver.support.ui import WebDriverWait

    before = page.current_url
    act()
    ready = "return document.readyState == 'complete'"
    WebDriverWait(page, 30).until(lambda _: page.current_url != before and page.execute_script(ready))


def press(page: Any) -> Callable[[], None]:
    return page.find_element("css selector", "button.main").click


def violations(page: Any) -> list[str]:
    page.execute_script(Path(AXE or "").read_text("utf-8"))
    return page.execute_async_script(
        "axe.run().then(r => arguments[0](r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html))))"
    )


def heading(page: Any) -> str:
    return page.execute_script("return document.getElementById('verdict').firstChild.textContent.trim()")


def test_a_photo_is_uploaded_and_its_label_read(page: Any, drawn: list[Path], ensemble: Any) -> None:
    for photo in drawn[:2]:  # the second without the page being loaded again
        choose(page, photo)
        answer(page, press(page))
        assert heading(page) == ensemble.predict_one(photo).label
        assert photo.name in page.find_element("id", "answer").text
    assert page.execute_script("return document.activeElement.id") == "answer"
    assert page.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert len(page.find_elements("css selector", ".members img")) == len(ensemble.members)
    assert page.execute_script("return performance.getEntriesByType('navigation').length") == 1


def test_a_broken_photo_gets_a_sentence_that_names_it(page: Any, tmp_path: Path) -> None:
    broken = tmp_path / "holiday ü.jpg"
    broken.write_bytes(b"no photo")
    choose(page, broken)
    text = answer(page, press(page))
    assert text.startswith("cannot read photo 'holiday ü.jpg': it is not a JPEG, PNG")


def test_several_photos_are_a_table_and_its_csv_is_downloaded(
    page: Any, drawn: list[Path], ensemble: Any, downloads: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    choose(page, *drawn[:4], broken)
    text = answer(page, press(page))
    assert text.startswith("5 photos, 1 of them not read")
    page.find_element("id", "csv").click()
    file = downloads / "predictions.csv"
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline, "nothing was downloaded"
        time.sleep(0.05)
    rows = list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))
    assert [row["source"] for row in rows] == [*(path.name for path in drawn[:4]), "broken.jpg"]
    for row, expected in zip(rows, ensemble.predict(drawn[:4]), strict=False):
        assert row["label"] == expected.label
        assert float(row["probability"]) == pytest.approx(expected.probability)
    assert rows[4]["error"] in text
    assert len(page.find_elements("css selector", ".many tbody tr")) == 5


def test_all_of_it_goes_by_keyboard(page: Any, port: int, drawn: list[Path]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def type_keys(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    def tab_to(wanted: str) -> Any:
        seen = "return [getComputedStyle(document.activeElement).outlineStyle, document.activeElement]"
        for _ in range(30):
            type_keys(Keys.TAB)
            outline, active = page.execute_script(seen)
            assert outline == "solid"
            if wanted in (active.get_attribute("id"), active.get_attribute("name"), active.text):
                return active
        raise AssertionError(f"{wanted} was not reached")

    tab_to("photos").send_keys(str(drawn[0]))  # what the system's dialogue would give
    tab_to("unknown_below")
    answer(page, lambda: type_keys("100", Keys.ENTER))  # what is focussed so is selected, and typed over
    assert heading(page) == "unknown"
    open_page(page, port)
    tab_to("photos").send_keys(f"{drawn[0]}\n{drawn[1]}")
    tab_to("What is in it?")
    answer(page, lambda: type_keys(Keys.SPACE))
    assert heading(page) == "2 photos"
    tab_to("csv")
    type_keys(Keys.TAB)
    assert page.switch_to.active_element.get_attribute("aria-label") == "Table of answers"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(WIDTHS))
def test_axe_finds_nothing_in_any_state(
    page: Any, port: int, drawn: list[Path], tmp_path: Path, *, size: str, scheme: str
) -> None:
    broken = tmp_path / f"{'long' * 20}.jpg"
    broken.write_bytes(b"no photo")
    open_page(page, port, scheme, size)
    states = [violations(page)]
    for photos in ([drawn[0]], [broken], [*drawn[:2], broken]):
        choose(page, *photos)
        answer(page, press(page))
        states.append(violations(page))
        wide, seen = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= seen
    assert states == [[], [], [], []]
    value = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    channels = [int(part) for part in value[value.index("(") + 1 : -1].split(",")[:3]]
    assert (sum(channels) < 300) == (scheme == "dark")


def test_a_photo_is_dropped_or_pasted(page: Any, drawn: list[Path], ensemble: Any) -> None:
    give = """
        const bytes = Uint8Array.from(atob(arguments[1]), c => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], arguments[2]));
        const field = arguments[0] == "paste" ? "clipboardData" : "dataTransfer";
        const Kind = arguments[0] == "paste" ? ClipboardEvent : DragEvent;
        document.body.dispatchEvent(new Kind(arguments[0], {[field]: data, bubbles: true, cancelable: true}));
    """
    for kind, photo in zip(("drop", "paste"), drawn[2:4], strict=True):
        event = (kind, b64encode(photo.read_bytes()).decode(), photo.name)
        answer(page, partial(page.execute_script, give, *event))
        assert heading(page) == ensemble.predict_one(photo).label
        assert photo.name in page.find_element("id", "answer").text


def test_the_camera_takes_a_photo(page: Any) -> None:
    page.find_element("id", "open-camera").click()
    deadline = time.monotonic() + 30
    while not page.execute_script("return document.getElementById('view').videoWidth"):
        assert time.monotonic() < deadline, "the camera shows nothing"
        time.sleep(0.05)
    assert violations(page) == []
    text = answer(page, page.find_element("id", "take").click)
    assert "camera.jpg" in text
    assert "most probable classes" in text
    page.find_element("id", "close-camera").click()
    assert page.execute_script("return document.getElementById('view').srcObject") is None
    assert page.execute_script("return document.activeElement.id") == "open-camera"


def test_too_much_is_said_before_it_is_sent(
    browser: Any, served: Served, classifier: Any, drawn: list[Path]
) -> None:
    from activitynet.demo import Limits

    for limits, photos in ((Limits(photos=1), drawn[:2]), (Limits(bytes=100), drawn[:1])):
        with served(classifier, limits=limits) as port:
            open_page(browser, port)
            browser.get_log("performance")
            choose(browser, *photos)
            text = answer(browser, press(browser))
            assert text == (limits.too_many() if len(photos) > 1 else limits.too_large())
            assert requested(browser) == []
            assert violations(browser) == []


def test_a_server_that_has_gone_is_said(
    browser: Any, served: Served, classifier: Any, drawn: list[Path]
) -> None:
    with served(classifier) as port:
        open_page(browser, port)
        choose(browser, drawn[0])
    assert answer(browser, press(browser)).startswith("The page's server does not answer.")
    browser.get_log("browser")


def test_it_works_without_scripts(browser: Any, port: int, drawn: list[Path], ensemble: Any) -> None:
    open_page(browser, port, script=False)
    try:
        choose(browser, drawn[0])
        leave(browser, press(browser))
        said = browser.find_element("id", "verdict").text.lower()
        assert said.startswith(ensemble.predict_one(drawn[0]).label)
        assert not browser.find_element("id", "open-camera").is_displayed()
        assert browser.current_url.endswith("/#answer")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert browser.get_log("browser") == []


def test_another_sites_form_is_refused(browser: Any, port: int) -> None:
    browser.get(f"data:text/html,<form method=post action='http://127.0.0.1:{port}/'><button>go")
    leave(browser, browser.find_element("css selector", "button").click)
    assert "Refused: this was sent by another site (null)" in browser.page_source
    browser.get_log("browser")  # which has the status
