"""What the guides show is run as it stands there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from guides.pages import PAGES, ROOT, count_blocks, run_page, skipped
from guides.readers import CLASSES, few_classes, furnish, hurry, make_run, make_start

WITH_BLOCKS = [page for page in PAGES if count_blocks(page) > len(list(skipped(page)))]


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
    if page.stem == "deep_seers":
        if not (ROOT / "weights" / "deep-seers").is_dir():
            pytest.skip("the ensemble's weights are in a checkout only, not in the source distribution")
        monkeypatch.setenv("ACTIVITYNET_WEIGHTS", str(ROOT / "weights"))
    assert run_page(page, monkeypatch) == count_blocks(page) - len(list(skipped(page)))


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    left_out = [entry for page in PAGES for entry in skipped(page)]
    assert all(entry.reason for entry in left_out), left_out
    assert len(left_out) < 0.2 * sum(map(count_blocks, PAGES)), "\n".join(map(str, left_out))


def test_a_block_that_fails_fails_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    for block, said in {
        "```python\nprint(1 + 1)  # 3\n```\n": "line 1: AssertionError: printed '2'",
        "```console\n$ activitynet evalute\n```\n": "(?s)line 1: RuntimeError.*evalute",
        "```console\n$ curl https://example.com\n```\n": "'curl' is not run here",
    }.items():
        page.write_text(block)
        with pytest.raises(pytest.fail.Exception, match=said):
            run_page(page, monkeypatch)
        page.write_text(f'<!-- skip: next "because" -->\n\n{block}')
        assert run_page(page, monkeypatch) == 0
        assert [entry.reason for entry in skipped(page)] == ["because"]
