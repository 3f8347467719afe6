from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from activitynet.data.dataset import Photo, SkippedPhoto
from activitynet.errors import DataError
from activitynet.evaluation import Outputs
from activitynet.evaluation.metrics import PER_CLASS
from activitynet.evaluation.report import (
    MEASURES,
    comparison_table,
    make_report,
    read_report,
    write_comparison,
    write_report,
)

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """Of a model that is right about four photos of five; class and file names are hostile."""
    folder = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 90)
    logits = draw.normal(size=(90, 3)).astype(np.float32)
    logits[np.arange(90), np.where(draw.random(90) < 0.8, labels, (labels + 1) % 3)] += 4
    photos = []
    for at, label in enumerate(labels.tolist()):
        path = folder / f"{at}{EVIL.replace('/', '∕')}\udcff.png"
        Image.new("RGB", (60, 40), (80 * label, 2 * at, 90)).save(path)
        photos.append(Photo(path, label, group=str(at // 2), source=f"{EVIL}{at % 2}"))
    return Outputs(
        photos=tuple(photos),
        classes=(EVIL, "b & c", "d"),
        logits=logits,
        temperature=1.25,
        sizes=np.full((90, 2), (60, 40)),
        brightness=draw.random(90).astype(np.float32),
        skipped=(SkippedPhoto(Photo(folder / f"gone{EVIL[:8]}.png", 0), "val", "it is empty."),),
    )


@pytest.fixture(scope="module")
def written(answers: Outputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = make_report(answers, name=f"m{EVIL}", unknown_below=0.4, resamples=50)
    return write_report(tmp_path_factory.mktemp("run") / "report", report).parent


def test_the_page_is_one_file_in_which_names_stay_text(written: Path) -> None:
    page = (written / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    for outside in ("http:", "https:", "url(", "@import", "<iframe", "onerror"):
        assert outside not in page
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert {source.split(";")[0] for source in sources} == {"data:image/svg+xml", "data:image/jpeg"}
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)', page))
    assert page.count('scope="row"') > 20


def test_the_twin_says_what_the_page_says(written: Path, answers: Outputs) -> None:
    told = json.loads((written / "report.json").read_text("utf-8"))
    page = (written / "report.html").read_text("utf-8")
    assert set(told["measures"]) == set(MEASURES) - {"top_3", "top_5"}  # of three classes
    assert f"{told['measures']['macro_f1']['value']:.3f}" in page
    assert answers.scores().averaged_over() in page
    assert set(told["per_class"][EVIL]) == set(PER_CLASS)
    assert told["scores"] == json.loads(json.dumps(answers.scores().to_dict()).replace("\\udcff", r"\\udcff"))
    assert len(told["photos"]) == 90
    assert all(part["accuracy"] < part["rest"] for part in told["slices"])
    right = np.mean([photo["label"] == photo["predicted"] for photo in told["photos"]])
    assert told["measures"]["accuracy"]["value"] == pytest.approx(right)
    assert told["skipped" if "skipped" in told else "scores"]
    for name in ("confusion", "classes", "reliability", "risk_coverage"):
        assert (written / "plots" / f"{name}.png").is_file()
        assert (written / "plots" / f"{name}.svg").is_file()


def test_a_photo_that_has_been_removed_since_is_told_without_its_picture(
    answers: Outputs, tmp_path: Path
) -> None:
    gone = tuple(dataclasses.replace(photo, path=tmp_path / photo.path.name) for photo in answers.photos)
    page = write_report(
        tmp_path, make_report(dataclasses.replace(answers, photos=gone), name="m", resamples=20)
    )
    assert "data:image/jpeg" not in page.read_text("utf-8")


def test_runs_side_by_side(written: Path, answers: Outputs, tmp_path: Path) -> None:
    worse = dataclasses.replace(answers, logits=np.roll(answers.logits, 1, axis=1))
    write_report(tmp_path / "worse", make_report(worse, name="w", resamples=50))
    reports = [read_report(written.parent), read_report(tmp_path / "worse")]  # a run, and a report
    table = comparison_table(reports)
    assert table["names"] == [str(written.parent), str(tmp_path / "worse")]
    (sentence,) = table["sentences"]
    assert sentence.startswith(f"{tmp_path / 'worse'} is worse than {written.parent} by ")
    page = write_comparison(tmp_path / "out", table).read_text("utf-8")
    assert sentence in page
    assert json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8")) == table

    fewer = dataclasses.replace(
        answers,
        photos=answers.photos[:-1],
        logits=answers.logits[:-1],
        sizes=answers.sizes[:-1],
        brightness=answers.brightness[:-1],
    )
    write_report(tmp_path / "fewer", make_report(fewer, name="f", resamples=20))
    table = comparison_table([reports[0], read_report(tmp_path / "fewer")])
    assert "other photos" in table["sentences"][0]
    assert table["comparisons"] == [None]
    with pytest.raises(DataError, match="two runs"):
        comparison_table(reports[:1])


def change(told: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**told, **values}


def test_a_report_that_cannot_be_trusted_is_refused(written: Path, tmp_path: Path) -> None:
    told = json.loads((written / "report.json").read_text("utf-8"))
    photo = told["photos"][0]
    broken = {
        "{": "is not valid JSON",
        "[]": "must be a table of fields",
        json.dumps(change(told, report_version=2)): "'report_version' must be 1; update activitynet",
        json.dumps(change(told, photos=[])): "'photos' must be",
        json.dumps(change(told, photos=[{**photo, "label": 3}])): r"photos\[0\] must have a label .* below 3",
        json.dumps(change(told, photos=[{**photo, "predicted": True}])): r"'photos\[0\].predicted' must be",
        json.dumps(change(told, photos=[{**photo, "path": None}])): r"'photos\[0\].path' must be text",
        json.dumps(change(told, classes=[1, 2, 3])): r"'classes\[0\]' must be text",
        json.dumps(change(told, measures={"accuracy": {"value": "x", "low": 0, "high": 1}})): (
            "'measures.accuracy.value' must be a number"
        ),
        json.dumps({name: value for name, value in told.items() if name != "measures"}): "lacks its field",
    }
    for text, fault in broken.items():
        (tmp_path / "report.json").write_text(text, "utf-8")
        with pytest.raises(DataError, match=f"report .*{fault}"):
            read_report(tmp_path)
    with pytest.raises(DataError, match="holds no report"):
        read_report(tmp_path / "missing")
