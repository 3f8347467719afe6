from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from activitynet import Classifier, create_model, draw_sample_data
from activitynet.cli.main import run
from activitynet.data.dataset import slug
from activitynet.data.open import open_data


@pytest.fixture
def data(sample_data: Path, tmp_path: Path) -> Path:
    """A few drawn photos of two classes, in train and val."""
    folder = tmp_path / "data"
    for split in ("train", "val"):
        for source in sorted((sample_data / split).iterdir())[:2]:
            target = folder / split / source.name
            target.mkdir(parents=True)
            for photo in sorted(source.iterdir()):
                (target / photo.name).write_bytes(photo.read_bytes())
    return folder


def leak(data: Path) -> Path:
    (folder, *_) = sorted((data / "train").iterdir())
    source = sorted((data / "val" / folder.name).iterdir())[0]
    copy = folder / f"copy{source.suffix}"
    copy.write_bytes(source.read_bytes())
    (folder / "broken.jpg").write_bytes(b"no photo")
    return copy


def test_a_clean_data_set_is_code_0(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(data)]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out == "10 photos, 0 findings\n"


def test_classes_and_what_is_left_out_are_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (first, second) = sorted(folder.name for folder in (data / "train").iterdir())
    (data / "train" / first / "notes.odt").write_bytes(b"no photo")
    assert run(["audit", str(data), "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert [slug(name) for name in told["classes"]] == [first, second]
    assert [Path(path).name for path in told["ignored"]] == ["notes.odt"]
    line = f"2 classes (1 file or folder left out): {', '.join(told['classes'])}"
    assert line in captured.err.splitlines()


def test_findings_are_code_1_and_can_be_fixed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = leak(data)
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    report, table = tmp_path / "out" / "report.html", tmp_path / "fixed.csv"
    assert run(["audit", str(data), "--report", str(report), "--fix", str(table), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert json.loads(report.with_suffix(".json").read_text()) == told
    assert "data:image/jpeg" in report.read_text()
    assert [finding["kind"] for finding in told["findings"]] == ["unreadable", "exact_duplicate"]
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    whole, fixed = open_data(data), open_data(table)
    assert {photo.path for photo in fixed.train} == {photo.path for photo in whole.train} - {
        copy,
        copy.parent / "broken.jpg",
    }
    assert len(fixed.val) == len(whole.val)
    assert run(["audit", str(table)]) == 0
    capsys.readouterr()
    assert run(["audit", str(data)]) == 1
    assert "unreadable: 1\n" in capsys.readouterr().out


def relabelled(folder: Path) -> tuple[Path, Path]:
    """Two classes of drawn pictures, enough to judge labels by, and a photo that lies in the wrong one."""
    drawn = draw_sample_data(
        folder / "drawn", train_per_class=12, val_per_class=2, size=64, classes=("bicycling", "dancing")
    )
    moved = (drawn / "train/bicycling/0003.jpg").rename(drawn / "train/dancing/moved.jpg")
    return drawn, moved


def test_suspicious_labels_are_marked_and_dropped_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, moved = relabelled(tmp_path)
    torch.manual_seed(0)
    weights = tmp_path / "weights"
    Classifier(create_model("squeezenet1_1", num_classes=2), ["a", "b"], image_size=64).save(weights)
    command = ["audit", str(data), "--labels", str(weights), "--image-size", "64"]
    table = tmp_path / "fixed.csv"
    assert run([*command, "--fix", str(table), "--json"]) == 1
    told, noted = capsys.readouterr()
    assert f"checking the labels of 28 photos by the features of {weights}" in noted
    label_issues = [entry for entry in json.loads(told)["findings"] if entry["kind"] == "suspicious_label"]
    by_path = {entry["photos"][0]["path"]: entry["suggestion"]["label"] for entry in label_issues}
    assert by_path[str(moved)] == "bicycling"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    marked = {str(tmp_path / row["path"]): row["suggested_label"] for row in rows if row["suggested_label"]}
    assert marked == by_path
    assert len(rows) == 28
    assert len(open_data(table).train) == 24  # the column is no reader's concern
    dropped = tmp_path / "dropped.csv"
    assert run([*command, "--fix", str(dropped), "--drop-label-issues"]) == 1
    left = {photo.path for photo in open_data(dropped).train}
    assert {photo.path for photo in open_data(data).train} - left == {
        Path(path) for path in by_path if Path(path).is_relative_to(data / "train")
    }
    assert moved not in left
    assert "suspicious_label: " in capsys.readouterr().out


def test_dropping_suspects_needs_some(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(data), "--drop-label-issues"]) == 2
    assert "--labels and --fix" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--report", "--fix"])
def test_a_file_of_another_kind_is_refused(
    option: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", str(data), option, str(tmp_path / "x.txt")]) == 2
    assert option in capsys.readouterr().err


def test_the_data_themselves_are_not_overwritten(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "fixed.csv"
    assert run(["audit", str(data), "--fix", str(table)]) == 0
    content = table.read_bytes()
    assert run(["audit", str(table), "--fix", str(table)]) == 2
    assert "another file" in capsys.readouterr().err
    assert table.read_bytes() == content
