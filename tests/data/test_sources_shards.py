from __future__ import annotations

import gzip
import json
import logging
import re
from pathlib import Path

import pytest
from test_archives_containers import jpeg, pack

from activitynet.data.dataset import Photo
from activitynet.data.open import open_data
from activitynet.errors import DataError

ONE = {"0.jpg": jpeg(0), "1.jpg": jpeg(1)}
NAMED = {**ONE, "0.txt": "a", "1.txt": "b"}


def test_splits_are_in_the_names_of_shards_or_of_their_folders(tmp_path: Path) -> None:
    for name in ("x-train-00.tar", "x-train-01.tar", "x-valid-00.tar", "x_test_00.tar"):
        pack(tmp_path / "names" / name, NAMED)
    data = open_data(tmp_path / "names")
    assert [len(data.train), len(data.val), len(data.test)] == [4, 2, 2]
    for name in ("train/0.tar", "train/1.tar", "validation/0.tar", "test/0.tar"):
        pack(tmp_path / "folders" / name, NAMED)
    data = open_data(tmp_path / "folders")
    assert [len(data.train), len(data.val), len(data.test)] == [4, 2, 2]
    assert data.train[0] == Photo(tmp_path / "folders/train/0.tar/0.jpg", 0)

    for name in ("0.tar", "1.tar", "2.tar"):
        pack(tmp_path / "none" / name, NAMED)
    data = open_data(tmp_path / "none", val_fraction=0.3)
    assert [len(data.train), len(data.val), len(data.test)] == [4, 2, 0]


def test_one_shard_and_a_range_of_them_are_data_sets(tmp_path: Path) -> None:
    for number in range(12):
        pack(tmp_path / f"train-{number:04d}.tar", NAMED)
    assert len(open_data(tmp_path / "train-0003.tar", val_fraction=0).train) == 2
    data = open_data(f"{tmp_path}/train-{{0008..0011}}.tar", val_fraction=0)
    assert {photo.path.parent.name for photo in data.train} == {f"train-{n:04d}.tar" for n in range(8, 12)}
    with pytest.raises(DataError, match=r"train-0012\.tar': No such file"):
        open_data(f"{tmp_path}/train-{{0010..0012}}.tar")
    with pytest.raises(DataError, match="no shards, or too many"):
        open_data(f"{tmp_path}/train-{{0..99999999999}}.tar")
    with pytest.raises(DataError, match="cannot be found"):
        open_data(tmp_path / "none.tar")


def test_what_is_beside_a_photo_tells_its_label_group_and_source(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("dancing\nrunning\nwalking\n")
    described = {"label": 1, "group": 7, "source": "phone", "caption": "…"}
    members: dict[str, bytes | str] = {f"d/{key}.JPG": jpeg(key) for key in range(5)}
    members |= {"d/0.cls": "2\n", "d/0.txt": "a caption", "d/1.json": json.dumps(described)}
    members |= {
        "d/2.json": json.dumps({"label": "Walking"}),
        "d/3.txt": "\ufeffdancing\n",
        "d/4.cls": "running",
    }
    members |= {"d/4.seg.png": b"a mask", "README.md": "about", "._0.jpg": b"what a system left"}
    data = open_data(pack(tmp_path / "x.tar", members), val_fraction=0)
    assert data.classes == ("dancing", "running", "walking")
    labels = {photo.path.name: (data.classes[photo.label], photo.group, photo.source) for photo in data.train}
    assert labels == {
        "0.JPG": ("walking", "", ""),
        "1.JPG": ("running", "7", "phone"),
        "2.JPG": ("walking", "", ""),
        "3.JPG": ("dancing", "", ""),
        "4.JPG": ("running", "", ""),
    }
    assert data.ignored == (tmp_path / "x.tar" / "README.md",)


def test_numbers_are_places_in_the_list_of_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shard = pack(tmp_path / "x.tar", {**ONE, "2.jpg": jpeg(2), "0.cls": "0", "1.cls": "3", "2.cls": "10"})
    data = open_data(shard, val_fraction=0)
    assert data.classes == tuple(map(str, range(11)))
    assert [photo.label for photo in data.train] == [0, 3, 10]
    names = [f"class {letter}" for letter in "kjihgfedcba"]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert open_data(shard, classes=names, val_fraction=0).train == data.train
    assert "0 is 'class k', 10 is 'class a'" in caplog.text
    with pytest.raises(DataError, match="label 10 is not one of the 10 classes, 0 to 9"):
        open_data(shard, classes=names[:10])
    # With names beside the shards, numbers mean those, in whatever order the classes are.
    (tmp_path / "classes.txt").write_text("\n".join(names))
    assert open_data(shard, val_fraction=0).classes == tuple(names)
    assert [photo.label for photo in open_data(shard, classes=names[::-1], val_fraction=0).train] == [
        0,
        7,
        10,
    ]
    (tmp_path / "classes.txt").write_text("\n".join(names[:10]))
    with pytest.raises(DataError, match=r"2\.jpg': label 10 is not one of the 10 classes of 'classes\.txt'"):
        open_data(shard)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({**ONE, "0.cls": "0"}, r"photo .*x\.tar/1\.jpg': it has no label\. Pack 1\.cls"),
        ({**NAMED, "1.txt": " "}, "has no label"),
        ({**NAMED, "2.cls": "1"}, "sample '2' has no photo"),
        ({**NAMED, "2.left.jpg": jpeg(2)}, "sample '2' has no photo.*first dot"),
        ({**NAMED, "0.png": jpeg(2)}, r"sample '0' has 2 photos, '0\.jpg' and '0\.png'"),
        ({**NAMED, "0.JPG": jpeg(2)}, "are one name"),
        ({**ONE, "0.json": "{", "1.txt": "b"}, r"0\.jpg': '0\.json' is not JSON"),
        ({**ONE, "0.json": "[" * 100_000, "1.txt": "b"}, "is not JSON"),
        ({**ONE, "0.json": "[1]", "1.txt": "b"}, "must be a JSON object"),
        ({**ONE, "0.json": '{"label": 1.5}', "1.txt": "b"}, "label must be text, got 1.5"),
        ({**ONE, "0.json": '{"label": true}', "1.txt": "b"}, "label must be text"),
        ({**ONE, "0.json": '{"label": -1}', "1.cls": "1"}, "label -1 is not one of"),
        ({**ONE, "0.json": '{"label": 123456789}', "1.cls": "1"}, "too large for the number of a class"),
        ({**ONE, "0.cls": "0", "1.txt": "b"}, "'b' is a name, and 0 is a number"),
        ({**ONE, "0.cls": "0", "1.cls": "0"}, "of one class only"),
        ({**ONE, "0.txt": b"\xff", "1.txt": "b"}, "'0.txt' is not UTF-8"),
        ({"a.md": "x"}, "lists no photos"),
    ],
)
def test_bad_samples_are_named(members: dict[str, bytes | str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        open_data(pack(tmp_path / "x.tar", members))
    assert "x.tar" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_group_belongs_in_one_split(tmp_path: Path) -> None:
    for split in ("train", "val"):
        described = {
            f"{key}.json": json.dumps({"label": "ab"[key], "group": f"{split[:key]}"}) for key in (0, 1)
        }
        pack(tmp_path / f"{split}.tar", {**ONE, **described})
    assert len(open_data(tmp_path).val) == 2
    described = {f"{key}.json": json.dumps({"label": "ab"[key], "group": "t"}) for key in (0, 1)}
    pack(tmp_path / "val.tar", {**ONE, **described})
    with pytest.raises(DataError, match=r"val\.tar/0\.jpg': group 't' is in split 'val' here and in 'train'"):
        open_data(tmp_path)


def test_compressed_and_mixed_shards_are_refused(tmp_path: Path) -> None:
    packed = pack(tmp_path / "x.tar", NAMED)
    for place in (tmp_path / "a" / "x.tar.gz", tmp_path / "b" / "y.tgz", tmp_path / "c" / "misnamed.tar"):
        place.parent.mkdir()
        place.write_bytes(gzip.compress(packed.read_bytes()))
        for given in (place, place.parent):
            with pytest.raises(DataError, match=f"{re.escape(place.name)}': it is compressed.*gunzip"):
                open_data(given)
    for names, reason in (
        (("train-0.tar", "other.tar"), r"other\.tar' names no split, and .*train-0\.tar' does"),
        (("train-val-0.tar",), "names two splits, train and val"),
    ):
        folder = tmp_path / names[-1]
        for name in names:
            pack(folder / name, NAMED)
        with pytest.raises(DataError, match=reason):
            open_data(folder)
    (tmp_path / "1.jpg").write_bytes(jpeg(0))
    with pytest.raises(DataError, match=r"photo .*1\.jpg'"):
        open_data(tmp_path)


def test_a_tar_beside_class_folders_is_what_they_were_unpacked_from(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "1.jpg").touch()
    before = open_data(tmp_path)
    archive = pack(tmp_path / "photos.tar", NAMED)
    assert open_data(tmp_path).train == before.train
    assert open_data(tmp_path).ignored == (archive,)
