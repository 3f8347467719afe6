"""The pages in a real browser: both colour schemes, a phone and a desk, on screen and in print."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from activitynet.data.audit import Audit, AuditedPhoto, Finding, Suggestion
from activitynet.data.audit import write_report as write_audit
from activitynet.data.dataset import Photo, SkippedPhoto
from activitynet.evaluation import Outputs
from activitynet.evaluation.report import (
    comparison_table,
    make_report,
    read_report,
    write_comparison,
    write_report,
)
from activitynet.study.definition import parse_study
from activitynet.study.report import write_study
from activitynet.study.results import Row, Run, StudyResult, differences, mean_intervals

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
AXE = os.environ.get("ACTIVITYNET_TEST_AXE")
EVIL = "<script>document.title='run'</script>"
NAME = EVIL.replace("/", "∕")  # a file's name has no slash
WIDTHS = {"phone": 390, "desk": 1280}

if not (CHROMIUM and DRIVER):
    pytest.skip("needs chromium and chromedriver on the PATH", allow_module_level=True)
if not AXE:
    pytest.skip("needs axe-core: set ACTIVITYNET_TEST_AXE to its axe.min.js", allow_module_level=True)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An evaluation, a comparison, an audit and a study, all with hostile names."""
    folder = tmp_path_factory.mktemp("pages")
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 6, 240)
    logits = draw.normal(size=(240, 6)).astype(np.float32)
    logits[np.arange(240), labels] += 2
    path = folder / f"{NAME}.png"
    Image.new("RGB", (300, 200), (200, 90, 40)).save(path)
    photos = tuple(Photo(path, int(label), source=f"{EVIL}{at % 3}") for at, label in enumerate(labels))
    answers = Outputs(
        photos=photos,
        classes=(EVIL, "conditioning exercise", "x" * 60, "d", "e", "f"),
        logits=logits,
        temperature=1.0,
        sizes=np.full((240, 2), (300, 200)),
        brightness=draw.random(240).astype(np.float32),
        skipped=(SkippedPhoto(photos[0], "val", "it is empty."),),
    )
    runs = [folder / f"{letter} {NAME}" for letter in "ab"]
    for run in runs:
        write_report(run, make_report(answers, name=EVIL, unknown_below=0.3, resamples=20))
    table = comparison_table([read_report(run) for run in (*runs, runs[0])])
    audited = AuditedPhoto(str(path), "train", EVIL)
    findings = (
        Finding("exact_duplicate", f"2 photos {EVIL}", (audited, audited), True),
        Finding("suspicious_label", "", (audited,), suggestion=Suggestion("d", 0.9, 0.05)),
    )
    write_audit(folder / "audit.html", Audit(2, findings))
    return {
        "report": runs[0] / "report.html",
        "comparison": write_comparison(folder / "out", table),
        "audit": folder / "audit.html",
        "study": write_study(folder / "study", a_study()),
    }


def a_study() -> StudyResult:
    """What a study of four configurations and five seeds might have come to."""
    alternatives = {name: {"drop_rate": at / 10} for at, name in enumerate(("base", NAME, "x" * 60, EVIL))}
    fields = {"name": EVIL, "model": "test_resnet_se", "description": EVIL, "seeds": [0, 1, 2, 3, 4]}
    study = parse_study({**fields, "axes": {"a": alternatives, "epochs": [1, 2]}}, what="study")
    draw = np.random.default_rng(0)
    scores = draw.random((3, 5)) / 10 + np.array([[0.5], [0.6], [0.4]])
    intervals, found = mean_intervals(scores.tolist()), differences(scores[0].tolist(), scores[1:].tolist())

    def row(at: int, label: str, state: Any, runs: int) -> Row:
        done = {seed: Run(scores[at % 3, seed], 0.5, 1, 2, 60.0 + at, 90.0) for seed in range(runs)}
        interval = intervals[at] if at < 3 else None
        difference = found[at - 1] if 0 < at < 3 else None
        error = EVIL if state == "failed" else ""
        sizes = {"parameters": 90_000 + at, "macs": 1e6}
        facts = {**sizes, "interval": interval, "difference": difference}
        return Row(str(at), label, {}, at == 0, state, error, done, **facts)

    rows = [row(at, label, "complete", 5) for at, label in enumerate(list(alternatives)[:3])]
    rows += [row(3, EVIL, "failed", 0), row(4, "half", "running", 1)]
    return StudyResult(study, tuple(rows), {"a": 0.9, NAME: 0.1}, (240, 60))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    # No sandbox: CI runs as root in a container. The pages are our own.
    for switch in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(60)
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


def show(browser: Any, page: Path, scheme: str, width: int, media: str = "") -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get(page.as_uri())


def colour(browser: Any, of: str) -> list[int]:
    """Red, green and blue of a property of the body."""
    value = browser.execute_script(f"return getComputedStyle(document.body).{of}")
    return [int(part) for part in value[value.index("(") + 1 : -1].split(",")[:3]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(WIDTHS))
@pytest.mark.parametrize("name", ["report", "comparison", "audit", "study"])
def test_a_page_is_legible(browser: Any, pages: dict[str, Path], name: str, size: str, scheme: str) -> None:
    show(browser, pages[name], scheme, WIDTHS[size])
    assert browser.title != "run"
    assert browser.execute_script("return document.scripts.length") == 0
    assert NAME in browser.execute_script("return document.body.innerText")
    wide, seen = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= seen
    assert browser.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert (sum(colour(browser, "backgroundColor")) < 300) == (scheme == "dark")
    browser.execute_script(Path(AXE or "").read_text("utf-8"))
    violations = browser.execute_async_script(
        "axe.run().then(r => arguments[0](r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html))))"
    )
    assert violations == []
    assert browser.get_log("browser") == []


def test_a_page_is_printed_black_on_white_whatever_the_screen(browser: Any, pages: dict[str, Path]) -> None:
    show(browser, pages["report"], "dark", 794, media="print")
    assert colour(browser, "backgroundColor") == [255, 255, 255]
    assert colour(browser, "color") == [0, 0, 0]


def test_everything_can_be_reached_by_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["report"], "light", WIDTHS["phone"])
    reached = []
    for _ in range(20):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        active = browser.switch_to.active_element
        reached.append(active.get_attribute("href") or active.get_attribute("aria-label"))
    assert reached[0].endswith("#main")
    assert "Table of classes" in reached
    assert browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
