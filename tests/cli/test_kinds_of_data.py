"""Data sets that are no class folders, from end to end."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from activitynet import Classifier
from activitynet.cli.main import run
from activitynet.data.dataset import ACTIVITIES, slug

FAST = ["--model=test_resnet_se", "--image-size=32", "--epochs=1", "--workers=0", "--no-progress"]


@pytest.fixture
def contest(sample_data: Path, tmp_path: Path) -> Path:
    """The drawn photos of 16 activities in the layout of the contest."""
    folder = tmp_path / "contest"
    for name in ("img_train", "img_test"):
        (folder / name).mkdir(parents=True)
    answers, number = [], 0
    for label, activity in enumerate(ACTIVITIES[:16]):
        for photo in sorted((sample_data / "train" / slug(activity)).iterdir()):
            number += 1
            shutil.copy(photo, folder / "img_train" / f"{number}{photo.suffix}")
            answers.append(f"{number},{label}")
        for photo in sorted((sample_data / "val" / slug(activity)).iterdir()):
            number += 1
            shutil.copy(photo, folder / "img_test" / f"{number}{photo.suffix}")
    (folder / "train_answers.csv").write_text("\n".join(["img_id,target_feature", *answers]))
    categories = [f"{index},{name}" for index, name in enumerate(ACTIVITIES)]
    (folder / "activity_categories.csv").write_text("\n".join(["id,category", *categories]))
    return folder


def test_a_contest_is_trained_on_measured_and_answered(
    contest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Near-duplicates stay on one side, and the four categories without photos keep their outputs."""
    photos = sorted((contest / "img_train").iterdir(), key=lambda path: int(path.stem))
    answers = contest / "train_answers.csv"
    labels = [line.split(",")[1] for line in answers.read_text().splitlines()[1:]]
    with answers.open("a") as file:
        for number, (photo, label) in enumerate(zip(photos, labels, strict=True), start=1001):
            Image.open(photo).convert("RGB").save(contest / "img_train" / f"{number}.jpg", quality=80)
            file.write(f"\n{number},{label}")
    assert run(["train", str(contest), f"--run={tmp_path / 'run'}", *FAST]) == 0
    assert f"looking for near-duplicates among {2 * len(photos)} photos" in capsys.readouterr().err
    listed = [line.split(" ", 4) for line in (tmp_path / "run" / "photos.txt").read_text().splitlines()]
    split_of = {Path(path).stem: split for split, _, _, _, path in listed}
    assert len(listed) == len(split_of) == 2 * len(photos)
    assert set(split_of.values()) == {"train", "val"}
    for number, photo in enumerate(photos, start=1001):
        assert split_of[photo.stem] == split_of[str(number)]

    weights, submission = tmp_path / "run" / "model", tmp_path / "submission.csv"
    classifier = Classifier.load(weights)
    assert classifier.classes == ACTIVITIES
    assert classifier.model.num_classes == 20
    assert run(["evaluate", str(weights), str(contest), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["photos"] == list(split_of.values()).count("val")
    assert scores["scored"] == list(ACTIVITIES[:16])
    assert len(scores["classes"]) == len(scores["confusion"]) == 20
    assert scores["macro_f1"] == pytest.approx(sum(entry["f1"] for entry in scores["classes"][:16]) / 16)
    assert run(["evaluate", str(weights), str(contest)]) == 0
    said = capsys.readouterr().out
    assert f"without photos: {', '.join(ACTIVITIES[16:])}\n" in said
    assert "over 16 classes" in said

    predict = ["predict", "--weights", str(weights), "--submission", str(submission)]
    assert run([*predict, str(contest)]) == 0
    with submission.open(newline="") as file:
        rows = list(csv.DictReader(file))
    asked = sorted((contest / "img_test").iterdir(), key=lambda path: int(path.stem))
    assert [row["id"] for row in rows] == [photo.stem for photo in asked]
    guesses = [prediction.label for prediction in classifier.predict(asked)]
    assert [ACTIVITIES[int(row["target_feature"])] for row in rows] == guesses
    capsys.readouterr()

    submission.unlink()
    asked[0].write_bytes(asked[0].read_bytes()[:100])
    assert run([*predict, str(contest / "img_test")]) == 2
    assert asked[0].name in capsys.readouterr().err
    assert not submission.exists()


def test_bad_photos_and_near_duplicates_from_the_command_line(
    sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    for label in ("dancing", "running"):
        for split in ("train", "val"):
            shutil.copytree(sample_data / split / label, data / label / split)
        for number, photo in enumerate(sorted((data / label).rglob("*.*"))):
            Image.open(photo).convert("RGB").save(data / label / f"copy {number}.jpg", quality=80)
    (data / "running" / "bad\n.jpg").write_bytes(b"")
    options = [str(data), f"--run={tmp_path / 'run'}", "--group-duplicates", *FAST]
    assert run(["train", *options]) == 2
    assert "--skip-bad" in capsys.readouterr().err
    assert run(["train", *options, "--skip-bad"]) == 0
    captured = capsys.readouterr()
    kind = "train" if "(1 train)" in captured.out else "val"
    note = f"unreadable photos left out: 1 (1 {kind})"
    assert f"{note}: {tmp_path / 'run' / 'skipped.jsonl'}\n" in captured.out
    assert f"{note}\n" in captured.err
    listed = (tmp_path / "run" / "photos.txt").read_text().splitlines()
    assert f"{kind} 1 0 unreadable running/bad\\n.jpg" in listed

    weights = str(tmp_path / "run" / "model")
    evaluate = ["evaluate", weights, str(data), "--group-duplicates", "--split=all"]
    assert run(evaluate) == 2
    assert "1 of 21 photos cannot be read" in capsys.readouterr().err
    assert run([*evaluate, "--skip-bad", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    (skipped,) = scores["skipped"]
    assert (scores["photos"], skipped["path"]) == (20, str(data / "running" / "bad\n.jpg"))
    assert run([*evaluate, "--skip-bad"]) == 0
    assert note in capsys.readouterr().out.splitlines()[-1]
    assert run(["lr-find", str(data), *FAST[:2], "--workers=0"]) == 2
    assert "--skip-bad" in capsys.readouterr().err


def test_a_table_is_trained_on_and_measured_on(
    sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "photos.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split", "group"])
        for split in ("train", "val"):
            for label in ("dancing", "running", "bicycling"):
                for photo in sorted((sample_data / split / label).iterdir()):
                    writer.writerow([photo, label, split, f"{split}-{label}"])
    assert run(["train", str(table), f"--run={tmp_path / 'run'}", *FAST]) == 0
    assert run(["evaluate", str(tmp_path / "run" / "model"), str(table)]) == 0
    assert "6 photos" in capsys.readouterr().out
    with table.open("a") as file:
        file.write("missing.png,dancing,train,\n")
    assert run(["train", str(table), f"--run={tmp_path / 'other'}", *FAST]) == 2
    assert "missing.png" in capsys.readouterr().err


@pytest.fixture(params=["shards", "datasets"])
def packed(request: pytest.FixtureRequest, sample_data: Path, tmp_path: Path) -> Path:
    """The drawn photos of three activities in tar shards, or as `datasets` saves them."""
    folder = tmp_path / request.param
    photos = {
        split: [
            (photo.read_bytes(), label)
            for label in ("bicycling", "dancing", "running")
            for photo in sorted((sample_data / split / label).iterdir())
        ]
        for split in ("train", "val")
    }
    if request.param == "shards":
        folder.mkdir()
        for split, entries in photos.items():
            with tarfile.open(folder / f"{split}-0.tar", "w") as tar:
                for number, (content, label) in enumerate(entries):
                    for name, data in ((f"{number}.jpg", content), (f"{number}.cls", label.encode())):
                        info = tarfile.TarInfo(name)
                        info.size = len(data)
                        tar.addfile(info, io.BytesIO(data))
        return folder
    import datasets

    datasets.disable_progress_bars()
    features = datasets.Features(image=datasets.Image(), label=datasets.Value("string"))
    splits = {
        split: datasets.Dataset.from_dict(
            {"image": [{"bytes": c, "path": None} for c, _ in entries], "label": [n for _, n in entries]},
            features,
        )
        for split, entries in photos.items()
    }
    datasets.DatasetDict(splits).save_to_disk(folder)
    return folder


def test_photos_inside_files_serve_every_command(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "run" / "model"
    assert run(["audit", str(packed), "--json", f"--fix={tmp_path / 'clean.csv'}"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "photos": 15,
        "findings": [],
        "classes": ["bicycling", "dancing", "running"],
        "ignored": [],
    }
    workers = ["--workers=2" if option.startswith("--workers") else option for option in FAST]
    assert run(["train", str(packed), f"--run={tmp_path / 'run'}", *workers]) == 0
    assert run(["train", str(packed), f"--run={tmp_path / 'run'}", "--resume", *workers]) == 0
    capsys.readouterr()
    scores = []
    for data in (packed, tmp_path / "clean.csv"):
        assert run(["evaluate", str(model), str(data), "--json"]) == 0
        scores.append(capsys.readouterr().out)
    assert scores[0] == scores[1]
    assert run(["predict", str(packed), f"--weights={model}", "--json"]) == 0
    sources = [json.loads(line)["source"] for line in capsys.readouterr().out.splitlines()]
    assert len(sources) == 15
    assert run(["predict", sources[-1], f"--weights={model}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == sources[-1]
