from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from activitynet.data.audit import Audit, AuditedPhoto, Finding, Suggestion, audit, cleaned
from activitynet.data.audit_report import write_report
from activitynet.data.dataset import Photo, PhotoData
from activitynet.errors import DataError

CLASSES = ("cat", "dog")


def picture(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


def plant(folder: Path, name: str, seed: int, **options: object) -> Path:
    picture(seed, **options).save(folder / name, "JPEG", quality=90)  # type: ignore[arg-type]
    return folder / name


@pytest.fixture
def clean(tmp_path: Path) -> PhotoData:
    train = tuple(Photo(plant(tmp_path, f"t{n}.jpg", n), n % 2) for n in range(6))
    val = tuple(Photo(plant(tmp_path, f"v{n}.jpg", 100 + n), n % 2) for n in range(4))
    return PhotoData(CLASSES, train, val)


def with_train(data: PhotoData, *photos: Photo) -> PhotoData:
    return PhotoData(data.classes, data.train + photos, data.val, data.test)


def test_a_good_data_set_is_clean(clean: PhotoData) -> None:
    found = audit(clean)
    assert found.clean
    assert found == Audit(10, ())
    assert cleaned(clean, found) == clean


def test_broken_and_odd_photos_are_named(clean: PhotoData, tmp_path: Path) -> None:
    half = plant(tmp_path, "half.jpg", 20)
    half.write_bytes(half.read_bytes()[:-600])
    (tmp_path / "empty.jpg").touch()
    tiny = plant(tmp_path, "tiny.jpg", 21, size=(31, 80))
    wrong = plant(tmp_path, "wrong.png", 22)
    flat = tmp_path / "flat.jpg"
    Image.new("RGB", (200, 200), (90, 30, 60)).save(flat)
    missing, empty = tmp_path / "missing.jpg", tmp_path / "empty.jpg"
    odd = [half, empty, missing, tiny, wrong, flat]
    data = with_train(clean, *(Photo(path, 0) for path in odd))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    found = audit(data)
    assert found.counts() == {"unreadable": 3, "wrong_extension": 1, "tiny": 1, "monochrome": 1}
    assert [Path(finding.photos[0].path) for finding in found.findings] == [
        half,
        empty,
        missing,
        wrong,
        tiny,
        flat,
    ]
    assert "truncated" in found.findings[0].message
    left = {photo.path for photo in cleaned(data, found).train}
    assert left == {photo.path for photo in data.train} - {half, empty, missing}
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_duplicates_within_and_across_splits(clean: PhotoData, tmp_path: Path) -> None:
    same = tmp_path / "same.jpg"
    same.write_bytes(clean.train[0].path.read_bytes())
    mirrored = tmp_path / "mirrored.jpg"
    picture(101).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored, quality=70)
    data = with_train(clean, Photo(same, 1), Photo(mirrored, 1))
    found = audit(data)
    assert found.counts() == {"exact_duplicate": 1, "near_duplicate": 1}
    exact, near = found.findings
    assert {Path(photo.path) for photo in exact.photos} == {clean.train[0].path, same}
    assert not exact.across
    assert "2 different labels" in exact.message
    assert {Path(photo.path) for photo in near.photos} == {clean.val[1].path, mirrored}
    assert near.across
    assert "train and val" in near.message
    fixed = cleaned(data, found)
    assert fixed.val == clean.val
    assert {photo.path for photo in data.train} - {photo.path for photo in fixed.train} == {mirrored}


def test_the_test_split_wins_over_val(clean: PhotoData) -> None:
    data = PhotoData(CLASSES, clean.train, clean.val, (Photo(clean.val[0].path, 0), clean.train[3]))
    fixed = cleaned(data, audit(data))
    assert fixed.test == data.test
    assert fixed.val == clean.val[1:]
    assert fixed.train == clean.train[:3] + clean.train[4:]


def test_one_group_may_look_alike_within_a_split(tmp_path: Path) -> None:
    frames = [plant(tmp_path, f"{n}.jpg", 7, size=(96, 80 + n)) for n in range(3)]
    others = tuple(Photo(plant(tmp_path, f"o{n}.jpg", 50 + n), n % 2) for n in range(4))
    grouped = tuple(Photo(path, 0, "video") for path in frames)
    assert audit(PhotoData(CLASSES, grouped + others, ())).counts() == {}
    loose = tuple(Photo(path, 0) for path in frames)
    assert audit(PhotoData(CLASSES, loose + others, ())).counts() == {"near_duplicate": 1}
    torn = audit(PhotoData(CLASSES, grouped[:2] + others, grouped[2:]))
    assert [finding.across for finding in torn.findings if finding.kind == "near_duplicate"] == [True]


def test_a_class_that_a_split_lacks_is_named(clean: PhotoData) -> None:
    data = PhotoData(CLASSES, clean.train, clean.val[::2])
    assert [finding.message for finding in audit(data).findings] == ["class 'dog' has no photo in val."]


def test_an_audit_survives_json(clean: PhotoData) -> None:
    found = audit(with_train(clean, Photo(clean.val[0].path, 0)))
    assert not found.clean
    assert Audit.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    for broken in (
        [],
        {},
        {"photos": True, "findings": []},
        {"photos": 1, "findings": 3},
        {
            "photos": 1,
            "findings": [{"kind": "odd", "message": "", "photos": [], "across": False, "suggestion": None}],
        },
        {
            "photos": 1,
            "findings": [{"kind": "tiny", "message": "", "photos": [3], "across": False, "suggestion": None}],
        },
        {
            "photos": 1,
            "findings": [{"kind": "tiny", "message": "", "photos": 3, "across": False, "suggestion": None}],
        },
    ):
        with pytest.raises(DataError):
            Audit.from_dict(broken)


def test_the_report_is_one_safe_file(tmp_path: Path) -> None:
    evil = '<script>alert(1)</script>&".jpg'
    folder = tmp_path / "<img src=x onerror=1>"
    folder.mkdir()
    one, two = (Photo(plant(folder, f"{n}{evil}".replace("/", "\N{DIVISION SLASH}"), 1), n) for n in (0, 1))
    broken = folder / "broken\udcff.jpg"
    data = PhotoData(("<b>cat</b>", "dog"), (one, two, Photo(broken, 0)), ())
    found = audit(data)
    assert found.counts() == {"unreadable": 1, "exact_duplicate": 1}
    report = tmp_path / "report.html"
    write_report(report, found)
    page = report.read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 2
    for text in ("<script", "<img src=x", "<b>", "http:", "https:", "url(", "@import"):
        assert text not in page
    assert "&lt;script&gt;" in page
    assert set(re.findall(r'(?:src|href)="([a-z/:;0-9]+)', page)) == {"data:image/jpeg;base64"}


def suspect(path: Path, given: str, suggested: str) -> Finding:
    photo = AuditedPhoto(str(path), "train", given)
    return Finding("suspicious_label", "", (photo,), suggestion=Suggestion(suggested, 0.875, 0.0625))


def test_a_suggestion_survives_json() -> None:
    found = Audit(1, (suspect(Path("1.jpg"), "cat", "dog"),))
    told = json.loads(json.dumps(found.to_dict()))
    assert Audit.from_dict(told) == found
    assert told["findings"][0]["suggestion"] == {
        "label": "dog",
        "probability": 0.875,
        "given_probability": 0.0625,
    }
    for broken in (3, {}, {"label": "dog", "probability": "high", "given_probability": 0}):
        told["findings"][0]["suggestion"] = broken
        with pytest.raises(DataError, match="suggestion"):
            Audit.from_dict(told)


def test_a_report_shows_suspicious_labels_as_given_and_suggested(clean: PhotoData, tmp_path: Path) -> None:
    names = ("<script>cat</script>", "<img src=x onerror=1>")
    label_issues = [suspect(photo.path, *names) for photo in reversed(clean.train)]
    report = tmp_path / "report.html"
    write_report(report, Audit(10, tuple(label_issues)))
    page = report.read_text(encoding="utf-8")
    shown = [page.index(escape(finding.photos[0].path)) for finding in label_issues]
    assert shown == sorted(shown)  # the surest first, as they come
    assert page.count("data:image/jpeg;base64,") == len(label_issues)
    assert page.count("&lt;script&gt;cat&lt;/script&gt; → &lt;img src=x onerror=1&gt;") == len(label_issues)
    assert page.count("88% against 6%") == len(label_issues)
    assert "<script" not in page
    assert "<img src=x" not in page


def luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    parts = [value / 255 for value in bytes.fromhex(digits)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_report_is_legible_in_light_and_in_dark(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    write_report(report, Audit(10, ()))
    page = report.read_text(encoding="utf-8")
    assert "color-scheme:light dark" in page
    (back,) = re.findall(r"background:light-dark\(#(\w+),#(\w+)\)", page)
    texts = re.findall(r"[\n{;]color:light-dark\(#(\w+),#(\w+)\)", page)
    assert len(texts) == 2  # all text, and what marks a leak
    for scheme in (0, 1):
        for text in texts:
            dark, light = sorted((luminance(text[scheme]), luminance(back[scheme])))
            assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, level AA
