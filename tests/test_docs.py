"""What the guides show is run as it stands there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from guides.pages import PAGES, ROOT, run_page, skipped
from guides.readers import CLASSES, few_classes, furnish, hurry, make_run, make_start

WITH_BLOCKS = [
    page for page in PAGES if any(mark in page.read_text("utf-8") for mark in ("```python", "```console"))
]


@dataclass(frozen=True)
class Furniture:
    photos: Path
    start: Path
    trained: Path


@pytest.fixture(scope="module")
def furniture(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Furniture:
    folder = tmp_path_factory.mktemp("furniture")
    photos = few_classes(sample_data, folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        return Furniture(photos, make_start(folder / "start", CLASSES), make_run(photos, folder / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_runs_from_its_first_block_to_its_last(
    page: Path, furniture: Furniture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    furnish(home, page.name, furniture.photos, furniture.start, furniture.trained)
    hurry(monkeypatch)
    monkeypatch.chdir(home)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = dict(os.environ)
    assert run_page(page, monkeypatch) > 0
    assert dict(os.environ).keys() >= before.keys()


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    left_out = [entry for page in PAGES for entry in skipped(page)]
    assert all(entry.reason for entry in left_out), left_out
    assert len(left_out) <= 14, "\n".join(map(str, left_out))
