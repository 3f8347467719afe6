from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from activitynet.data.contest import (
    is_contest,
    open_contest,
    photos_to_answer,
    read_categories,
    write_submission,
)
from activitynet.data.dataset import ACTIVITIES
from activitynet.errors import DataError


@dataclass
class Answer:
    """As much of a prediction as a submission needs."""

    source: str
    label: str | None
    error: str | None = None


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten photos of the last two of the 20 categories, whose ids run backwards."""
    root = tmp_path / "contest"
    for name in ("img_train", "img_test"):
        (root / name).mkdir(parents=True)
        for number in range(1, 11):
            (root / name / f"{number}.jpg").touch()
    ids = [f"{19 - index},{name}" for index, name in enumerate(ACTIVITIES)]
    write(root / "activity_categories.csv", "id,category", *ids)
    answers = [f"{number},{number % 2}" for number in range(1, 11)]
    write(root / "train_answers.csv", "img_id,target_feature", *answers)
    return root


def test_ids_become_the_20_classes(folder: Path) -> None:
    assert is_contest(folder)
    data = open_contest(folder, val_fraction=0)
    assert data.classes == ACTIVITIES
    named = [(photo.path.relative_to(folder).as_posix(), data.classes[photo.label]) for photo in data.train]
    assert named == [
        *[(f"img_train/{number}.jpg", "water activities") for number in (1, 3, 5, 7, 9)],
        *[(f"img_train/{number}.jpg", "winter activities") for number in (2, 4, 6, 8, 10)],
    ]
    assert data.test == ()


def test_a_share_of_each_class_is_held_out(folder: Path) -> None:
    data = open_contest(folder, val_fraction=0.2)
    assert sorted(photo.label for photo in data.val) == [18, 19]
    assert len(data.train) == 8
    assert data == open_contest(folder, val_fraction=0.2)


def test_other_categories_come_in_the_order_of_their_file(folder: Path) -> None:
    write(folder / "activity_categories.csv", "id,category", "1,zebra", "0,ant", "7,bee")
    data = open_contest(folder, val_fraction=0)
    assert data.classes == ("zebra", "ant", "bee")
    assert {photo.label for photo in data.train} == {0, 1}
    assert open_contest(folder, classes=["ant", "zebra"], val_fraction=0).classes == ("ant", "zebra")


def test_ids_may_be_file_names_and_other_files_are_reported(folder: Path) -> None:
    answers = [f"{number}.jpg,{number % 2}" for number in range(1, 11)]
    write(folder / "train_answers.csv", "img_id,target_feature", *answers)
    (folder / "img_train" / "notes.txt").touch()
    data = open_contest(folder, val_fraction=0)
    assert len(data.train) == 10
    assert [path.name for path in data.ignored] == ["notes.txt"]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("train_answers.csv", "11,1", "row 12: 'img_train' has no photo '11'"),
        ("train_answers.csv", "10.jpg,1", r"row 12: photo '10\.jpg' has an answer already"),
        ("train_answers.csv", "1,99", r"row 2: '99' is no id of 'activity_categories\.csv'"),
        ("train_answers.csv", "10,", "row 12: img_id or target_feature is empty"),
        ("train_answers.csv", "../../etc/passwd,1", "row 12: 'img_train' has no photo"),
        ("activity_categories.csv", "19,juggling", "row 22: '19' or 'juggling' is listed already"),
        ("activity_categories.csv", "20,sports", "row 22: '20' or 'sports' is listed already"),
        ("activity_categories.csv", "20", "row 22: there are 1 cells for 2 columns"),
    ],
)
def test_a_bad_row_is_refused(folder: Path, name: str, line: str, message: str) -> None:
    lines = (folder / name).read_text().splitlines()
    lines[1:1] = [line] if "row 2:" in message else []
    write(folder / name, *lines, *([] if "row 2:" in message else [line]))
    with pytest.raises(DataError, match=message):
        open_contest(folder)


def test_what_is_missing_is_said(folder: Path) -> None:
    (folder / "img_train" / "11.jpg").touch()
    (folder / "img_train" / "12.jpg").touch()
    with pytest.raises(DataError, match=r"has no answer for 2 photos \('11\.jpg', '12\.jpg'\)"):
        open_contest(folder)
    (folder / "img_train" / "1.png").touch()
    with pytest.raises(DataError, match="which of them is photo '1'"):
        open_contest(folder)
    write(folder / "train_answers.csv", "image_id,target_feature", "1,1")
    (folder / "img_train" / "1.png").unlink()
    with pytest.raises(DataError, match=r"no column 'img_id' among .* Did you mean 'image_id'"):
        open_contest(folder)
    (folder / "train_answers.csv").unlink()
    with pytest.raises(DataError, match=r"train_answers\.csv': No such file"):
        open_contest(folder)
    (folder / "activity_categories.csv").unlink()
    assert not is_contest(folder)


def test_what_a_table_says_is_shown_in_part_and_with_its_file(folder: Path) -> None:
    write(folder / "activity_categories.csv", "id,category", "0,tai chi", "1,Tai_Chi")
    with pytest.raises(DataError, match=r"activity_categories\.csv': .* may be one class"):
        open_contest(folder)
    long = "x" * 100_000
    for name, line in (("activity_categories.csv", f"{long},{long}"), ("train_answers.csv", f"1,{long}")):
        write(folder / "activity_categories.csv", "id,category", "0,a", "1,b")
        header = (folder / name).read_text().splitlines()[0]
        write(folder / name, header, line, line)
        with pytest.raises(DataError, match=f"{name}', row") as refusal:
            open_contest(folder)
        assert len(str(refusal.value)) < 600
    write(folder / "activity_categories.csv", "id,category", "0,a", "1,b")
    write(folder / "train_answers.csv", "img_id,target_feature", f"{long},0")
    with pytest.raises(DataError, match="has no photo 'xxx") as refusal:
        open_contest(folder)
    assert len(str(refusal.value)) < 600


def test_a_submission_lists_every_test_photo_in_natural_order(folder: Path, tmp_path: Path) -> None:
    photos = photos_to_answer(folder)
    assert [photo.stem for photo in photos] == [str(number) for number in range(1, 11)]
    answers = [Answer(str(photo), ACTIVITIES[int(photo.stem)]) for photo in reversed(photos)]
    path = tmp_path / "out" / "submission.csv"
    write_submission(path, answers, folder)
    lines = path.read_text().splitlines()
    assert lines[0] == "id,target_feature"
    assert lines[1:] == [f"{number},{19 - number}" for number in range(1, 11)]
    assert [read_categories(folder)[line.split(",")[1]] for line in lines[1:]] == list(ACTIVITIES[1:11])


def test_a_submission_names_photos_as_the_answers_do(folder: Path, tmp_path: Path) -> None:
    answers = [f"{number}.jpg,{number % 2}" for number in range(1, 11)]
    write(folder / "train_answers.csv", "img_id,target_feature", *answers)
    path = tmp_path / "submission.csv"
    write_submission(path, [Answer(str(photo), "sports") for photo in photos_to_answer(folder)], folder)
    assert path.read_text().splitlines()[1].startswith("1.jpg,")


def test_relative_and_absolute_paths_are_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    answers = [Answer(f"img_test/{number}.jpg", "sports") for number in range(1, 11)]
    write_submission(tmp_path / "submission.csv", answers, folder)
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == 11


def test_a_submission_is_never_silently_short(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    good = [Answer(str(photo), "sports") for photo in photos_to_answer(folder)]
    bad = Answer(good[2].source, None, "cannot read photo '3.jpg': it is empty.")
    with pytest.raises(
        DataError, match=r"1 of 10 test photos could not be read:\n  cannot read photo '3\.jpg'"
    ):
        write_submission(path, [*good[:2], bad, *good[3:]], folder)
    with pytest.raises(DataError, match=r"there is no prediction for 1 photos \('10\.jpg'\)"):
        write_submission(path, good[:-1], folder)
    with pytest.raises(DataError, match="is predicted twice"):
        write_submission(path, [*good, good[0]], folder)
    with pytest.raises(DataError, match=r"99\.jpg' is not a photo of .*img_test"):
        write_submission(path, [*good, Answer(str(folder / "img_test" / "99.jpg"), "sports")], folder)
    with pytest.raises(DataError, match=r"'sport' is not one of the 20 classes\. Did you mean 'sports'"):
        write_submission(path, [Answer(good[0].source, "sport"), *good[1:]], folder)
    assert not path.exists()
