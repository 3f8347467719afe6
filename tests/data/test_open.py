from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy.io import savemat

from activitynet.data.class_folders import open_folder
from activitynet.data.open import open_data
from activitynet.errors import DataError


def test_folders_are_opened_as_before(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(5):
            (tmp_path / name / f"{number}.jpg").touch()
    assert open_data(tmp_path, seed=3) == open_folder(tmp_path, seed=3)
    assert open_data(str(tmp_path), classes=["b", "a"], val_fraction=0).classes == ("b", "a")


def test_tables_are_known_by_their_extension(tmp_path: Path) -> None:
    table = tmp_path / "photos.CSV"
    table.write_text("path,label\n1.jpg,a\n2.jpg,b\n")
    assert open_data(table, val_fraction=0).classes == ("a", "b")


def test_a_contest_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "img_train").mkdir()
    for number in (1, 2):
        (tmp_path / "img_train" / f"{number}.jpg").touch()
    (tmp_path / "activity_categories.csv").write_text("id,category\n0,a\n1,b\n2,c\n")
    with pytest.raises(DataError, match=r"train_answers\.csv': No such file"):
        open_data(tmp_path)
    (tmp_path / "train_answers.csv").write_text("img_id,target_feature\n1,0\n2,1\n")
    assert open_data(tmp_path, val_fraction=0).classes == ("a", "b", "c")


def test_mat_files_are_those_of_mpii(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"other": 1})
    with pytest.raises(DataError, match="no variable 'RELEASE'"):
        open_data(tmp_path / "x.mat")


@pytest.mark.parametrize("name", ["photos.xlsx", "photo.jpg", "photos"])
def test_anything_else_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"cannot be found\. (Give a folder, a table \(\.csv, \.jsonl|Put the photos)"
    ):
        open_data(tmp_path / name)
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"is of an unknown kind\. Give a folder, a table"):
        open_data(tmp_path / name)


@pytest.mark.parametrize("options", [{"val_fraction": 1.0}, {"val_fraction": -0.1}, {"seed": -1}])
def test_what_to_hold_out_is_checked(options: dict[str, Any], tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,label,split\n1.jpg,a,train\n2.jpg,b,train\n3.jpg,b,val\n")
    with pytest.raises(DataError, match=f"{next(iter(options))} must lie in"):
        open_data(table, **options)


def test_what_is_left_out_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a/1.jpg", "b/1.jpg", "b/notes.txt", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    open_data(tmp_path)
    (record,) = caplog.records
    assert "'README.md', 'notes.txt'." in record.getMessage()


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "t.csv").write_text("path,label\n1.jpg,a\n2.jpg,b\n")
    assert open_data("~/t.csv", val_fraction=0).train[0].path == tmp_path / "1.jpg"
