from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from activitynet.data.dataset import Photo, PhotoData, by_split
from activitynet.data.scan import check_photos, count_skipped, skipped_message
from activitynet.errors import DataError

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A photo, and one of each kind that cannot be read."""
    folder = tmp_path_factory.mktemp("photos")
    names = ("good", "half", "empty", "text", "missing", "folder")
    paths = {name: folder / f"{name}.jpg" for name in names}
    Image.effect_noise((200, 200), 50).save(paths["good"])
    paths["half"].write_bytes(paths["good"].read_bytes()[:-2000])
    paths["empty"].touch()
    paths["text"].write_text("not a photo")
    paths["folder"].mkdir()
    return paths


def data_of(*rows: tuple[str, int, Path]) -> PhotoData:
    """Make a data set of photos in two classes, given by split, label and path."""
    parts = {split: tuple(Photo(path, label) for at, label, path in rows if at == split) for split in SPLITS}
    return PhotoData(("ant", "bee"), parts["train"], parts["val"], parts["test"])


def test_whole_data_stay_as_they_are(files: dict[str, Path]) -> None:
    data = data_of(*[(split, label, files["good"]) for split in SPLITS for label in (0, 1)])
    for skip_bad in (False, True):
        assert check_photos(data, skip_bad=skip_bad).data is data
    assert check_photos(data_of()).fingerprint == []


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", ["half", "empty", "text", "missing", "folder"])
def test_a_bad_photo_of_any_kind_and_split_is_refused_or_left_out(
    kind: str, split: str, files: dict[str, Path]
) -> None:
    data = data_of(
        *[(at, label, files["good"]) for at in SPLITS for label in (0, 1)], (split, 1, files[kind])
    )
    refusal = (
        r"1 of 7 photos cannot be read; .* --skip-bad \(in Python, skip_bad=True\):\n  cannot read photo "
    )
    with pytest.raises(DataError, match=f"{refusal}.*{kind}.jpg") as caught:
        check_photos(data)
    checked = check_photos(data, skip_bad=True).data
    (skipped,) = checked.skipped
    assert (skipped.photo, skipped.split) == (Photo(files[kind], 1), split)
    assert skipped.error in str(caught.value)
    assert dataclasses.replace(checked, skipped=()) == data_of(
        *[(at, label, files["good"]) for at in SPLITS for label in (0, 1)]
    )
    assert json.loads(json.dumps(skipped.to_dict(data.classes))) == {
        "path": str(files[kind]),
        "split": split,
        "label": "bee",
        "error": skipped.error,
    }


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from(SPLITS), st.integers(0, 1), st.booleans()), max_size=12),
    workers=st.integers(1, 4),
)
def test_every_photo_is_kept_or_named_and_no_class_is_lost(
    rows: list[tuple[str, int, bool]], workers: int, files: dict[str, Path]
) -> None:
    data = data_of(*[(split, label, files["good" if good else "text"]) for split, label, good in rows])
    lost = {(split, label) for split, label, _ in rows} - {(at, label) for at, label, good in rows if good}
    if lost:
        with pytest.raises(DataError, match="can be read, so they cannot be left out") as caught:
            check_photos(data, skip_bad=True, workers=workers)
        assert any(f"the {split!r} photos" in str(caught.value) for split, _ in lost)
        return
    checked = check_photos(data, skip_bad=True, workers=workers)
    for (split, before), (_, left) in zip(by_split(data), by_split(checked.data), strict=True):
        assert left == tuple(photo for photo in before if photo.path == files["good"])
        named = [photo.photo for photo in checked.data.skipped if photo.split == split]
        assert named == [photo for photo in before if photo.path == files["text"]]
    assert sum(count_skipped(checked.data.skipped).values()) == sum(not good for *_, good in rows)
    assert [" unreadable " in line for line in checked.fingerprint] == [
        photo.path == files["text"] for _, photos in by_split(data) for photo in photos
    ]
    assert checked == check_photos(data, skip_bad=True)


def test_a_lost_class_or_split_is_named_with_its_photos(files: dict[str, Path]) -> None:
    good = [("train", label, files["good"]) for label in (0, 1)]
    with pytest.raises(
        DataError, match=r"none of the 'val' photos of class 'bee' can be read(.|\n)*text\.jpg"
    ) as it:
        check_photos(
            data_of(*good, ("val", 0, files["good"]), ("val", 0, files["empty"]), ("val", 1, files["text"])),
            skip_bad=True,
        )
    assert "empty.jpg" not in str(it.value)
    with pytest.raises(
        DataError, match=r"none of the 'val' photos can be read(.|\n)*empty\.jpg(.|\n)*text\.jpg"
    ):
        check_photos(data_of(*good, ("val", 0, files["empty"]), ("val", 1, files["text"])), skip_bad=True)


def test_what_was_left_out_before_stays_on_the_list(files: dict[str, Path]) -> None:
    good = [(split, label, files["good"]) for split in SPLITS for label in (0, 1)]
    first = check_photos(data_of(*good, ("train", 0, files["text"])), skip_bad=True).data
    again = dataclasses.replace(first, val=(*first.val, Photo(files["half"], 1)))
    assert count_skipped(check_photos(again, skip_bad=True).data.skipped) == {"train": 1, "val": 1}


def test_a_long_list_is_cut_and_counted(files: dict[str, Path]) -> None:
    many = data_of(*[("train", 0, files["missing"].with_name(f"{number}.jpg")) for number in range(25)])
    with pytest.raises(DataError, match="25 of 25 photos") as caught:
        check_photos(many, workers=2)
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert "9.jpg" in lines[10]
    assert lines[11].strip() == "and 15 more (`activitynet audit` finds all)"


def test_the_note_counts_by_split() -> None:
    assert skipped_message({"train": 2, "val": 1}) == "unreadable photos left out: 3 (2 train, 1 val)"


def test_no_file_is_changed(files: dict[str, Path]) -> None:
    good = [("train", label, files["good"]) for label in (0, 1)]
    before = {path: path.stat().st_mtime_ns for path in files["good"].parent.iterdir()}
    check_photos(data_of(*good, *[("train", 0, path) for path in files.values()]), skip_bad=True)
    assert {path: path.stat().st_mtime_ns for path in files["good"].parent.iterdir()} == before
